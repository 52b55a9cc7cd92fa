# SPDX-License-Identifier: MIT
"""`make fairness [LAB=n]`: what one unwritten exercise costs.

The solution without one exercise is graded as a student's work, for every exercise of every lab. It
may lose that exercise's points and no other. The last column says what it would lose where the
reference is not at hand, in a handout: there, tests that come to the exercise show nothing yet, and
say so: none of them fails.

    exit status  0 no exercise costs more than its own points, or lets others fail   1 one does
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from course import unwritten
from course.registry import LABS, ROOT, SOLUTION, Course, Exercise, load_course
from course.starters import make_starter
from grader.grading import filled, run
from grader.grading.model import CUMULATIVE, Grading, points
from grader.machine.verdict import Verdict
from tools.errors import UserError, run_main

SEEDS = (1,)


@dataclass(frozen=True)
class Cost:
    """What the lab's score lost because of one exercise."""

    exercise: Exercise
    lost: Fraction
    without: Fraction  # the same where the reference is not at hand
    others: tuple[str, ...]  # tests of other exercises that did not pass
    blamed: tuple[str, ...]  # tests of others that fail in a handout, and wait for nothing
    problem: str = ""

    @property
    def is_fair(self) -> bool:
        return not self.problem and self.lost == self.exercise.points and not self.blamed

    def __str__(self) -> str:
        words = (f"{self.exercise.id:5} {self.exercise.points:6} {points(self.lost):6g} "
                 f"{points(self.lost - self.exercise.points):6g} {points(self.without):8g}  "
                 f"{self.exercise.title}")
        return "\n".join([words, *([f"      {self.problem}"] if self.problem else []),
                          *(f"      {name}" for name in (*self.others, *self.blamed))])


HEAD = "      points   lost others  handout"


def work_without(course: Course, exercise: Exercise) -> dict[str, str]:
    """The files of a student who has written everything but one exercise, by their paths."""
    mine = course.lab(exercise.lab)
    found = {}
    for lab in course.labs[:exercise.lab]:
        for file in lab.files:
            path = ROOT / SOLUTION / lab.directory / file
            text = (make_starter(path, {exercise.id}, lab.until_written).text if lab is mine
                    else path.read_text("utf-8"))
            found[f"{LABS}/{lab.directory}/{file}"] = text
    return found


def cost(course: Course, exercise: Exercise, build: str, qemu: str, workers: int,
         folder: Path) -> Cost:
    """Grade that student's work."""
    lab = course.lab(exercise.lab)
    texts = work_without(course, exercise)
    own = folder / "own"
    filled.copy_tree(filled.SOURCES, own / "tree", texts)
    filled.link_guests((ROOT / build).resolve(), own)
    grading = Grading(course, lab, "labs")
    grading.unwritten = unwritten.find(lab, {path.rsplit("/", 1)[1]: text
                                             for path, text in texts.items()
                                             if lab.directory in path})
    if grading.unwritten.whole != [exercise.id]:
        raise UserError(f"{exercise.id} is not seen to be unwritten: {grading.unwritten.whole}")
    settings = run.Settings(impl="labs", build=str(own), qemu=qemu, workers=workers, seeds=SEEDS)

    def builder(number: int, column: str) -> str:
        return run.build_image(run.replace(settings, root=own / "tree"), number, column,
                               targets=("image",))

    settings = run.replace(settings, builder=builder)
    settings = run.replace(settings, filler=filled.beside(grading, settings, folder / "filled",
                                                          texts))
    grading.columns[CUMULATIVE] = column = run.Column(CUMULATIVE)
    column.build_error = builder(lab.number, CUMULATIVE)
    without, blamed = Fraction(0), tuple[str, ...]()
    if not column.build_error:
        run.run_tests(grading, CUMULATIVE, settings, _nobody)
        without, blamed = in_handout(grading, exercise)
        run.run_over_reference(grading, column, settings, _nobody, list(grading.tests))
        grading.block()
    lost = grading.maximum - grading.column_score(CUMULATIVE)
    others = tuple(f"{result.verdict.value} {name}: {result.what}; {result.observed}"
                   for name, result in column.results.items()
                   if not result.passed and grading.tests[name].id != exercise.id)
    problem = "; ".join(filter(None, [column.build_error, grading.unfilled, *column.broken]))
    return Cost(exercise, lost, without, others, blamed, problem)


def _nobody(_column: str, _name: str) -> None:
    """Who is told of each result."""


def in_handout(grading: Grading, exercise: Exercise) -> tuple[Fraction, tuple[str, ...]]:
    """What that work loses where the reference is not at hand, and what fails there of others'."""
    alone = deepcopy(grading)
    alone.block()
    results = alone.columns[CUMULATIVE].results
    blamed = tuple(f"in a handout {result.verdict.value} {name}: {result.what}; {result.observed}"
                   for name, result in results.items()
                   if not (result.passed or result.verdict is Verdict.BLOCKED)
                   and alone.tests[name].id != exercise.id)
    return alone.maximum - alone.column_score(CUMULATIVE), blamed


def costs(course: Course, exercises: list[Exercise], build: str, qemu: str,
          workers: int) -> Iterator[Cost]:
    folder = (ROOT / build / "fairness").resolve()
    for exercise in exercises:
        yield cost(course, exercise, build, qemu, workers, folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="grader.proof.fairness",
                                     description="What one unwritten exercise costs.")
    parser.add_argument("--build", default="build")
    parser.add_argument("--qemu", default="qemu-system-aarch64")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--lab", type=int, default=0)
    parser.add_argument("--exercise", action="append", default=[])
    arguments = parser.parse_args()
    course = load_course()
    exercises = ([course.exercise(id_) for id_ in arguments.exercise] or
                 [exercise for exercise in course.exercises
                  if arguments.lab in (0, exercise.lab)])
    print(HEAD, flush=True)
    unfair = 0
    for found in costs(course, exercises, arguments.build, arguments.qemu, arguments.workers):
        print(found, flush=True)
        unfair += not found.is_fair
    return int(unfair > 0)


if __name__ == "__main__":
    run_main(main)
