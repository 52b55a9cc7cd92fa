# SPDX-License-Identifier: MIT
"""Devices of VMs that do not run on the first CPU, where the interrupts of all devices arrive.

State of the SMMU changes on whichever CPU a VM runs, resets or ends.
"""

from __future__ import annotations

import pytest

from grader.conftest import MakeLab
from grader.machine.verdict import expect, expect_that
from grader.oracle.objects import Objects
from grader.oracle.probe import ProbeVm
from grader.tests.lab05.test_lab05 import BUDGET, EDU, FIRST, edus, some

LAYERS = 6
GICS = pytest.mark.parametrize("gic", [3, 2], indirect=True)


def on(cpu: int, probe: str, **options: object) -> ProbeVm:
    return ProbeVm(probe, name=f"on-{cpu}", pin=((cpu,),), **options)  # type: ignore[arg-type]


@GICS
def test_interrupts_of_one_line_reach_owners_on_two_cpus(make_lab: MakeLab, gic: int) -> None:
    """Two VMs with two devices each, and all four on two lines."""
    mine, others = some(2, 2), some(2, 6)
    make_lab(LAYERS, gic=gic).probe(on(1, "pci_lines", devices=mine),
                                    on(3, "pci_lines", devices=others),
                                    devices=edus(*mine, *others), smp=4, budget=BUDGET)


@GICS
def test_a_vm_resets_with_its_device(make_lab: MakeLab, gic: int) -> None:
    machine, _ = make_lab(LAYERS, gic=gic).probe(
        on(2, "pci_reset", devices=(FIRST,)), devices=EDU[:1], smp=4, budget=BUDGET)
    expect("the VM was reset", Objects(machine).vm(0).get("reset_count"), 1)


def test_a_storm_on_one_cpu_is_charged_to_its_vm(make_lab: MakeLab) -> None:
    """Eight devices of VM 0 go where they may not; VM 1 checks its memory and its share."""
    addresses = some(8)
    machine, _ = make_lab(LAYERS).probe(on(1, "dma_storm", devices=addresses), on(2, "victim"),
                                        devices=edus(*addresses), smp=4, budget=BUDGET)
    charged = [vm.get("dma.event_count") for vm in Objects(machine).vms()]
    expect_that("VM 0 is charged", charged[0] > 64, charged)
    expect("VM 1 is not", charged[1], 0)
