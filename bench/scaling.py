# SPDX-License-Identifier: MIT
"""What grows with the number of a machine's VMs, and with the vCPUs that want the same CPU."""

from __future__ import annotations

from typing import Any

from bench.paper import STRATA, PaperRow, Verdict
from bench.rows import Row
from bench.run import Setup, hypervisor_command
from bench.systems import Job
from tools.vms import MIB, VM_MAX, VmConfig

VM_COUNTS = (1, 4, 16, VM_MAX)
SHARERS = (2, 8, 32)
CPU = "cortex-a76"
EXITS = {"hypercall": "Hypercall", "gic_trap": "Interrupt Controller Trap"}
MORE = 1.03  # what an exit may cost beside so many VMs


def crowd(setup: Setup, part: str, count: int, first: str, others: str) -> Job:
    """A VM that measures, and others beside it on its CPU."""
    vms = [VmConfig(f"vm{index}", 4 * MIB, setup.guest("payload"),
                    cmdline=f"bench=strata,{others if index else first}") for index in range(count)]
    return Job(STRATA, CPU, part, setup.qemu,
               lambda: hypervisor_command(setup, vms, cpu=CPU, name=part.replace(" ", "-")))


def jobs(setup: Setup) -> list[Job]:
    return [*(crowd(setup, f"{count} VMs", count, "alone", "sleep") for count in VM_COUNTS),
            *(crowd(setup, f"{count} vCPUs", count, "round", "round,second") for count in SHARERS)]


def charts(rows: dict[str, dict[str, Row]]) -> list[dict[str, Any]]:
    """The rows by part as what the report draws: series of (count, instructions)."""
    exits = {title: [(n, rows[f"{n} VMs"][name].median) for n in VM_COUNTS if f"{n} VMs" in rows]
             for name, title in EXITS.items()}
    switch = [(n, round(rows[f"{n} vCPUs"]["round"].median / n)) for n in SHARERS
              if f"{n} vCPUs" in rows]
    return [{"over": "VMs of the machine", "series": exits},
            {"over": "vCPUs that want one CPU", "series": {"VM Switch": switch}}] if switch else []


def verdicts(drawn: list[dict[str, Any]]) -> list[Verdict]:
    """An exit costs the same however many VMs there are, a switch however many vCPUs."""
    found = []
    for chart in drawn:
        for title, points in chart["series"].items():
            (least, alone), (most, crowded) = points[0], points[-1]
            row = PaperRow("scaling", "", f"{title}, {most} against {least} {chart['over']}")
            found.append(Verdict(row, CPU, crowded, alone * MORE,
                                 f"3 % more than {alone}"))
    return found
