# SPDX-License-Identifier: MIT
"""Probes that a lab's grade runs on one kind of machine alone: here on GICv2 and on other CPUs."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

from course.registry import load_course
from grader.conftest import MakeLab
from grader.oracle.probe import ProbeVm
from grader.tests.lab01 import test_lab01
from grader.tests.lab04 import test_lab04

# Of each lab the tests of what its guests see: its lists ALONE and IN_PAIRS, and ON_GICV2 if
# a grade runs only some of ALONE there. Without ON_GICV2 it runs all on both.
MODULES = [import_module(f"grader.tests.{name}.test_{name}")
           for name in (f"lab{lab.number:02}" for lab in load_course().labs)]


def left_out(probes: str, on_gicv2: str) -> list[tuple[ModuleType, str]]:
    return [(module, probe) for module in MODULES if hasattr(module, "ON_GICV2")
            for probe in getattr(module, probes, ())
            if probe not in getattr(module, on_gicv2, ())]


ALONE = left_out("ALONE", "ON_GICV2")
IN_PAIRS = [*left_out("IN_PAIRS", "IN_PAIRS_ON_GICV2"), (test_lab04, "gic_priority")]


def name_of(value: object) -> str:
    return f"lab{value.LAB:02}" if isinstance(value, ModuleType) else str(value)


@pytest.mark.parametrize(("module", "probe"), ALONE, ids=name_of)
def test_a_guest_sees_the_architecture(make_lab: MakeLab, module: ModuleType, probe: str) -> None:
    devices = getattr(module, "EDU", ())
    vm = ProbeVm(probe, devices=tuple(device.address for device in devices[:1]))
    make_lab(module.LAB, gic=2).probe(vm, devices=devices, budget=test_lab04.BUDGET)


@pytest.mark.parametrize(("module", "probe"), IN_PAIRS, ids=name_of)
def test_two_guests_do_not_disturb_each_other(make_lab: MakeLab, module: ModuleType,
                                              probe: str) -> None:
    ignore = test_lab01.OF_LAYER_4 if module.LAB < 4 else ()
    make_lab(module.LAB, gic=2).probe(ProbeVm(probe), ProbeVm(probe), budget=test_lab04.BUDGET,
                                      ignore=ignore)


@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
@pytest.mark.parametrize(("number", "gic", "probe"),
                         [(2, 3, "memory_release"), (2, 3, "stage1_walk"), (3, 2, "gic_priority")])
def test_older_and_newer_cpus(make_lab: MakeLab, number: int, gic: int, probe: str,
                              cpu: str) -> None:
    make_lab(number, gic=gic).probe(probe, cpu=cpu)
