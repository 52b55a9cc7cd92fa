# SPDX-License-Identifier: MIT
"""What a grading has found, and the points that follow from it. Every output is made from this.

A test proves one exercise; the tests of an exercise are worth the same. A column is one way to link
the lab: cumulative takes all layers from the student, isolated the lower ones from the reference.
The score of a lab is the better of the cumulative points and the isolated ones times a factor: the
layers in hand are judged as they stand, and a fault far below does not take all that stands on it.

An exercise of the lab that is not written costs its own points. Where the reference is at hand,
what failed of the other exercises is tried once more with the reference's functions in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from course.questions import Answers, Row
from course.registry import Course, Exercise, Lab
from course.unwritten import Unwritten
from grader.grading import symptoms
from grader.grading.plan import (assign, is_static, measures, needs_company, prerequisites, short,
                                 stands_alone)
from grader.machine.verdict import Verdict
from tools.files import write_atomically

SCHEMA = 1
CUMULATIVE, ISOLATED = "cumulative", "isolated"
TODO_OF = re.compile(r"exercise (\d+\.\d+) \"")
JUDGED = (Verdict.FAIL, Verdict.CRASH, Verdict.HANG, Verdict.BUDGET)
NOT_TOLD = "EL2 stopped itself; its words are not told, for they may hold the reference's code"

EXIT_PASSED, EXIT_FAILED, EXIT_NOT_BUILT, EXIT_INFRASTRUCTURE = 0, 1, 2, 3


@dataclass
class Result:
    """How one test ended in one column."""

    verdict: Verdict
    seconds: float = 0.0
    instructions: int = 0  # of the longest of the test's machines
    properties: list[str] = field(default_factory=list)  # what its probes looked at, when measured
    seed: str = ""
    what: str = ""
    observed: str = ""
    expected: str = ""
    where: list[str] = field(default_factory=list)
    facts: dict[str, int] = field(default_factory=dict)
    symptom: str = ""  # a likely cause, from grader/grading/symptoms.toml
    blocked_by: str = ""  # the exercise that has to work first
    shown: Verdict | None = None  # what the test itself ended in, when that was blocked
    over: list[str] = field(default_factory=list)  # exercises that the reference stood in for
    alone: str = ""  # its verdict without them

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASS

    @property
    def message(self) -> str:
        """All that the grader says; what the machine printed (the console) is no part of it."""
        end = self.where.index("console:") if "console:" in self.where else len(self.where)
        return "\n".join([self.what, self.observed, self.expected, *self.where[:end]])

    def values(self) -> dict[str, Any]:
        """For JSON: only what there is."""
        found = {key: value for key, value in vars(self).items()
                 if value not in ("", [], {}, None, 0)}
        found["verdict"] = self.verdict.value
        if self.shown:
            found["shown"] = self.shown.value
        return found


@dataclass
class Column:
    """One way to link the lab."""

    name: str
    results: dict[str, Result] = field(default_factory=dict)  # by the test's short name
    build_error: str = ""  # the compiler's words when there is no image
    skipped: str = ""  # why it was not run
    # Not run because too few points were left to gain: the tests of which that is known.
    cannot: list[str] | None = None
    broken: list[str] = field(default_factory=list)  # what went wrong with the grader itself
    measured: dict[str, int] = field(default_factory=dict)  # what the lab's questions ask for
    unmeasured: dict[str, str] = field(default_factory=dict)  # by a question's test: why not
    spent: dict[str, int] = field(default_factory=dict)  # a measuring test's instructions
    # Tests that fail over the reference's functions, too: the fault is in what is written.
    own_faults: set[str] = field(default_factory=set)


@dataclass
class Grading:
    """A lab's result, complete or so far."""

    course: Course
    lab: Lab
    impl: str
    base: str = "own"
    exercise: str = ""  # only this one, when not empty
    columns: dict[str, Column] = field(default_factory=dict)
    tests: dict[str, Exercise] = field(default_factory=dict)  # in the order in which they run
    complete: bool = False
    source: str = ""  # hash of the submission
    refused: list[str] = field(default_factory=list)  # why a submission was not built
    ignored: list[str] = field(default_factory=list)  # files in it that nobody looked at
    answers: Answers = field(default_factory=Answers)  # the student's, to the lab's questions
    unwritten: Unwritten | None = None  # what of the lab is as it was handed out
    unfilled: str = ""  # why the reference could not stand in for it

    # ---- gathering ----

    def collected(self, nodeids: Iterable[str]) -> None:
        self.tests.update(assign(self.lab, nodeids))

    def add(self, column: str, line: Mapping[str, Any]) -> str:
        """Take in a line of the pytest plugin; the test's short name, "" when it only measures."""
        name = short(line["test"])
        if measures(name):
            self.columns[column].measured.update(line.get("measured", {}))
            if line["verdict"] == Verdict.PASS.value:
                self.columns[column].spent[name] = line["instructions"]
            else:
                test = name.split("::")[1].split("[")[0]
                self.columns[column].unmeasured[test] = ": ".join(
                    [line["verdict"],
                     *(line[key] for key in ("what", "observed") if line.get(key))])
            return ""
        fields: dict[str, Any] = {key: line[key] for key in line
                                  if key in Result.__dataclass_fields__}
        fields["verdict"] = Verdict(line["verdict"])
        result = Result(**fields)
        mine = self.tests.get(name)
        if mine and result.verdict is not Verdict.ERROR and (
                mine.id in self.whole or (mine.id in self.begun and is_static(name)
                                          and not result.passed)):
            result = self._unwritten(mine, result)
        elif not result.passed:
            result.symptom = symptoms.explain(result.facts, result.verdict.value, result.message)
        self.columns[column].results[name] = result
        return name

    def _unwritten(self, exercise: Exercise, result: Result) -> Result:
        """What a test shows of an exercise of which nothing is written, however it ended. A machine
        may go on without it."""
        assert self.unwritten is not None
        text = (f'exercise {exercise.id} "{exercise.title}" is not written yet '
                f"({self.unwritten.where(exercise.id)})")
        return Result(Verdict.TODO, result.seconds, result.instructions, seed=result.seed,
                      what=result.what, observed=text)

    @property
    def whole(self) -> list[str]:
        """Exercises of which nothing is written: they earn nothing."""
        return self.unwritten.whole if self.unwritten else []

    @property
    def begun(self) -> list[str]:
        """Exercises of which some function, or nothing, is written."""
        return self.unwritten.begun if self.unwritten else []

    def over_reference(self, column: Column, names: Iterable[str]) -> list[tuple[list[str],
                                                                                 list[str]]]:
        """What to run once more, and with the reference in place of which exercises.

        No test of an exercise runs where the reference stands in for a function of it.
        """
        failed = [name for name in names if name in column.results
                  and not column.results[name].passed
                  and column.results[name].verdict is not Verdict.ERROR]
        groups = [([name for name in failed if self.tests[name].id not in self.begun], self.begun)]
        for id_ in self.begun:
            if id_ not in self.whole:  # a part is written, and may wait for another exercise
                others = [other for other in self.begun if other != id_]
                groups.append(([name for name in failed if self.tests[name].id == id_
                                and self._todo(column.results[name]) in others], others))
        return [(tests, over) for tests, over in groups if tests and over]

    def ran_over(self, column: Column, name: str, own: Result, over: list[str]) -> None:
        """Take in a result over the reference's functions; `own` is that without them."""
        result = column.results[name]
        if not result.passed and result.verdict is not Verdict.ERROR and not self._todo(own):
            column.results[name] = own  # what it shows can be seen without them
            column.own_faults.add(name)
            return
        result.over, result.alone = over, own.verdict.value
        # What a submission says about memory that holds the reference's code is nobody's business.
        del result.where[result.where.index("console:") if "console:" in result.where else None:]
        if result.verdict is Verdict.CRASH:
            result.observed = NOT_TOLD

    @staticmethod
    def _todo(result: Result) -> str:
        """The unwritten exercise that a test came to."""
        is_todo = Verdict.TODO in (result.verdict, result.shown)
        todo = TODO_OF.search(result.observed) if is_todo else None
        return todo[1] if todo else ""

    def waiting(self) -> dict[str, dict[str, Fraction]]:
        """Points that cannot be known while an exercise is unwritten: of which exercises' tests."""
        column = self.columns.get(self.best, Column(""))
        found: dict[str, dict[str, Fraction]] = {}
        for name, exercise in self.tests.items():
            result = column.results.get(name)
            cause = result.blocked_by if result else ""
            if cause in self.begun and cause != exercise.id:
                points_of = found.setdefault(cause, {})
                points_of[exercise.id] = points_of.get(exercise.id, Fraction(0)) + self.worth(name)
        return found

    def block(self) -> None:
        """What failed because an exercise below it earned nothing, or fails by itself, is BLOCKED
        by that exercise.

        By its own exercise a test that passes where nothing is done, or of the disassembly:
        instructions that nothing executes show nothing. No other test of the exercise has seen
        its functions at work.

        What shows an exercise by itself is blocked only by one below that is not written and that
        the machine goes on without: what it then sees may be that.
        """
        quiet = {id_ for id_ in self.whole if self.course.exercise(id_).until_written}
        for column in self.columns.values():
            empty = {exercise.id for exercise in self.lab.exercises
                     if exercise.id in self.whole or not self._any_passed(column, exercise)}
            wrong = {exercise.id for exercise in self.lab.exercises
                     if self._fails_by_itself(column, exercise)}
            for name, result in column.results.items():
                exercise = self.tests.get(name)
                if exercise is None or result.verdict is Verdict.ERROR:
                    continue
                if result.passed:
                    cause = exercise.id if needs_company(name) and exercise.id in empty else ""
                else:
                    below = empty | wrong
                    if stands_alone(name):
                        below = set() if name in column.own_faults else quiet
                    cause = self._cause(result, exercise, below - set(result.over))
                if cause:
                    result.shown = result.shown or result.verdict
                    result.verdict, result.blocked_by = Verdict.BLOCKED, cause

    def _cause(self, result: Result, exercise: Exercise, empty: set[str]) -> str:
        todo = self._todo(result)
        if todo:
            return todo if todo != exercise.id else ""
        return next((e.id for e in prerequisites(self.lab, exercise) if e.id in empty), "")

    def _any_passed(self, column: Column, exercise: Exercise) -> bool:
        mine = {name: column.results[name] for name in self.names(exercise)
                if name in column.results}
        seen = [result for name, result in mine.items() if not needs_company(name)]
        return not mine or any(result.passed for result in seen or mine.values())

    def _fails_by_itself(self, column: Column, exercise: Exercise) -> bool:
        """Whether a test that shows the exercise without any other has found a fault in it."""
        return any(stands_alone(name) and name in column.results
                   and column.results[name].verdict in JUDGED for name in self.names(exercise))

    def fault_below(self, exercise: Exercise) -> str:
        """The first test that has found a fault by itself in what an exercise stands on."""
        results = self.columns.get(self.best, Column("")).results
        return next((name for entry in prerequisites(self.lab, exercise)
                     for name in self.names(entry) if stands_alone(name) and name in results
                     and results[name].verdict in JUDGED), "")

    @property
    def asks(self) -> bool:
        """Whether the lab's questions are a matter of this run: somebody has answered."""
        return bool(self.answers.values or self.answers.error) and not self.exercise

    @property
    def questions(self) -> list[Row]:
        """How each question of the lab stands, in the column that counts."""
        column = self.columns.get(self.best, Column(""))
        return [Row(question, self.answers.values.get(question.id),
                    column.measured.get(question.id),
                    column.unmeasured.get(question.test, "")) for question in self.lab.questions]

    # ---- points ----

    @property
    def exercises(self) -> list[Exercise]:
        return [e for e in self.lab.exercises if self.exercise in ("", e.id)]

    def names(self, exercise: Exercise) -> list[str]:
        return [name for name, owner in self.tests.items() if owner.id == exercise.id]

    def worth(self, name: str) -> Fraction:
        """Points of one test."""
        exercise = self.tests[name]
        return Fraction(exercise.points, len(self.names(exercise)))

    def earned(self, column: str, exercise: Exercise) -> Fraction:
        results = self.columns[column].results if column in self.columns else {}
        names = self.names(exercise)
        passed = sum(name in results and results[name].passed for name in names)
        return Fraction(exercise.points * passed, len(names)) if names else Fraction(0)

    def column_score(self, column: str) -> Fraction:
        return sum((self.earned(column, exercise) for exercise in self.exercises), Fraction(0))

    @property
    def factor(self) -> Fraction:
        return Fraction(str(self.course.isolated_factor))

    def hopeless(self) -> set[str]:
        """Tests that reach an unwritten exercise below theirs, as they would over any layers."""
        found = set()
        for name, result in self.columns[CUMULATIVE].results.items():
            mine = self.tests[name]
            below = {mine.id, *(exercise.id for exercise in prerequisites(self.lab, mine))}
            if result.verdict is Verdict.TODO and self._todo(result) in below:
                found.add(name)
        return found

    def hopeful(self) -> list[str]:
        """What did not pass over the student's own layers, and may over the reference's."""
        hopeless = self.hopeless()
        return [name for name, result in self.columns[CUMULATIVE].results.items()
                if not result.passed and name not in hopeless]

    def isolated_at_most(self) -> Fraction:
        """The isolated column's points if every test passes of which it has no result yet."""
        known = self.failed_isolated()
        return self.factor * sum((self.worth(name) for name in self.tests if name not in known),
                                 Fraction(0))

    def failed_isolated(self) -> set[str]:
        """What is known not to pass over the reference's layers."""
        results = self.columns[ISOLATED].results
        return self.hopeless() | {name for name, result in results.items()
                                  if result.verdict not in (Verdict.PASS, Verdict.ERROR)}

    def waits_for(self, name: str) -> str:
        """The exercise, not written yet, that a test cannot do without; "" for any other test."""
        return self._waits_for(self.result_of(name))

    def _waits_for(self, result: Result | None) -> str:
        if result is None or result.verdict is not Verdict.BLOCKED:
            return ""
        unwritten = result.shown is Verdict.TODO or result.blocked_by in self.whole
        return result.blocked_by if unwritten else ""

    @property
    def is_well_so_far(self) -> bool:
        """Whether of the one exercise that was asked for every test passes that can pass yet."""
        results = [(name, self.result_of(name)) for name in self.tests]
        return (bool(self.exercise) and any(result and result.passed for _, result in results)
                and all(result and (result.passed or self.waits_for(name))
                        for name, result in results))

    @property
    def holds_back(self) -> Fraction:
        """Points that are missing only because the layers below are the reference's."""
        return (self.maximum - self.score if self.best == ISOLATED and self.columns
                and self.column_score(ISOLATED) == self.maximum else Fraction(0))

    @property
    def best(self) -> str:
        """The column that counts."""
        if CUMULATIVE not in self.columns:
            return ISOLATED
        if ISOLATED not in self.columns or not self.columns[ISOLATED].results:
            return CUMULATIVE
        cumulative = self.column_score(CUMULATIVE)
        isolated = self.column_score(ISOLATED) * self.factor
        # Without points in either, the one over working layers says more about this lab.
        return ISOLATED if isolated > cumulative or not cumulative else CUMULATIVE

    @property
    def score(self) -> Fraction:
        factor = self.factor if self.best == ISOLATED else Fraction(1)
        return self.column_score(self.best) * factor

    @property
    def maximum(self) -> int:
        return sum(exercise.points for exercise in self.exercises)

    # ---- the outcome ----

    @property
    def infrastructure(self) -> list[str]:
        """What is the grader's fault and nobody else's."""
        found = [f"{column.name}: {text}" for column in self.columns.values()
                 for text in column.broken]
        for column in self.columns.values():
            found += [f"{name}: {result.what}" for name, result in column.results.items()
                      if result.verdict is Verdict.ERROR]
        return found

    @property
    def was_cut_short(self) -> bool:
        """Whether a run of tests ended before its end: what is missing is no fault of anybody's."""
        return any(column.broken for column in self.columns.values())

    @property
    def status(self) -> int:
        """The exit code."""
        ran = [column for column in self.columns.values() if not column.skipped]
        if self.refused or (ran and all(column.build_error for column in ran)):
            return EXIT_NOT_BUILT
        if self.infrastructure or not self.complete:
            return EXIT_INFRASTRUCTURE
        # Nothing can be mended where nobody asked for any but the reference's layers.
        all_passed = self.holds_back and self.base == "reference"
        all_right = self.score == self.maximum or self.is_well_so_far or all_passed
        return EXIT_PASSED if all_right else EXIT_FAILED

    def result_of(self, name: str) -> Result | None:
        """How a test counts: its result in the column that counts."""
        return self.columns[self.best].results.get(name) if self.best in self.columns else None

    def values(self) -> dict[str, Any]:
        """The JSON object, as docs/grading.md describes it."""
        best = self.best
        first = {exercise.id: name for name, exercise in self.tests.items()}
        worth = {id_: points(self.worth(name)) for id_, name in first.items()}
        return {
            "lab": self.lab.number,
            "impl": self.impl,
            "score": points(self.score),
            "max": self.maximum,
            "tests": [self._test_values(name, best, worth) for name in self.tests],
            "schema": SCHEMA,
            "complete": self.complete,
            "exit_code": self.status,
            "exercise": self.exercise,
            "base": self.base,
            "counts": best,
            "factor": float(self.factor),
            "source": self.source,
            "refused": self.refused,
            "ignored": self.ignored,
            "infrastructure": self.infrastructure,
            "columns": {column.name: {"score": points(self.column_score(column.name)),
                                      "build_error": column.build_error,
                                      "skipped": column.skipped, "cannot": column.cannot,
                                      "broken": column.broken}
                        for column in self.columns.values()},
            "exercises": [{"id": exercise.id, "title": exercise.title, "max": exercise.points,
                           "tests": len(self.names(exercise)),
                           **{name: points(self.earned(name, exercise)) for name in self.columns}}
                          for exercise in self.exercises],
            "questions": [{"id": row.question.id, "number": row.question.number, "state": row.state,
                           "answer": row.answer,
                           "measured": row.measured if row.answer is not None else None,
                           "problem": row.problem, "text": str(row)} for row in self.questions],
            "answers_error": self.answers.error,
            "unwritten": self.begun,
            "untouched": self.whole,
            "unfilled": self.unfilled,
        }  # fmt: skip

    def _test_values(self, name: str, best: str, worth: Mapping[str, float]) -> dict[str, Any]:
        result = self.columns[best].results.get(name) if best in self.columns else None
        waits_for, exercise = self._waits_for(result), self.tests[name].id
        return {"id": name, "exercise": exercise, "max": worth[exercise],
                "verdict": result.verdict.value if result else "",
                **({"waits_for": waits_for} if waits_for else {}),
                **{column.name: column.results[name].values() for column in self.columns.values()
                   if name in column.results}}  # fmt: skip

    def write(self, path: Path, more: Mapping[str, Any] | None = None) -> None:
        """In one step: a reader never sees half a file. `more`: what else is known of it.

        What is replaced by the next result is not laid out for people, which takes longer.
        """
        indent = 1 if self.complete else None
        values = {**self.values(), **(more or {})}
        write_atomically(path, json.dumps(values, indent=indent) + "\n")


def points(value: Fraction) -> float:
    """Two decimals; the sums are made before rounding."""
    return float(round(value, 2))
