# SPDX-License-Identifier: MIT
"""A class whose archives and sources were damaged at random: each has its row and its verdict.

What still compiles runs for real: one test, on whatever machine comes out of it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import re
from pathlib import Path

import pytest

from course.registry import ROOT, load_course
from course.submit import registered_files
from grader.grading import grade_class, gradebook, sandbox
from grader.grading.collection import entries
from grader.grading.grade_submission import Grader
from grader.grading.model import EXIT_INFRASTRUCTURE
from grader.machine import options
from grader.tests.harness.test_unpack import mutated, tar, zipped

COURSE = load_course()
TEST = "test_lab01_steps.py::test_boot_prepares_the_cpu_for_c"
# With FULL=1 2,000 submissions, in pieces that can be run one by one.
PIECES, SIZE = (40, 50) if options.current().full else (1, 8)
NUMBER = re.compile(r"\b(?:0x[0-9a-fA-F]+|\d+)\b")
OPERATORS = ("+", "-", "<<", ">>", "&", "|", "==", "!=", "<", ">", "!", "~")

pytestmark = pytest.mark.skipif(bool(sandbox.available()), reason="no bubblewrap here")


def solved() -> dict[str, bytes]:
    return {f"labs/{name}": (ROOT / "solution" / name).read_bytes()
            for name in registered_files(COURSE, 1)}


def changed(text: str, dice: random.Random) -> str:
    """A change after which a source may well compile: a line, a number, an operator."""
    lines = text.split("\n")
    at = dice.randrange(len(lines))
    kind = dice.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[dice.randrange(len(lines))])
    elif kind == 2:
        other = dice.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        number = dice.choice(["0", "1", "-1", "63", "64", "0xffffffffffffffff", "9" * 30])
        numbered = [n for n, line in enumerate(lines) if NUMBER.search(line)] or [at]
        at = dice.choice(numbered)
        lines[at] = NUMBER.sub(number, lines[at], 1)
    else:
        old, new = dice.sample(OPERATORS, 2)
        with_it = [n for n, line in enumerate(lines) if f" {old} " in line] or [at]
        at = dice.choice(with_it)
        lines[at] = lines[at].replace(f" {old} ", f" {new} ", 1)
    return "\n".join(lines)


def damaged(dice: random.Random) -> bytes:
    """What somebody hands in."""
    files = solved()
    kind = dice.randrange(4)
    if kind == 0:
        return gzip.compress(mutated(gzip.decompress(tar(files)), dice), 1)
    if kind == 1:
        return mutated(zipped(files), dice)
    name = dice.choice([name for name in sorted(files) if not name.endswith(".toml")])
    if kind == 2:
        files[name] = mutated(files[name], dice)
    else:
        files[name] = changed(files[name].decode(), dice).encode()
    return tar(files)


@pytest.mark.parametrize("piece", range(PIECES))
def test_a_class_of_damaged_submissions_loses_none(tmp_path: Path, piece: int,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(1000 * options.current().seed + piece)
    folder, dest = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(SIZE):
        (folder / f"s{number:03}.tar.gz").write_bytes(damaged(dice))
    prepare = Grader.prepare

    def prepared(grader: Grader, template: Path) -> None:
        grader.only = (TEST,)
        prepare(grader, template)

    monkeypatch.setattr(Grader, "prepare", prepared)
    handed_in = entries(folder)
    told = argparse.Namespace(lab=1, dest=dest, build=options.current().build, jobs=2, seeds=1,
                              qemu=options.current().qemu, seed=1)
    grade_class.grade_all(handed_in, told, tmp_path / "scratch")
    found = dict(gradebook.results(dest, handed_in))
    gradebook.close(dest, 1, list(found.items()))
    assert found.keys() == handed_in.keys()
    with (dest / "grades.csv").open(encoding="utf-8") as rows:
        assert [row["student"] for row in csv.DictReader(rows)] == sorted(handed_in)
    broken = {name: values["infrastructure"] for name, values in found.items()
              if values["exit_code"] == EXIT_INFRASTRUCTURE}
    assert broken == {}, "these are submissions' faults, and the grader's verdict is due"
    traces = [name for name, values in found.items() if "Traceback" in json.dumps(values)]
    assert traces == []
    assert list((tmp_path / "scratch").glob("work/*")) == []
