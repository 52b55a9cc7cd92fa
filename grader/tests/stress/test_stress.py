# SPDX-License-Identifier: MIT
"""Races that nobody chose: CPUs are threads of the host, and guests check themselves.

`make stress` runs these, with --full, one after the other: a CPU that the host lets wait holds up
all that wait for it, and IPIs take several times as long. `make test` runs a small part. What fails
here may pass the next time, and what passes proves little: the tests of lab 6 make races that come
again. A hang shows by the emulator's processor time.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from grader.conftest import Lab
from grader.machine.machine import StopKind
from grader.machine.options import current
from grader.machine.verdict import expect, expect_that
from grader.oracle.objects import Objects
from grader.oracle.probe import ProbeVm, Report, judge, run_probes, watch_probes

LAB = 6
NO_BUDGET = 1 << 50  # instructions; processor time is the limit
SECONDS, PART_SECONDS = 1800.0, 90.0  # of the emulator's processor time
PART = 400  # `make test` has one in so many
ON_GICV2 = 10  # and so `make stress` has on GICv2, where nothing is different but list registers


@dataclass(frozen=True)
class Load:
    """What a probe does in one round, with four vCPUs."""

    probe: str
    what: str
    each: int  # of them in a round
    wanted: int

    def rounds(self, gic: int) -> int:
        return share(self.wanted, gic) // self.each


LOADS = [
    Load("smp_ipi", "IPIs", 2 * 16, 1_000_000),  # computing, and in WFI
    Load("smp_hotplug", "CPU_OFF and CPU_ON", 3, 10_000),
    Load("smp_migrate", "sleeps, yields and IPIs on the way", 4, 100_000),
    Load("smp_release", "pages given back", 16, 100_000),
]
RESETS = 1_000


def share(wanted: int, gic: int) -> int:
    """How many of them this run has time for."""
    if not current().full:
        return wanted // PART
    return wanted if gic == 3 else wanted // ON_GICV2


def four(probe: str, rounds: int, **options: object) -> ProbeVm:
    words = (("probe_rounds", rounds), ("smp_patience", 0))
    return ProbeVm(probe, cpus=4, words=words, **options)  # type: ignore[arg-type]


def limits(gic: int) -> dict[str, object]:
    if not current().full and gic == 2:
        pytest.skip("make stress runs it")
    seconds = SECONDS if current().full else PART_SECONDS
    return {"smp": 2, "deterministic": False, "processor_seconds": seconds}


@pytest.mark.parametrize("load", LOADS, ids=[load.probe for load in LOADS])
def test_nothing_is_lost_under_load(lab: Lab, gic: int, load: Load) -> None:
    """Two VMs, eight vCPUs on two CPUs."""
    vms = [four(load.probe, load.rounds(gic)), four("smp_migrate", 1_000_000_000, reports=False)]
    machine = lab.start(*vms, **limits(gic))
    judge(machine, run_probes(machine, vms, LAB, NO_BUDGET))


def test_resets_under_load(lab: Lab, gic: int) -> None:
    """The VM is reset by its own vCPUs, one after the other, while the others are at work."""
    vms = [four("smp_power", 1_000_000_000), four("smp_migrate", 1_000_000_000, reports=False)]
    machine = lab.start(*vms, **limits(gic))
    witness = watch_probes(machine, vms, LAB)
    vm, wanted = Objects(machine).vm, share(RESETS, gic)
    while True:
        stop = machine.run(20_000_000)
        if stop.kind is not StopKind.BUDGET:
            raise machine.finding_for(stop, f"the VM is reset {wanted} times")
        resets = vm(0).get("reset_count")
        if resets >= wanted:
            break
    found = Report("vm0", "smp_power", tuple(witness.entries(0))).properties
    expect("no life found anything of the one before", found, [])
    expect_that("the VM beside it was not reset", vm(1).get("reset_count") == 0)
