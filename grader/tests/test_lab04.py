# SPDX-License-Identifier: MIT
"""Lab 4: timers of running and sleeping vCPUs, WFI, time slices."""

from __future__ import annotations

import pytest

from grader.conftest import Lab
from grader.probe import ProbeVm

LAB = 4

ALONE = [
    "counter",
    "timer_virtual",
    "timer_physical",
    "timer_el0",
    "wfi",
    "psci_suspend",
    "psci_reset",
]
IN_PAIRS = [
    "timer_two_vms",
    "timer_active_switch",
    "timer_virtual",
    "timer_physical",
    "counter",
    "wfi",
    "sched_fair",
    "gic_two_vms",
    "world_switch_el1",
    "world_switch_fp",
    "registers_preserved",
]


@pytest.mark.parametrize("probe", ALONE)
def test_a_guest_sees_the_architecture(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(probe, budget=3_000_000_000)


@pytest.mark.parametrize("probe", IN_PAIRS)
def test_two_guests_do_not_disturb_each_other(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(ProbeVm(probe), ProbeVm(probe), budget=3_000_000_000)
