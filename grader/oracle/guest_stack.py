# SPDX-License-Identifier: MIT
"""The guest's stack while the machine stands at EL2, where GDB sees EL2's stack only."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from grader.machine.gdb_client import GdbError
from grader.machine.machine import Machine
from grader.machine.verdict import Finding
from grader.oracle.objects import Objects

FROM_EL2 = (0b1000, 0b1001)  # PSTATE.M[4:0]: EL2t, EL2h
# What a caller's frame is found from (AAPCS64): the registers that a call preserves, and x30.
PRESERVED = [f"x{number}" for number in range(19, 31)]


@contextmanager
def as_the_guest_was(machine: Machine) -> Iterator[None]:
    """For the length of a block GDB sees the vCPU as it was when it left EL1.

    With PSTATE of EL1, QEMU reads memory through the guest's translation. All is put back: only
    the debugger looks in between, no instruction is executed.
    """
    vcpu = Objects(machine).loaded_vcpu()
    if vcpu is None:
        raise GdbError("no vCPU is loaded")
    offset, size = vcpu.objects.member("struct vcpu", "frame.x")
    frame = struct.unpack("<31Q", machine.memory.read(vcpu.address + offset, size))
    pstate = vcpu.get("frame.pstate")
    new = dict(zip(PRESERVED, frame[19:31], strict=True))
    new["pc"] = vcpu.get("frame.pc")
    new["sp"] = machine.register("SP_EL1" if pstate & 1 else "SP_EL0")
    new["PSTATE"] = pstate
    old = {name: machine.register(name) for name in new}
    _set(machine, new)
    try:
        yield
    finally:
        _set(machine, old)


def _set(machine: Machine, values: dict[str, int]) -> None:
    # PSTATE first: it decides which stack pointer $sp is.
    for name in ("PSTATE", *(name for name in values if name != "PSTATE")):
        machine.gdb.set_register(name, values[name])


def lines(machine: Machine) -> list[str]:
    """Where EL1 was left, and its callers; the place alone when EL2 has lost the rest.

    Nothing when nobody has left EL1 yet, or when the last exception came from EL2 itself: then
    ELR_EL2 is EL2's own.
    """
    place = machine.register("ELR_EL2")
    if not place or machine.register("SPSR_EL2") & 0x1F in FROM_EL2:
        return []
    try:
        with as_the_guest_was(machine):
            if machine.pc == place:
                return machine.frames()
    except (Finding, GdbError, struct.error):
        pass
    return [f"EL1 left at {machine.place(place, el=1)}"]
