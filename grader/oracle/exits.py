# SPDX-License-Identifier: MIT
"""Why a machine does not come to its end: its guests' exits, watched for a while.

A guest that exits again and again with the same syndrome, at the same address, with the same
registers makes no progress, at whichever exception level the budget ran out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import ExitStack

from grader.machine.gdb_client import GdbError
from grader.machine.machine import EL2_ONLY, Machine, StopKind
from grader.machine.verdict import Finding
from grader.oracle.decode.el2_registers import page_of
from grader.oracle.decode.esr import Esr
from grader.oracle.objects import Objects

ABORTS = (0x20, 0x24)  # ESR_EL2.EC: instruction and data aborts of a guest
LOOKS = 8  # for each CPU
LEAST = 6  # exits of one CPU that have to be seen
DISTINCT = 2  # as many places of one loop are named
INSTRUCTIONS = 400_000
# Of these a loop in the guest changes at least one.
REGISTERS = ("x0", "x1", "x2", "x19", "x20", "x21", "x22", "x29", "x30")
# Vectors for exceptions from a lower level, offsets from VBAR_EL2, and the kind of exception.
VECTORS = {0x400: "synchronous", 0x480: "IRQ", 0x600: "synchronous", 0x680: "IRQ"}


def repeated(machine: Machine) -> str:
    """The one or two exits that repeat on a CPU, in words; "" when more do, or none. Runs on a bit.

    Each CPU is looked at for itself: one may be stuck while another makes progress.
    """
    try:
        found = [text for cpu, seen in sorted(_sample(machine).items())
                 if (text := _describe(machine, cpu, seen))]
        return "; ".join(found)
    except (Finding, GdbError, ValueError, KeyError):
        return ""  # the machine has something else to say


def _sample(machine: Machine) -> dict[int, Counter[tuple[int, ...]]]:
    """By CPU: how often each (vector, ESR_EL2 of a synchronous exit, HPFAR_EL2 of an abort,
    ELR_EL2, VM, registers) was seen."""
    base, seen = machine.register("VBAR_EL2"), defaultdict[int, Counter[tuple[int, ...]]](Counter)
    with ExitStack() as stack:
        numbers = {stack.enter_context(machine.breakpoint(base + offset, EL2_ONLY)): offset
                   for offset in VECTORS}
        for _ in range(LOOKS * machine.config.smp):
            stop = machine.run(INSTRUCTIONS)
            if stop.kind is not StopKind.BREAKPOINT or stop.number not in numbers:
                break
            offset = numbers[stop.number]
            esr = machine.register("ESR_EL2") if VECTORS[offset] != "IRQ" else 0
            page = machine.register("HPFAR_EL2") if Esr(esr).ec in ABORTS else 0
            registers = machine.gdb.core_registers(*REGISTERS)
            key = offset, esr, page, machine.register("ELR_EL2"), _vm(machine), *registers
            seen[stop.cpu][key] += 1
    return seen


def _vm(machine: Machine) -> int:
    """Which VM was left; -1 when EL2's own objects do not say."""
    try:
        return Objects(machine).loaded_vm_index()
    except (Finding, GdbError):
        return -1


def _describe(machine: Machine, cpu: int, seen: Counter[tuple[int, ...]]) -> str:
    if seen.total() < LEAST or len(seen) > DISTINCT:
        return ""
    words = []
    for (offset, esr, page, elr, vm, *_), count in seen.most_common():
        kind = str(Esr(esr)) if VECTORS[offset] != "IRQ" else "an IRQ"
        kind += f", page {page_of(page):#x} of the guest (HPFAR_EL2)" if page else ""
        where = f" (VM {vm})" if vm >= 0 else ""
        words.append(f"{count} times {kind} at ELR_EL2 {machine.place(elr, el=1)}{where}")
    on = f" on CPU {cpu}" if machine.config.smp > 1 else ""
    return f"the same exit again and again{on}: of {seen.total()} in a row, " + ", ".join(words)
