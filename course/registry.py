# SPDX-License-Identifier: MIT
"""The registry of the course: course.toml, and each lab's lab.toml with its exercises.

Reading the registry checks it. A mistake that would show late (a score that is not out of 100, a
hint that never comes) is an error here, one line that names the place.

    python3 -m course.registry check     the registry is consistent
    python3 -m course.registry titles    the table that TODO() prints from (C initializers)
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from tools.errors import UserError, run_main

ROOT = Path(__file__).resolve().parent.parent
COURSE_FILE = "course.toml"
LAB_FILE = "lab.toml"  # in a lab's directory
SOLUTION, LABS = "solution", "labs"  # the trees of a lab's directory
ANSWERS = "answers.toml"  # in a lab's directory: what a student answers to its questions
POINTS_A_LAB = 100
HINTS_MIN = 2
MAILBOX_TEXT = 160  # bytes of strata_crash.text: what TODO() says must fit


@dataclass(frozen=True)
class Hint:
    """What helps on, and with which failures."""

    text: str
    fits: tuple[str, ...] = ()  # regular expressions: a test's name, or words of what it says

    def is_for(self, failure: str) -> bool:
        return any(re.search(pattern, failure) for pattern in self.fits)


@dataclass(frozen=True)
class Exercise:
    """One exercise: functions that a student writes, and what is known about them."""

    id: str
    title: str
    points: int
    functions: dict[str, tuple[str, ...]]  # file in the lab's directory -> functions in it
    tests: tuple[str, ...]
    needs: tuple[str, ...]  # exercises of the same lab that its tests rely on
    hints: tuple[Hint, ...]  # from vague to concrete
    manual: tuple[str, ...]  # sections of the architecture's documents
    until_written: dict[str, str] = field(default_factory=dict)  # function -> its starter's body

    @property
    def lab(self) -> int:
        return int(self.id.split(".")[0])

    def hint_for(self, failure: str) -> str:
        """The first hint that fits a failure, told by its test's name and words; else the first."""
        return next((hint for hint in self.hints if hint.is_for(failure)), self.hints[0]).text

    @property
    def anchor(self) -> str:
        """The name of its place in the lab text: <a id="13"></a> for exercise 1.3."""
        return self.id.replace(".", "")


@dataclass(frozen=True)
class Question:
    """A question of a lab's text whose answer is a number, which the grader measures too."""

    id: str  # its key in the lab's answers.toml
    number: int  # in the lab's text
    asks: str
    test: str  # which test of test_labNN_questions.py measures it
    tolerance: int  # per cent that an answer may be off


@dataclass(frozen=True)
class Lab:
    number: int
    directory: str  # in solution/ and in labs/: its name begins with labNN
    title: str
    adds: str  # what the layer is made of
    then: str  # what the machine does when it is there
    hours: int
    exercises: tuple[Exercise, ...]
    questions: tuple[Question, ...] = ()
    order: tuple[str, ...] = ()  # in which its exercises are best written; (): by their numbers

    @property
    def files(self) -> tuple[str, ...]:
        """The files of its directory that hold exercises: what a submission consists of."""
        return tuple(sorted({name for exercise in self.exercises for name in exercise.functions}))

    @property
    def in_order(self) -> tuple[Exercise, ...]:
        """Its exercises in the order in which they are best written."""
        by_id = {exercise.id: exercise for exercise in self.exercises}
        return tuple(by_id[id_] for id_ in self.order or by_id)

    @property
    def until_written(self) -> dict[str, str]:
        """What functions do that are not written yet, if anything but ending the machine."""
        return {name: body for exercise in self.exercises
                for name, body in exercise.until_written.items()}

    def text_of(self, exercise: Exercise) -> str:
        """Where a student reads about an exercise."""
        return f"labs/{self.directory}/README.md#{exercise.anchor}"


@dataclass(frozen=True)
class Course:
    title: str
    isolated_factor: float  # of a score reached over the reference's lower layers
    labs: tuple[Lab, ...]
    handout_exclude: tuple[str, ...]  # patterns of files that no student gets

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        return tuple(exercise for lab in self.labs for exercise in lab.exercises)

    def lab(self, number: int) -> Lab:
        for lab in self.labs:
            if lab.number == number:
                return lab
        known = ", ".join(str(lab.number) for lab in self.labs)
        raise UserError(f"LAB={number}: there is no such lab; there are {known}")

    def exercise(self, id_: str) -> Exercise:
        for exercise in self.exercises:
            if exercise.id == id_:
                return exercise
        raise UserError(f"EX={id_}: no such exercise; there are "
                        f"{', '.join(exercise.id for exercise in self.exercises)}")


