# SPDX-License-Identifier: MIT
"""Probes that a lab's grade runs on one kind of machine alone: here on GICv2 and on other CPUs."""

from __future__ import annotations

import pytest

from grader.conftest import MakeLab
from grader.oracle.probe import ProbeVm
from grader.tests.lab01 import test_lab01
from grader.tests.lab02 import test_lab02
from grader.tests.lab04 import test_lab04

LABS = (test_lab01, test_lab02, test_lab04)
ALONE = [(module.LAB, probe) for module in LABS for probe in module.ALONE
         if probe not in module.ON_GICV2]
IN_PAIRS = [
    *((1, probe) for probe in test_lab01.IN_PAIRS),
    *((2, probe) for probe in test_lab02.IN_PAIRS),
    *((4, probe) for probe in test_lab04.IN_PAIRS if probe not in test_lab04.IN_PAIRS_ON_GICV2),
    (4, "gic_priority"),
]


@pytest.mark.parametrize(("number", "probe"), ALONE)
def test_a_guest_sees_the_architecture(make_lab: MakeLab, number: int, probe: str) -> None:
    make_lab(number, gic=2).probe(probe, budget=test_lab04.BUDGET)


@pytest.mark.parametrize(("number", "probe"), IN_PAIRS)
def test_two_guests_do_not_disturb_each_other(make_lab: MakeLab, number: int, probe: str) -> None:
    ignore = test_lab01.OF_LAYER_4 if number < 4 else ()
    make_lab(number, gic=2).probe(ProbeVm(probe), ProbeVm(probe), budget=test_lab04.BUDGET,
                                  ignore=ignore)


@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
@pytest.mark.parametrize(("number", "gic", "probe"),
                         [(2, 3, "memory_release"), (2, 3, "stage1_walk"), (3, 2, "gic_priority")])
def test_older_and_newer_cpus(make_lab: MakeLab, number: int, gic: int, probe: str,
                              cpu: str) -> None:
    make_lab(number, gic=gic).probe(probe, cpu=cpu)
