# SPDX-License-Identifier: MIT
"""The guest's stack while the machine stands at EL2, where GDB sees EL2's stack only."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from grader.decode.stage2 import Stage2
from grader.gdb_client import GdbError
from grader.verdict import Finding

if TYPE_CHECKING:
    from grader.machine import Machine

DEPTH = 12
HCR_VM = 1
SCTLR_M = 1


def addresses(machine: Machine) -> list[int]:
    """Where EL1 was left, then its callers.

    The frame records of the procedure call standard are followed (AAPCS64, "The Frame Pointer"):
    x29 points at the caller's x29 and the return address. That takes a guest without a
    translation of its own, as probes are; of others only the place is known.
    """
    found = [machine.register("ELR_EL2")]
    try:
        frame = machine.variable("((struct cpu *)$TPIDR_EL2)->vcpu->frame.x[29]")
        if machine.register("SCTLR_EL1") & SCTLR_M:
            return found
        while frame and frame % 16 == 0 and len(found) < DEPTH:
            physical = _physical(machine, frame)
            if physical is None:
                break
            caller, link = struct.unpack("<QQ", machine.memory.read(physical, 16))
            if link == 0 or caller and caller <= frame:
                break
            found.append(link)
            frame = caller
    except (Finding, GdbError, ValueError):
        pass  # EL2 has lost its way before it could be asked: what was found is what there is
    return found


def _physical(machine: Machine, address: int) -> int | None:
    if not machine.register("HCR_EL2") & HCR_VM:
        return address
    registers = machine.register("VTCR_EL2"), machine.register("VTTBR_EL2")
    return Stage2(*registers, machine.memory.u64).walk(address).output
