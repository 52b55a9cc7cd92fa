# SPDX-License-Identifier: MIT
"""The student's way through a lab: its exercises written one after the other, graded after each.

An exercise is written as the solution has it, the later ones are as in the starter. The table says
what the work earns as it grows, and how many points of what is written wait for a later exercise.
`make in-order LAB=1` prints it.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from course import starters
from course.registry import LABS, ROOT, SOLUTION, Course, Lab, load_course
from course.unwritten import read
from grader.grading import run
from grader.grading.model import CUMULATIVE, Column, Grading, points
from grader.grading.plan import patterns_of
from grader.machine.verdict import Verdict
from grader.proof.mutation import Workshop
from tools.errors import UserError, run_main


@dataclass
class Stage:
    """A lab after some of its exercises: the last one written, the points, what is missing."""

    exercise: str
    earned: Fraction
    written: int  # points of the exercises that are written
    wrong: list[str] = field(default_factory=list)  # their tests that fail for no later exercise
    waiting: dict[str, list[str]] = field(default_factory=dict)  # theirs, by what they wait for

    @property
    def waits(self) -> Fraction:
        """Points of written exercises that a later exercise holds back."""
        return self.written - self.earned

    def __str__(self) -> str:
        words = [f"{self.exercise:>5} {points(self.earned):6g} of {self.written:3}"
                 f", waiting {points(self.waits):g}"]
        words += [f"for {id_}: {name}" for id_, names in sorted(self.waiting.items())
                  for name in names]
        words += [f"FAIL {name}" for name in self.wrong]
        return "\n      ".join(words)


class Desk(Workshop):
    """A copy of the tree whose labs/ a student fills."""

    def write(self, course: Course, number: int, unwritten: Collection[str]) -> None:
        """Labs up to `number`, complete but for these exercises."""
        for lab in course.labs[:number]:
            for path in sorted((ROOT / SOLUTION / lab.directory).iterdir()):
                data = path.read_bytes()
                if path.suffix in starters.CODE:
                    data = starters.make_starter(path, unwritten,
                                                 lab.until_written).text.encode()
                target = self.tree / LABS / lab.directory / path.name
                if not target.exists() or target.read_bytes() != data:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(data)

    def grade(self, course: Course, lab: Lab, unwritten: Collection[str],
              only: tuple[str, ...] = ()) -> Grading:
        """All tests of a lab that stands so far."""
        self.write(course, lab.number, unwritten)
        settings = run.Settings(impl=LABS, build=str(self.folder), root=self.tree)
        problem = run.build_image(settings, lab.number, CUMULATIVE, targets=("image",))
        if problem:
            raise UserError(f"lab {lab.number} without {', '.join(unwritten)} does not build:\n"
                            f"{problem}")
        grading = Grading(course, lab, LABS, unwritten=read(lab, self.tree / LABS))
        column = grading.columns.setdefault(CUMULATIVE, Column(CUMULATIVE))
        settings = run.Settings(impl=LABS, build=str(self.folder), seeds=(1,), prebuilt=True,
                                only=only)
        run.run_tests(grading, CUMULATIVE, settings, lambda _column, _name: None)
        if column.broken:
            raise UserError(column.broken[0])
        grading.block()
        return grading


def stage_of(grading: Grading, exercise: str, unwritten: Collection[str]) -> Stage:
    """What a grading says of the exercises written so far, and of the others."""
    written = [entry for entry in grading.lab.exercises if entry.id not in unwritten]
    stage = Stage(exercise, sum((grading.earned(CUMULATIVE, entry) for entry in written),
                                Fraction(0)), sum(entry.points for entry in written))
    for name, result in grading.columns[CUMULATIVE].results.items():
        owner = grading.tests[name]
        if result.verdict is Verdict.BLOCKED and result.blocked_by in unwritten:
            stage.waiting.setdefault(result.blocked_by, []).append(
                f"{points(grading.worth(name)):g} of {owner.id} {name}")
        elif not result.passed:
            stage.wrong.append(f"{owner.id} {name}: {result.verdict.value} {result.what}: "
                               f"{result.observed}"[:300])
    return stage


def stages(build: str, lab: Lab, course: Course,
           after: Collection[str] = ()) -> Iterator[Stage]:
    """The lab after each of its exercises, or after these. The tests of those that are not written
    are not run: they earn nothing."""
    desk, order = Desk(build, 90 + lab.number), [exercise.id for exercise in lab.in_order]
    for count, exercise in enumerate(order, start=1):
        if after and exercise not in after:
            continue
        unwritten = order[count:]
        written = [entry for entry in lab.exercises if entry.id not in unwritten]
        patterns = [pattern for entry in written for pattern in patterns_of(lab, entry)]
        yield stage_of(desk.grade(course, lab, unwritten, tuple(patterns)), exercise, unwritten)


def main() -> int:
    parser = argparse.ArgumentParser(prog="grader/proof/in_order.py",
                                     description="A lab's points after each of its exercises.")
    parser.add_argument("--lab", type=int, required=True)
    parser.add_argument("--after", action="append", default=[], help="only after this exercise")
    parser.add_argument("--build", default="build")
    arguments = parser.parse_args()
    course = load_course()
    lab = course.lab(arguments.lab)
    order = ", ".join(entry.id for entry in lab.in_order)
    print(f"lab {lab.number} in the order {order}: after each, points earned of those of what is "
          "written", flush=True)
    bad = False
    for stage in stages(arguments.build, lab, course, arguments.after):
        print(stage, flush=True)
        bad = bad or bool(stage.wrong)
    return int(bad)


if __name__ == "__main__":
    run_main(main)
