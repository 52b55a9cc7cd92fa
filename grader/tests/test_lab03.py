# SPDX-License-Identifier: MIT
"""Lab 3: virtual interrupts, list registers and their overflow, the distributor's registers."""

from __future__ import annotations

import pytest

from grader.conftest import Lab
from grader.probe import ProbeVm

LAB = 3

ALONE = [
    "gic_enable",
    "gic_level",
    "gic_nesting",
    "gic_no_trap",
    "gic_priority",
    "gic_registers",
    "gic_sgi",
]
IN_PAIRS = ["gic_two_vms", "gic_nesting", "gic_priority", "gic_level"]


@pytest.mark.parametrize("probe", ALONE)
def test_a_guest_sees_the_architecture(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(probe)


@pytest.mark.parametrize("probe", IN_PAIRS)
def test_two_guests_do_not_disturb_each_other(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(ProbeVm(probe), ProbeVm(probe))
