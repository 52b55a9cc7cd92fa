# SPDX-License-Identifier: MIT
"""Races that nobody chose: CPUs are threads of the host, and guests check themselves.

`make stress` runs these, with --full; without that they are skipped. What fails here may pass the
next time, and what passes proves little: the tests of lab 6 make races that come again. A hang
shows by the emulator's processor time.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from grader.conftest import Lab
from grader.machine.machine import StopKind
from grader.machine.options import current
from grader.machine.verdict import expect, expect_that
from grader.oracle.objects import Objects
from grader.oracle.probe import ProbeVm, judge, run_probes, watch_probes

LAB = 6
NO_BUDGET = 1 << 50  # instructions; processor time is the limit
SECONDS = 1800.0


@dataclass(frozen=True)
class Load:
    """What a probe does in one round, with four vCPUs."""

    probe: str
    what: str
    each: int  # of them in a round
    wanted: int

    @property
    def rounds(self) -> int:
        return self.wanted // self.each


LOADS = [
    Load("smp_ipi", "IPIs", 2 * 16, 1_000_000),  # computing, and in WFI
    Load("smp_hotplug", "CPU_OFF and CPU_ON", 3, 10_000),
    Load("smp_migrate", "sleeps, yields and IPIs on the way", 4, 100_000),
    Load("smp_release", "pages given back", 16, 100_000),
]
RESETS = 1_000


def four(probe: str, rounds: int, **options: object) -> ProbeVm:
    words = (("probe_rounds", rounds), ("smp_patience", 0))
    return ProbeVm(probe, cpus=4, words=words, **options)  # type: ignore[arg-type]


def limits() -> dict[str, object]:
    if not current().full:
        pytest.skip("make stress runs it")
    return {"smp": 2, "deterministic": False, "processor_seconds": SECONDS}


@pytest.mark.parametrize("load", LOADS, ids=[load.probe for load in LOADS])
def test_nothing_is_lost_under_load(lab: Lab, gic: int, load: Load) -> None:
    """Two VMs, eight vCPUs on two CPUs."""
    vms = [four(load.probe, load.rounds), four("smp_migrate", 1_000_000_000, reports=False)]
    machine = lab.start(*vms, **limits())
    judge(machine, run_probes(machine, vms, LAB, NO_BUDGET))


def test_resets_under_load(lab: Lab, gic: int) -> None:
    """The VM is reset by its own vCPUs, one after the other, while the others are at work."""
    vms = [four("smp_power", 1_000_000_000), four("smp_migrate", 1_000_000_000, reports=False)]
    machine = lab.start(*vms, **limits())
    witness = watch_probes(machine, vms, LAB)
    vm = Objects(machine).vm
    while True:
        stop = machine.run(20_000_000)
        if stop.kind is not StopKind.BUDGET:
            raise machine.finding_for(stop, f"the VM is reset {RESETS} times")
        resets = vm(0).get("reset_count")
        if resets >= RESETS:
            break
    expect("no life found anything of the one before", witness.entries(0), [])
    expect_that("the VM beside it was not reset", vm(1).get("reset_count") == 0)