class _Table:
    """A table of the file while it is read: every key is asked for once, none may be left over."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise UserError(f"{where}: must be a table")
        self._values: dict[str, Any] = dict(values)
        self.where = where

    def fail(self, key: str, text: str) -> UserError:
        return UserError(f"{self.where}: {key}: {text}")

    def get(self, key: str, kind: type, default: object = None) -> Any:
        if key not in self._values:
            if default is None:
                raise self.fail(key, "is missing")
            return default
        value = self._values.pop(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.fail(key, f"must be of type {kind.__name__}")
        return value

    def text(self, key: str) -> str:
        value = str(self.get(key, str))
        if not value.strip():
            raise self.fail(key, "is empty")
        return value

    def texts(self, key: str, at_least: int = 0, default: object = None) -> tuple[str, ...]:
        values = self.get(key, list, default)
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise self.fail(key, "must be a list of texts, none of them empty")
        if len(values) < at_least:
            raise self.fail(key, f"needs {at_least} entries or more")
        if len(set(values)) != len(values):
            raise self.fail(key, "has an entry twice")
        return tuple(" ".join(value.split()) for value in values)

    def done(self) -> None:
        if self._values:
            raise self.fail(next(iter(self._values)), "unknown key")


def _functions(table: _Table) -> dict[str, tuple[str, ...]]:
    functions = _Table(table.get("functions", dict), f"{table.where}: functions")
    names = tuple(functions._values)
    if not names:
        raise table.fail("functions", "is empty")
    for name in names:
        if not re.fullmatch(r"[a-z0-9_]+\.[chS]", name):
            raise table.fail("functions", f'"{name}" is not the name of a source file')
    found = {name: functions.texts(name, 1) for name in names}
    functions.done()
    return found


def _until_written(table: _Table, exercise: Exercise) -> dict[str, str]:
    """Bodies of functions of the exercise. Each names the exercise: who looks for what is to be
    written finds it."""
    bodies = _Table(table.get("until_written", dict, {}), f"{table.where}: until_written")
    names = tuple(bodies._values)
    found = {name: bodies.text(name).strip("\n") for name in names}
    for name, body in found.items():
        if name not in {name for names in exercise.functions.values() for name in names}:
            raise table.fail("until_written", f"{name} is not a function of the exercise")
        if not re.search(rf"\b(TODO|NOT_YET)\({re.escape(exercise.id)}\);", body):
            raise table.fail("until_written", f"{name} names no TODO({exercise.id}) or "
                                              f"NOT_YET({exercise.id})")
    return found


def _hints(table: _Table, tests: tuple[str, ...]) -> tuple[Hint, ...]:
    """A hint is a text, or a table of the text and of the failures that it fits."""
    hints = []
    for number, entry in enumerate(table.get("hints", list), start=1):
        if isinstance(entry, str):
            entry = {"hint": entry}
        each = _Table(entry, f"{table.where}: hint {number}")
        hint = Hint(" ".join(each.text("hint").split()), each.texts("fits", default=[]))
        each.done()
        for pattern in hint.fits:
            _check_fit(each, pattern, tests)
        hints.append(hint)
    if len(hints) < HINTS_MIN:
        raise table.fail("hints", f"needs {HINTS_MIN} entries or more")
    if len({hint.text for hint in hints}) != len(hints):
        raise table.fail("hints", "has an entry twice")
    return tuple(hints)


def _check_fit(table: _Table, pattern: str, tests: tuple[str, ...]) -> None:
    """Tests that a hint names, by the beginning of their names, are its exercise's."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise table.fail("fits", f'"{pattern}" is no regular expression: {error}') from error
    named = re.match(r"test_\w+", pattern)
    if named and not any(test.startswith(named[0]) for test in tests):
        raise table.fail("fits", f"no test of this exercise begins with {named[0]}")


def _exercise(values: object, lab: int, position: int, file: str) -> Exercise:
    id_ = f"{lab}.{position}"
    table = _Table(values, f"{file}: exercise {id_}")
    if table.text("id") != id_:
        raise table.fail("id", f"exercises are in order and without gaps: this one is {id_}")
    tests = table.texts("tests", 1)
    exercise = Exercise(
        id=id_,
        title=table.text("title"),
        points=table.get("points", int),
        functions=_functions(table),
        tests=tests,
        needs=table.texts("needs", default=[]),
        hints=_hints(table, tests),
        manual=table.texts("manual", 1),
    )
    exercise = replace(exercise, until_written=_until_written(table, exercise))
    table.done()
    if exercise.points < 0:
        raise table.fail("points", "must not be negative; 0 is for an optional exercise")
    return exercise


