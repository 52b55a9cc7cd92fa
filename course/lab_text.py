# SPDX-License-Identifier: MIT
"""A lab's text for students, made of the one that authors write.

    <!-- tests of 1.1 -->    becomes the list of the exercise's tests, from lab.toml
    solution/lab01-...       becomes labs/lab01-..., as a student's debugger prints it
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from course.registry import LABS, ROOT, SOLUTION, Exercise, Lab

WIDTH = 110
PLACE = re.compile(r"(?m)^<!-- tests of (\d+\.\d+) -->$")
PATH = re.compile(rf"\b{SOLUTION}/(?=lab\d\d-)")
# What the file of a test tells of it; the other files run guests.
KINDS = (("_steps.py", "by itself"), ("_barriers.py", "in the disassembly"), ("", "on the machine"))


def _kind(file: str) -> str:
    return next(kind for ending, kind in KINDS if file.endswith(ending))


def _files_of(lab: Lab, root: Path) -> dict[str, str]:
    """The file in which each test of a lab stands."""
    return {match[1]: path.name
            for path in sorted((root / f"grader/tests/lab{lab.number:02}").glob("test_*.py"))
            for match in re.finditer(r"(?m)^def (test_\w+)", path.read_text("utf-8"))}


def list_of_tests(lab: Lab, exercise: Exercise, root: Path = ROOT) -> str:
    """Those of an exercise, each once, by what they need."""
    files = _files_of(lab, root)
    found: dict[str, dict[str, list[str]]] = {kind: {} for _, kind in KINDS}
    for pattern in exercise.tests:
        file, _, name = pattern.rpartition("::")
        name, _, parameters = name.partition("[")
        known = found[_kind(file or files.get(name, ""))].setdefault(name, [])
        parameters = parameters.removesuffix("]").removeprefix("*-").removesuffix("-*")
        known += [parameters] if parameters.strip("*") else []
    lines = []
    for kind, tests in found.items():
        words = [f"`{name}`" + (" with " + ", ".join(f"`{word}`" for word in parameters)
                                if parameters else "") for name, parameters in tests.items()]
        if words:
            lines.append(textwrap.fill(f"- Tests {kind}: {'; '.join(words)}", WIDTH,
                                       subsequent_indent="  ", break_long_words=False,
                                       break_on_hyphens=False))
    return "\n".join(lines)


def for_students(text: str, lab: Lab, root: Path = ROOT) -> str:
    by_id = {exercise.id: exercise for exercise in lab.exercises}
    text = PLACE.sub(lambda match: list_of_tests(lab, by_id[match[1]], root), text)
    return PATH.sub(f"{LABS}/", text)
