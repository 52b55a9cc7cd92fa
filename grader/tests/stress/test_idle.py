# SPDX-License-Identifier: MIT
"""Each exercise of the solution with functions that do nothing, all others as they are: it earns
nothing. What passes nevertheless is in grader/grading/idle.json, and counts only with another test.

Half an hour of processor time: with --full alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from course.registry import Exercise, load_course
from grader.grading import plan, run
from grader.grading.model import CUMULATIVE, Grading
from grader.machine.options import current
from grader.proof import cheating
from grader.proof.mutation import Workshop

COURSE = load_course()
EXERCISES = [exercise for lab in COURSE.labs for exercise in lab.exercises]


def passed_without_work(exercise: Exercise, shop: Workshop) -> tuple[list[str], float]:
    """The tests of the exercise that pass, and the points that it gets."""
    lab = COURSE.lab(exercise.lab)
    folder, changed = shop.tree / "solution" / lab.directory, list[Path]()
    for path in sorted(folder.rglob("*.[chS]")):
        text = path.read_text("utf-8")
        idle = cheating.without_work(text, exercise.id)
        if idle != text:
            path.write_text(idle, "utf-8")
            changed.append(path)
    try:
        assert changed and shop.build(lab.number) == ""
        grading = Grading(COURSE, lab, "solution")
        settings = run.Settings(impl="solution", build=str(shop.folder), seeds=(1,), prebuilt=True,
                                workers=0, only=tuple(plan.patterns_of(lab, exercise)))
        run.grade(grading, settings, lambda _column, _name: None)
    finally:
        shop.restore(changed)
    results = grading.columns[CUMULATIVE].results
    passes = [name for name, result in results.items() if "PASS" in (
        result.verdict.value, result.shown.value if result.shown else "")]
    return passes, float(grading.earned(CUMULATIVE, exercise))


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: str(exercise.id))
def test_an_exercise_that_does_nothing_earns_nothing(exercise: Exercise) -> None:
    if not current().full:
        pytest.skip("with --full")
    passes, points = passed_without_work(exercise, Workshop(current().build, 90))
    assert points == 0
    known = json.loads(plan.IDLE.read_text("utf-8"))
    assert [name for name in passes if not plan.is_static(name) and name not in known] == []
