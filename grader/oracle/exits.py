# SPDX-License-Identifier: MIT
"""Why a machine does not come to its end: its guests' exits, watched for a while.

A guest that exits again and again with the same syndrome, at the same address, with the same
registers makes no progress, at whichever exception level the budget ran out.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

from grader.machine.gdb_client import GdbError
from grader.machine.machine import EL2_ONLY, Machine, StopKind
from grader.machine.verdict import Finding
from grader.oracle.decode.esr import Esr
from grader.oracle.objects import Objects

LOOKS = 8
LEAST = 6  # exits that have to be seen
DISTINCT = 2  # as many places of one loop are named
INSTRUCTIONS = 400_000
# Of these a loop in the guest changes at least one.
REGISTERS = ("x0", "x1", "x2", "x19", "x20", "x21", "x22", "x29", "x30")
# Vectors for exceptions from a lower level, offsets from VBAR_EL2, and the kind of exception.
VECTORS = {0x400: "synchronous", 0x480: "IRQ", 0x600: "synchronous", 0x680: "IRQ"}


def repeated(machine: Machine) -> str:
    """The one or two exits that repeat, in words; "" when more do, or none. Runs on a bit."""
    try:
        return _describe(machine, _sample(machine))
    except (Finding, GdbError, ValueError, KeyError):
        return ""  # the machine has something else to say


def _sample(machine: Machine) -> Counter[tuple[int, ...]]:
    """How often each (vector, ESR_EL2 of a synchronous exit, ELR_EL2, VM, registers) was seen."""
    base, seen = machine.register("VBAR_EL2"), Counter[tuple[int, ...]]()
    with ExitStack() as stack:
        numbers = {stack.enter_context(machine.breakpoint(base + offset, EL2_ONLY)): offset
                   for offset in VECTORS}
        for _ in range(LOOKS):
            stop = machine.run(INSTRUCTIONS)
            if stop.kind is not StopKind.BREAKPOINT or stop.number not in numbers:
                break
            offset = numbers[stop.number]
            esr = machine.register("ESR_EL2") if VECTORS[offset] != "IRQ" else 0
            registers = machine.gdb.core_registers(*REGISTERS)
            seen[offset, esr, machine.register("ELR_EL2"), _vm(machine), *registers] += 1
    return seen


def _vm(machine: Machine) -> int:
    """Which VM was left; -1 when EL2's own objects do not say."""
    try:
        return Objects(machine).loaded_vm_index()
    except (Finding, GdbError):
        return -1


def _describe(machine: Machine, seen: Counter[tuple[int, ...]]) -> str:
    if seen.total() < LEAST or len(seen) > DISTINCT:
        return ""
    words = []
    for (offset, esr, elr, vm, *_), count in seen.most_common():
        kind = str(Esr(esr)) if VECTORS[offset] != "IRQ" else "an IRQ"
        where = f" (VM {vm})" if vm >= 0 else ""
        words.append(f"{count} times {kind} at ELR_EL2 {machine.place(elr, el=1)}{where}")
    return f"the same exit again and again: of {seen.total()} in a row, " + ", ".join(words)