def _question(values: object, where: str) -> Question:
    table = _Table(values, where)
    question = Question(table.text("id"), table.get("number", int), table.text("asks"),
                        table.text("test"), table.get("tolerance", int, -1))
    table.done()
    if not re.fullmatch(r"[a-z0-9_]+", question.id):
        raise table.fail("id", "is a key of TOML: small letters, digits, _")
    return replace(question, tolerance=max(0, question.tolerance))


def _check_message(lab: Lab, exercise: Exercise, file: str) -> None:
    longest = max(exercise.functions, key=len)
    message = (f'exercise {exercise.id} "{exercise.title}" is not written yet '
               f"(labs/{lab.directory}/{longest}:000): see {lab.text_of(exercise)}")
    if len(message) >= MAILBOX_TEXT:
        raise UserError(f"{file}: exercise {exercise.id}: title: "
                        f"{len(message) - MAILBOX_TEXT + 1} characters too long for the "
                        "crash mailbox")


def _check_needs(table: _Table, lab: Lab) -> None:
    needs = {exercise.id: exercise.needs for exercise in lab.exercises}
    try:
        unknown = set(TopologicalSorter(needs).static_order()) - needs.keys()
    except CycleError as error:
        raise table.fail("needs", f"a circle: {' '.join(error.args[1])}") from error
    if unknown:
        raise table.fail("needs", f"{min(unknown)} is not an exercise of this lab")


def _read(root: Path, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads((root / file).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{root / file}: {error}") from error


def _lab(root: Path, tree: str, directory: str, number: int) -> Lab:
    if not re.fullmatch(rf"lab{number:02}-[a-z0-9]+(-[a-z0-9]+)*", directory):
        raise UserError(f"{tree}/{directory}: labs are in order and without gaps: "
                        f"this one is lab{number:02}-name")
    file = f"{tree}/{directory}/{LAB_FILE}"
    table = _Table(_read(root, file), file)
    exercises = table.get("exercise", list)
    lab = Lab(
        number=number,
        directory=directory,
        title=table.text("title"),
        adds=table.text("adds"),
        then=table.text("then"),
        hours=table.get("hours", int),
        exercises=tuple(_exercise(entry, number, position, file)
                        for position, entry in enumerate(exercises, start=1)),
        questions=tuple(_question(entry, f"{file}: question {position}")
                        for position, entry in enumerate(table.get("question", list, []), start=1)),
        order=table.texts("order", default=[]),
    )
    table.done()
    _check_needs(table, lab)
    if lab.order and sorted(lab.order) != sorted(exercise.id for exercise in lab.exercises):
        raise table.fail("order", "must name each exercise of the lab once")
    points = sum(exercise.points for exercise in lab.exercises)
    if points != POINTS_A_LAB:
        raise table.fail("exercise", f"the points add up to {points}, not to {POINTS_A_LAB}")
    for exercise in lab.exercises:
        _check_message(lab, exercise, file)
    return lab


@cache
def load_course(root: Path = ROOT) -> Course:
    """Read and check the registry of a tree; in a handout the labs' parts of it stand in labs/."""
    tree = SOLUTION if (root / SOLUTION).is_dir() else LABS
    directories = sorted(path.name for path in (root / tree).glob("lab*") if path.is_dir())
    table = _Table(_read(root, COURSE_FILE), COURSE_FILE)
    course = _Table(table.get("course", dict), f"{COURSE_FILE}: course")
    handout = _Table(table.get("handout", dict), f"{COURSE_FILE}: handout")
    result = Course(
        title=course.text("title"),
        isolated_factor=course.get("isolated_factor", float),
        labs=tuple(_lab(root, tree, name, number)
                   for number, name in enumerate(directories, start=1)),
        handout_exclude=handout.texts("exclude"),
    )
    for part in (course, handout, table):
        part.done()
    if not 0 < result.isolated_factor <= 1:
        raise UserError(f"{COURSE_FILE}: course: isolated_factor: must be above 0 and at most 1")
    return result


def titles(course: Course) -> Iterator[str]:
    """One C initializer an exercise: id, title, where its text stands."""
    yield "/* Made from each lab.toml by course/registry.py. */"
    for lab in course.labs:
        for exercise in lab.exercises:
            words = (exercise.id, exercise.title, lab.text_of(exercise))
            yield "\t{" + ", ".join(json.dumps(word) for word in words) + "},"


def main() -> int:
    parser = argparse.ArgumentParser(prog="course/registry.py", description="Read the registry.")
    parser.add_argument("action", choices=("check", "titles"))
    action = parser.parse_args().action
    course = load_course()
    if action == "titles":
        sys.stdout.write("\n".join(titles(course)) + "\n")
    else:
        print(f"the registry is good: {len(course.labs)} labs, {len(course.exercises)} exercises")
    return 0


if __name__ == "__main__":
    run_main(main)
