# SPDX-License-Identifier: MIT
"""`make why TEST=name`: the last failure of a test in full, from what `make grade` wrote down.

With SUBMISSION=file that of a submission, from what `make grade` or `make grade-class` wrote down
of the same files; without TEST all that there is to say of it.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from course.registry import ROOT, load_course
from grader.grading import submission
from grader.grading.model import Grading
from grader.grading.stored import read
from grader.grading.text import explain, whole
from tools.errors import UserError, run_main


def newest_first(folder: Path) -> Iterator[Grading]:
    paths = [path for path in folder.glob("*.json")
             if not path.name.startswith(".") and not path.stem.endswith(".gradescope")]
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
    lab = re.search(r"lab0(\d)", wanted)
    raise UserError(f"TEST={wanted}: no result of a test of that name; make grade "
                    f"LAB={lab[1] if lab else 'n'} makes them, make test and pytest keep none")


def find_submission(folders: list[Path], source: Path) -> Grading:
    """The last result of a submission: who has handed in the same files has the same."""
    if not os.path.lexists(source):
        raise UserError(f"SUBMISSION={source}: no such file or directory")
    course, digests = load_course(), dict[int, str]()
    for folder in folders:
        for grading in newest_first(folder):
            number = grading.lab.number
            if number not in digests:
                digests[number] = submission.read(source, course, number).digest
            if grading.source == digests[number]:
                return grading
    raise UserError(f"SUBMISSION={source}: these files have no result yet; "
                    f"make grade LAB=n SUBMISSION={source} makes it")


def failed(grading: Grading, wanted: str) -> str:
    """The test of a submission that is meant, which has failed."""
    wanted = wanted.removeprefix("grader/").removeprefix("tests/")
    names = [name for name in grading.tests if grading.result_of(name) and wanted in name]
    bad = [name for name in names if (result := grading.result_of(name)) and not result.passed]
    if not bad:
        raise UserError(f"TEST={wanted}: " + (f"{names[0]} passed" if names else
                                              "no test of that name has run"))
    return bad[0]


def main() -> int:
    parser = argparse.ArgumentParser(prog="grader/grading/why.py",
                                     description="The last failure of a test.")
    parser.add_argument("--build", default="build")
    parser.add_argument("--submission", type=Path)
    parser.add_argument("--dest", type=Path, help="of make grade-class (default: BUILD/class)")
    parser.add_argument("test", nargs="?", default="")
    arguments = parser.parse_args()
    build = ROOT / arguments.build
    if arguments.submission:
        folders = [(arguments.dest or build / "class") / "students", build / "grade/submission"]
        grading = find_submission(folders, arguments.submission)
        if not arguments.test:
            print(whole(grading), end="")
            return 0
        name = failed(grading, arguments.test)
    else:
        grading, name = find(build / "grade", arguments.test)
    result = grading.result_of(name)
    assert result is not None
    print("\n".join(explain(grading, name, result)))
    if arguments.submission:
        print(f"  of this submission: add LAB={grading.lab.number} "
              f"SUBMISSION={shlex.quote(str(arguments.submission))}")
    return 0


if __name__ == "__main__":
    run_main(main)
