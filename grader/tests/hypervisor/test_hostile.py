# SPDX-License-Identifier: MIT
"""No guest stops EL2, harms its neighbour or starves it, whatever it does."""

from __future__ import annotations

import pytest

from grader.conftest import WHOLE, Lab, MakeLab
from grader.machine.verdict import expect_that
from grader.oracle import crash
from grader.oracle.probe import ProbeVm

BUDGET = 1_000_000_000

ENDING = [
    "hostile_console",
    "hostile_hypercalls",
    "hostile_ipa",
    "hostile_jump",
    "hostile_memory",
    "hostile_mmio",
    "hostile_sysreg",
]
ENDLESS = ["hostile_spin", "hostile_storm", "hostile_vectors", "hostile_reset"]


def check(lab: Lab, hostile: str, victim: str, ends: bool) -> None:
    machine, _ = lab.probe(
        ProbeVm(hostile, name="hostile", reports=ends),
        ProbeVm(victim, name="victim"),
        budget=BUDGET,
    )
    expect_that("EL2 lives", crash.read(machine) is None, crash.read(machine))


@pytest.mark.parametrize("hostile", ENDING)
def test_neighbour_lives_with_a_guest_that_ends(make_lab: MakeLab, gic: int, hostile: str) -> None:
    check(make_lab(WHOLE, gic), hostile, "victim", ends=True)


@pytest.mark.parametrize("hostile", ENDLESS)
def test_neighbour_lives_with_a_guest_that_never_ends(
    make_lab: MakeLab, gic: int, hostile: str
) -> None:
    check(make_lab(WHOLE, gic), hostile, "victim", ends=False)


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("hostile", ["hostile_hypercalls", "hostile_jump", "hostile_memory"])
def test_without_preemption_too(make_lab: MakeLab, number: int, hostile: str) -> None:
    check(make_lab(number), hostile, "victim_yield", ends=True)


def test_lab_1_survives_random_calls(make_lab: MakeLab) -> None:
    check(make_lab(1), "hostile_hypercalls", "victim_yield", ends=True)


@pytest.mark.parametrize("hostile", ["hostile_sysreg", "hostile_hypercalls"])
@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
def test_every_encoding_on_older_and_newer_cpus(make_lab: MakeLab, cpu: str, hostile: str) -> None:
    make_lab(WHOLE).probe(hostile, cpu=cpu, budget=BUDGET)
