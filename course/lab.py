# SPDX-License-Identifier: MIT
"""The student's loop: `make lab02` names the next exercise and its text, `make hint` helps."""

from __future__ import annotations

import argparse
import json
import re
import textwrap
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from course.registry import ROOT, Course, Exercise, Lab, load_course
from tools.errors import UserError, run_main
from tools.files import write_atomically

TODO = re.compile(r"\b(?:TODO|NOT_YET)\(\s*(\d+\.\d+)\s*\)")
# Comments, strings and characters of C, and comments of assembly: no code stands in them.
NOT_CODE = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])'", re.DOTALL)


@dataclass(frozen=True)
class Open:
    """A place that still says TODO(n.m) or NOT_YET(n.m)."""

    exercise: str
    file: str
    line: int


def open_places(path: Path, name: str) -> list[Open]:
    """What is still to be written in a source file. A TODO in a comment does not count."""
    text = path.read_text("utf-8", "replace")
    code = NOT_CODE.sub(lambda match: "\n" * match[0].count("\n") or " ", text)
    return [Open(match[1], name, number) for number, line in enumerate(code.split("\n"), start=1)
            for match in TODO.finditer(line)]


def open_exercises(course: Course, first: int, last: int,
                   root: Path = ROOT) -> dict[str, list[Open]]:
    """The exercises of labs first..last that are not finished, in order, with their places."""
    found: dict[str, list[Open]] = {}
    for lab in course.labs[first - 1:last]:
        places = []
        for file in lab.files:
            path = root / "labs" / lab.directory / file
            if not path.is_file():
                raise UserError(f"labs/{lab.directory}/{file}: missing; "
                                "a submission consists of it")
            places += open_places(path, f"labs/{lab.directory}/{file}")
        for exercise in lab.exercises:
            mine = [place for place in places if place.exercise == exercise.id]
            if mine:
                found[exercise.id] = mine
    return found


def so_far(passed: int, can_pass: int, waiting: Collection[str]) -> str:
    """How tests stand: those that can pass now, and for which exercise each of the others waits."""
    words = [f"{passed} of {can_pass} tests that can pass so far pass"]
    words += [f"{count} {'waits' if count == 1 else 'wait'} for {id_}"
              for id_, count in sorted(Counter(waiting).items(), key=_numbers)]
    return ", ".join(words)


def _numbers(item: tuple[str, int]) -> list[int]:
    """1.10 comes after 1.9."""
    return [int(part) for part in item[0].split(".")]


def _last_graded(lab: Lab, grades: Path) -> list[str]:
    """What `make grade` found last, of the lab or of one of its exercises."""
    files = [grades / f"lab{lab.number:02}.json", *grades.glob(f"exercise-{lab.number}-*.json")]
    files = [path for path in files if path.is_file()]
    if not files:
        return []
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    try:
        values = json.loads(newest.read_text("utf-8"))
        tests = [test for test in values["tests"] if test["verdict"] != "TODO"]
        waiting = [test["waits_for"] for test in tests if test.get("waits_for")]
        passed = sum(test["verdict"] == "PASS" for test in tests)
    except (OSError, ValueError, KeyError, TypeError):
        return []
    what = f"exercise {values['exercise']}" if values.get("exercise") else f"lab {lab.number}"
    return [f"graded last, {what}: {so_far(passed, len(tests) - len(waiting), waiting)}"]


def _where(exercise: Exercise, places: list[Open]) -> list[str]:
    lines = [f"  {place.file}:{place.line}" for place in places[:4]]
    if len(places) > 4:
        lines.append(f"  and {len(places) - 4} more")
    return lines


def next_text(course: Course, number: int, base: str, root: Path = ROOT,
              grades: Path = ROOT / "build" / "grade") -> str:
    """What `make labNN` says when the tree has been built."""
    course.lab(number)
    first = number if base == "reference" else 1
    exercises = [exercise for exercise in course.exercises if first <= exercise.lab <= number]
    unfinished = open_exercises(course, first, number, root)
    labs = f"lab {number}" if first == number else f"labs {first} to {number}"
    done = f"{labs}: {len(exercises) - len(unfinished)} of {len(exercises)} exercises are written"
    arguments = f"LAB={number}" + (" BASE=reference" if base == "reference" else "")
    if not unfinished:
        return "\n".join([done, f"  prove it:  make grade {arguments}",
                          f"  hand in:   make submit LAB={number}"])
    lab = course.lab(course.exercise(next(iter(unfinished))).lab)
    exercise = next(entry for entry in lab.in_order if entry.id in unfinished)
    return "\n".join([
        done,
        *_last_graded(lab, grades),
        f'next: exercise {exercise.id} "{exercise.title}", {exercise.points} points',
        *_where(exercise, unfinished[exercise.id]),
        f"  text:   {lab.text_of(exercise)}",
        f"  run:    make run {arguments} IMPL=labs",
        f"  check:  make grade {arguments} EX={exercise.id}",
        f"  stuck:  make hint EX={exercise.id}",
    ])


def _read_state(path: Path) -> dict[str, int]:
    """How many hints were given for each exercise; none if the file cannot be read."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {key: value for key, value in values.items() if isinstance(value, int) and value >= 0}


def hint_text(course: Course, id_: str, state: Path) -> str:
    """One more hint at each call, after those that were given before."""
    exercise = course.exercise(id_)
    lab = course.lab(exercise.lab)
    counts = _read_state(state)
    count = min(counts.get(id_, 0) + 1, len(exercise.hints))
    write_atomically(state, json.dumps({**counts, id_: count}, indent=1, sort_keys=True) + "\n")
    lines = [f'exercise {id_} "{exercise.title}": {lab.text_of(exercise)}']
    lines += [textwrap.fill(hint.text, 96, initial_indent=f"  {number}. ",
                            subsequent_indent="     ")
              for number, hint in enumerate(exercise.hints[:count], start=1)]
    lines += [f"  read: {section}" for section in exercise.manual]
    left = len(exercise.hints) - count
    lines.append(f"  make hint EX={id_} again: {left} left" if left else "  that is all of them")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="course/lab.py",
                                     description="The next exercise, and hints.")
    actions = parser.add_subparsers(dest="action", required=True)
    next_ = actions.add_parser("next")
    next_.add_argument("--lab", type=int, required=True)
    next_.add_argument("--base", choices=("own", "reference"), default="own")
    next_.add_argument("--grades", type=Path, default=ROOT / "build" / "grade")
    hint = actions.add_parser("hint")
    hint.add_argument("--exercise", required=True)
    hint.add_argument("--state", type=Path, required=True)
    arguments = parser.parse_args()

    course = load_course()
    if arguments.action == "next":
        print(next_text(course, arguments.lab, arguments.base, grades=arguments.grades))
    else:
        print(hint_text(course, arguments.exercise, arguments.state))
    return 0


if __name__ == "__main__":
    run_main(main)
