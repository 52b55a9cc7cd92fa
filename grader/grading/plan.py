# SPDX-License-Identifier: MIT
"""Which tests prove which exercise: lab.toml's `tests`, and what a lower exercise blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath

from course.registry import ROOT, Course, Exercise, Lab

TESTS = "grader/tests"
# Tests that pass where their exercise's functions do nothing, and all others are the reference's;
# grader/tests/stress/test_idle.py says when that is not so.
IDLE = Path(__file__).resolve().parent / "idle.json"


def _split(name: str) -> tuple[str, str]:
    """A test's name and its parameters, "" when it has none."""
    name, _, parameters = name.partition("[")
    return name, parameters.removesuffix("]")


def short(nodeid: str) -> str:
    """A test as people call it: test_lab02.py::test_x[y] of .../tests/test_lab02.py::test_x[y]."""
    path, _, name = nodeid.partition("::")
    return f"{PurePosixPath(path).name}::{name}"


def path_of(name: str) -> str:
    """The path of a test that is called by its short name: test files have names of their own."""
    file, _, test = name.partition("::")
    found = sorted((ROOT / TESTS).rglob(file))
    path = found[0].relative_to(ROOT).as_posix() if found else f"{TESTS}/{file}"
    return f"{path}::{test}" if test else path


def matches(pattern: str, nodeid: str) -> bool:
    """Whether a test matches a pattern of lab.toml: file::name[parameters]."""
    file, _, name = pattern.partition("::")
    nodefile, _, nodename = short(nodeid).partition("::")
    (wanted, parameters), (found, actual) = _split(name), _split(nodename)
    return fnmatchcase(nodefile, file) and wanted == found and fnmatchcase(actual, parameters)


def selects(patterns: Iterable[str], nodeid: str) -> bool:
    return any(matches(pattern, nodeid) for pattern in patterns)


def patterns_of(lab: Lab, exercise: Exercise) -> list[str]:
    """An exercise's tests as full patterns; in lab.toml the lab's own files need no name."""
    own = f"test_lab{lab.number:02}*.py"
    return [name if "::" in name else f"{own}::{name}" for name in exercise.tests]


def selection(course: Course, number: int, exercise: str = "") -> list[str]:
    """The patterns of a lab, or of one exercise in it."""
    lab = course.lab(number)
    return [pattern for entry in lab.exercises if exercise in ("", entry.id)
            for pattern in patterns_of(lab, entry)]


def question_patterns(lab: Lab) -> list[str]:
    """The tests that measure what the lab's questions ask for."""
    return sorted({f"test_lab{lab.number:02}_questions.py::{question.test}[*]"
                   for question in lab.questions})


def measures(nodeid: str) -> bool:
    """Whether a test only measures."""
    return short(nodeid).split("::")[0].endswith("_questions.py")


def is_static(name: str) -> bool:
    """Whether a test only reads the image: those of test_labNN_barriers.py do."""
    return short(name).split("::")[0].endswith("_barriers.py")


@cache
def _idle() -> frozenset[str]:
    return frozenset(json.loads(IDLE.read_text("utf-8")))


def needs_company(name: str) -> bool:
    """Whether a test shows nothing of its exercise unless another test of it passes: it only reads
    the image, or passes as well where the functions of the exercise do nothing."""
    return is_static(name) or short(name) in _idle()


def stands_alone(name: str) -> bool:
    """Whether a test shows its exercise without any other: those of test_labNN_steps.py do."""
    return short(name).split("::")[0].endswith("_steps.py")


def assign(lab: Lab, nodeids: Iterable[str]) -> dict[str, Exercise]:
    """The exercise that each test proves, in the registry's order; no test that none claims."""
    left, found = list(nodeids), dict[str, Exercise]()
    for exercise in lab.exercises:
        for pattern in patterns_of(lab, exercise):
            found.update((short(nodeid), exercise) for nodeid in left if matches(pattern, nodeid))
            left = [nodeid for nodeid in left if short(nodeid) not in found]
    return found


def prerequisites(lab: Lab, exercise: Exercise) -> list[Exercise]:
    """What an exercise stands on within its lab, what stands lowest first."""
    by_id = {entry.id: entry for entry in lab.exercises}
    found: dict[str, Exercise] = {}

    def add(ids: Iterable[str]) -> None:
        for id_ in ids:
            add(by_id[id_].needs)
            found.setdefault(id_, by_id[id_])

    add(exercise.needs)
    return list(found.values())
