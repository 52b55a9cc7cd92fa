# SPDX-License-Identifier: MIT
"""The crash mailbox `strata_crash` (kit/mailbox.h), read from physical memory."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

from grader.machine.machine import Machine
from grader.machine.verdict import Finding, Verdict
from grader.oracle.decode.esr import Esr

MAGIC = 0x4853415243415453
LAYOUT = struct.Struct("<10Q160s")


class Kind(enum.IntEnum):
    NONE = 0
    PANIC = 1
    EXCEPTION = 2
    TODO = 3
    CONFIG = 4


@dataclass(frozen=True)
class Report:
    """What EL2 left behind. Nothing here is trusted: it is the student's own report."""

    kind: Kind | int
    reason: str
    text: str
    esr: int
    elr: int
    far: int
    spsr: int
    sp: int
    cpu: int
    vector: int

    def describe(self, machine: Machine) -> str:
        name = self.kind.name if isinstance(self.kind, Kind) else f"kind {self.kind}"
        words = self.text or self.reason
        parts = [f"{name}: {words}" if words else name]
        if self.kind == Kind.EXCEPTION:
            parts.append(f"vector +{self.vector:#x}, ESR_EL2 {Esr(self.esr)}")
            parts.append(f"ELR_EL2 {machine.place(self.elr, el=2)}, FAR_EL2 {self.far:#x}")
        elif self.elr:
            # A return address: the call is the instruction before it, and may be the last of its
            # function.
            parts.append(f"at {machine.place(self.elr - 4, el=2)}")
        parts.append(f"CPU {self.cpu}, SP {self.sp:#x}")
        return "; ".join(parts)


def read(machine: Machine) -> Report | None:
    """The mailbox if it is filled. Its address is physical: the image runs where it is linked."""
    if "strata_crash" not in machine.symbols:
        return None
    try:
        data = machine.memory.read(machine.symbols["strata_crash"], LAYOUT.size)
    except Finding:
        return None
    magic, kind, reason, esr, elr, far, spsr, sp, cpu, vector, text = LAYOUT.unpack(data)
    if magic != MAGIC:
        return None
    known = kind if kind not in set(Kind) else Kind(kind)
    return Report(
        kind=known,
        reason=machine.memory.text(reason),
        text=text.split(b"\0")[0].decode("ascii", "backslashreplace"),
        esr=esr,
        elr=elr,
        far=far,
        spsr=spsr,
        sp=sp,
        cpu=cpu,
        vector=vector,
    )


def verdict(machine: Machine) -> tuple[Verdict, str, int] | None:
    """What the mailbox makes of a machine's end, in words, and its CPU; None when it is empty."""
    report = read(machine)
    if report is None:
        return None
    kind = Verdict.TODO if report.kind is Kind.TODO else Verdict.CRASH
    return kind, report.describe(machine), report.cpu
