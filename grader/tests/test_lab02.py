# SPDX-License-Identifier: MIT
"""Lab 2: stage 2, EL2's own map, MMIO emulation, demand paging."""

from __future__ import annotations

import pytest

from grader.conftest import Lab
from grader.probe import ProbeVm

LAB = 2

ALONE = [
    "stage2_abort",
    "stage1",
    "mmio_decode",
    "memory_release",
    "memory_isolation",
    "self_modifying",
    "pl011",
    "registers_preserved",
    "exit_modes",
    "id_registers",
]
IN_PAIRS = ["memory_isolation", "memory_reuse", "stage1", "mmio_decode", "world_switch_fp"]


@pytest.mark.parametrize("probe", ALONE)
def test_a_guest_sees_the_architecture(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(probe)


@pytest.mark.parametrize("probe", IN_PAIRS)
def test_two_guests_do_not_disturb_each_other(lab: Lab, probe: str) -> None:
    lab.probe(ProbeVm(probe), ProbeVm(probe))
