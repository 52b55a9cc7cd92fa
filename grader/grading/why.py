# SPDX-License-Identifier: MIT
"""`make why TEST=name`: the last failure of a test in full, from what `make grade` wrote down."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from course.registry import ROOT
from grader.grading.model import Grading
from grader.grading.stored import read
from grader.grading.text import explain
from tools.errors import UserError, run_main


def newest_first(folder: Path) -> Iterator[Grading]:
    paths = [path for path in folder.glob("*.json") if "." not in path.stem]
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        grading = read(path)
        if grading:
            yield grading


def find(folder: Path, wanted: str) -> tuple[Grading, str]:
    """A test whose name is or contains `wanted` and whose last run failed, and that grading."""
    wanted = wanted.removeprefix("grader/").removeprefix("tests/")
    ran: list[str] = []  # of each only the last run counts
    for grading in newest_first(folder):
        names = [name for name in grading.tests if grading.result_of(name) and name not in ran]
        found = [name for name in names if wanted in (name, name.split("::")[1])]
        found = found or [name for name in names if wanted in name]
        failed = [name for name in found
                  if (result := grading.result_of(name)) and not result.passed]
        if failed:
            return grading, failed[0]
        ran += found
    if ran:
        raise UserError(f"TEST={wanted}: {ran[0]} passed when it last ran")
    raise UserError(f"TEST={wanted}: no test of that name has run; make grade runs the tests")


def main() -> int:
    parser = argparse.ArgumentParser(prog="grader/grading/why.py",
                                     description="The last failure of a test.")
    parser.add_argument("--build", default="build")
    parser.add_argument("test")
    arguments = parser.parse_args()
    grading, name = find(ROOT / arguments.build / "grade", arguments.test)
    result = grading.result_of(name)
    assert result is not None
    print("\n".join(explain(grading, name, result)))
    return 0


if __name__ == "__main__":
    run_main(main)
