# SPDX-License-Identifier: MIT
"""A machine does something new long before a lab is done: what runs after which exercise."""

from __future__ import annotations

import pytest

from course.registry import load_course
from grader.grading.model import CUMULATIVE
from grader.grading.plan import patterns_of
from grader.machine import images, options
from grader.proof.in_order import Desk

COURSE = load_course()


@pytest.mark.parametrize(("after", "runs"), [
    ("1.2", "test_the_first_guest_says_hello"),
    ("1.6", "test_a_guest_sees_the_architecture[*-hypercalls]"),
    ("2.6", "test_a_guest_sees_the_architecture[*-registers_preserved]"),
    ("3.8", "test_guests_that_take_no_interrupt_run_as_before[*]"),
    ("4.7", "test_two_guests_do_not_disturb_each_other[*-sched_fair]"),
])
def test_a_guest_runs_after(after: str, runs: str) -> None:
    """With what a lab's `order` has up to there, and the starters' bodies for the rest."""
    images.guest("hello")
    lab = COURSE.lab(COURSE.exercise(after).lab)
    order = [exercise.id for exercise in lab.in_order]
    unwritten = order[order.index(after) + 1:]
    with images.exclusive("in-order"):
        desk = Desk(options.current().build, 80)
        grading = desk.grade(COURSE, lab, unwritten, (f"test_lab{lab.number:02}.py::{runs}",))
    results = grading.columns[CUMULATIVE].results
    assert results and all(result.passed for result in results.values()), results


def test_in_a_handout_what_stands_on_an_unwritten_exercise_waits() -> None:
    """Without 2.3 nothing is unmapped, and no TODO ends the machine: of 2.9 nothing is known."""
    images.guest("hello")
    lab = COURSE.lab(2)
    own = patterns_of(lab, COURSE.exercise("2.9"))
    with images.exclusive("in-order"):
        grading = Desk(options.current().build, 80).grade(COURSE, lab, ("2.3",), tuple(own))
    waits = {name: grading.waits_for(name) for name, result
             in grading.columns[CUMULATIVE].results.items() if not result.passed}
    assert "test_lab02_steps.py::test_memory_goes_back_when_nothing_leads_to_it" in waits
    assert set(waits.values()) == {"2.3"}
