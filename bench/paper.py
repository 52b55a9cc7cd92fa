# SPDX-License-Identifier: MIT
"""The seven microbenchmarks of Dall et al., "ARM Virtualization: Performance and Architectural
Implications" (ISCA 2016), as data: rows, what they are held to, and the systems that have them.

A row is measured by the payload (guests/payload), the same image on every system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.rows import Row

STRATA, NATIVE, XEN = "Strata", "native", "Xen"
KVM, KVM_VHE = "KVM", "KVM VHE"
PEERS = (KVM, KVM_VHE, XEN)


@dataclass(frozen=True)
class PaperRow:
    """One line of the table.

    `benchmark`: by which BENCH= picks it, one of the seven. `share`: Strata may take at most this
    part of what the better peer takes in the same run; `limit`: and at most so many instructions.
    A row with neither informs.
    """

    name: str
    benchmark: str
    title: str
    share: float | None = None
    limit: int | None = None


THIRD, QUARTER = 1 / 3, 1 / 4
ROWS = (
    PaperRow("hypercall", "hypercall", "Hypercall", QUARTER),
    PaperRow("hypercall_psci", "hypercall", "  PSCI_VERSION"),
    PaperRow("gic_trap", "gic-trap", "Interrupt Controller Trap", THIRD),
    PaperRow("gic_trap_enable", "gic-trap", "  read of GICD_ISENABLER"),
    PaperRow("ipi_running", "virtual-ipi", "Virtual IPI, target running", QUARTER),
    PaperRow("ipi_running_send", "virtual-ipi", "  of which the sender's trap"),
    PaperRow("ipi_asleep", "virtual-ipi", "Virtual IPI, target in WFI", QUARTER),
    PaperRow("ipi_asleep_send", "virtual-ipi", "  of which the sender's trap"),
    PaperRow("self_sgi", "virtual-ipi", "  to itself, the trap"),
    PaperRow("virq_completion", "completion", "Virtual IRQ Completion", limit=2),
    PaperRow("vm_switch", "vm-switch", "VM Switch", THIRD),
    PaperRow("io_out", "io-out", "I/O Latency Out", THIRD, 500),
    PaperRow("io_in", "io-in", "I/O Latency In", THIRD, 500),
    PaperRow("io_both", "io-in", "  out and in"),
)
BENCHMARKS = tuple(dict.fromkeys(row.benchmark for row in ROWS))

# What the hypercall's breakdown has: the payload's row, less group_nothing, is the group's cost.
GROUPS = {
    "group_general": "x0 to x30",
    "group_return": "ELR_EL2, SPSR_EL2",
    "group_el1": "24 system registers of EL1 and EL0",
    "group_timer": "CNTV_*, CNTVOFF_EL2, CNTHCTL_EL2",
    "group_vgic": "ICH_*: control and four list registers",
    "group_traps": "HCR_EL2, CPTR_EL2, MDCR_EL2, HSTR_EL2",
    "group_stage2": "VTTBR_EL2, VTCR_EL2",
    "group_simd": "q0 to q31, FPSR, FPCR",
}
FLOOR = "group_dispatch"  # x0 to x30, the syndrome, a function: the least that a hypercall needs

# The parts of the payload's work, each a machine of its own, and the benchmarks that each has.
ONE, SWITCH, EVENTS = "one", "switch", "events"
PART_OF = {"vm-switch": SWITCH}
XEN_PART_OF = {**PART_OF, "io-out": EVENTS, "io-in": EVENTS}


@dataclass(frozen=True)
class Measured:
    """A row of the result: what bench.json has."""

    name: str
    system: str
    cpu: str
    row: Row
    unit: str = "instructions"

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "system": self.system, "cpu": self.cpu,
                "median": self.row.median, "mean": self.row.mean, "min": self.row.minimum,
                "n": self.row.samples, "unit": self.unit}


@dataclass(frozen=True)
class Verdict:
    """A bar that Strata is held to on one CPU, and whether it holds."""

    row: PaperRow
    cpu: str
    value: int
    limit: float
    reason: str

    @property
    def passed(self) -> bool:
        return self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        return {"name": self.row.name, "cpu": self.cpu, "value": self.value,
                "limit": round(self.limit, 1), "reason": self.reason, "passed": self.passed}


def find(results: list[Measured], name: str, system: str, cpu: str) -> Row | None:
    return next((m.row for m in results if (m.name, m.system, m.cpu) == (name, system, cpu)), None)


def verdicts(results: list[Measured]) -> list[Verdict]:
    """Every bar of every CPU that was measured. Without peers those hold that need none."""
    found = []
    for cpu in dict.fromkeys(m.cpu for m in results):
        for row in ROWS:
            ours = find(results, row.name, STRATA, cpu)
            if ours is None:
                continue
            if row.limit is not None:
                found.append(Verdict(row, cpu, ours.median, row.limit,
                                     f"at most {row.limit} instructions"))
            peers = {peer: theirs.median for peer in PEERS
                     if (theirs := find(results, row.name, peer, cpu))}
            if row.share is not None and peers:
                best = min(peers, key=lambda peer: peers[peer])
                found.append(Verdict(row, cpu, ours.median, peers[best] * row.share,
                                     f"1/{round(1 / row.share)} of {best}'s {peers[best]}"))
    return found
