# SPDX-License-Identifier: MIT
"""A class in which everything that breaks a grader is handed in, graded to the end with kills in
between, and once more without: no result is lost, no verdict differs, nothing is left behind.

Two classes take a quarter of an hour each on a quiet machine: with --full alone.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from course.registry import ROOT, load_course
from course.submit import registered_files
from grader.grading import sandbox
from grader.grading.collection import entries
from grader.grading.model import EXIT_INFRASTRUCTURE
from grader.machine.options import current
from grader.proof import cheating
from grader.tests.harness.test_unpack import BEHIND, header, tar, zipped

COURSE = load_course()
CHEATS = ("build-prints-without-end", "reads-its-own-pipe", "huge-objects", "symbol-no-utf8",
          "preprocessor-bomb", "waits-for-a-word", "expression-in-a-frame", "floods-the-console",
          "spins", "sleeps-for-ever", "resets-for-ever", "archive-bomb", "terminal-escapes")
BOMB = 600 << 20  # of a header that says how long a name is

pytestmark = pytest.mark.skipif(bool(sandbox.available()), reason="no bubblewrap here")


def files_of(tree: str, lab: int) -> dict[str, bytes]:
    return {f"labs/{name}": (ROOT / tree / name).read_bytes()
            for name in registered_files(COURSE, lab)}


def lay(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def fill(folder: Path, lab: int) -> None:
    """The class."""
    folder.mkdir()
    starter, solved = files_of("labs", lab), files_of("solution", lab)
    here = f"labs/{COURSE.lab(lab).directory}"
    part = dict(solved)  # one file of the lab is as it was handed out
    first = next(name for name in sorted(part) if name.startswith(here) and name.endswith(".c")
                 and part[name] != starter[name])
    part[first] = starter[first]
    whole, question = tar(solved), COURSE.lab(lab).questions[0].id.encode()
    for cheat in cheating.all_cheats():
        if cheat.name in CHEATS:
            packed = cheating.pack(cheating.Cheat(cheat.name, {**cheat.values, "lab": lab}), COURSE)
            (folder / f"{cheat.name}.tar.gz").write_bytes(packed)
    for kind, (blocks, _) in BEHIND.items():
        (folder / f"{kind.replace(' ', '-')}.tar.gz").write_bytes(tar(starter, blocks))
    with gzip.open(folder / "long-name.tar.gz", "wb", 1) as archive:
        archive.write(header(b"././@LongLink", BOMB, b"L"))
        for _ in range(BOMB >> 20):
            archive.write(bytes(1 << 20))
    (folder / "truncated.tar.gz").write_bytes(whole[:-100])
    (folder / "comments.tar.gz").write_bytes(tar({**starter, first: b"/* " * 87_000}))
    for kind, line in {"literal": b'"' + b'\\"' * 130_000, "marks": b"EXERCISE(1.1)\n" * 18_000,
                       "nested": b"int x = " + b"(" * 100_000 + b"1" + b")" * 100_000 + b";",
                       "zeros": b'#line 1 "/dev/zero"\nint x y;',
                       "full": b"#error No space left on device"}.items():
        (folder / f"{kind}.tar.gz").write_bytes(tar({**starter, first: line}))
    for name in ("-rf", "a b", "$(id)", "{{7*7}}", "CON"):
        (folder / f"{name}.tar.gz").write_bytes(tar({"labs/none": b""}))
    (folder / "parts.tar.gz").write_bytes(
        tar({**starter, f"{here}/answers.toml": b"a." * 100_000 + b"a = 1"}))
    (folder / "digits.tar.gz").write_bytes(
        tar({**starter, f"{here}/answers.toml": b"%s = %s" % (question, b"1" * 5000)}))
    (folder / "nothing.zip").write_bytes(b"")
    (folder / "broken-link").symlink_to("/missing")
    (folder / "alice.tar.gz").write_bytes(whole)
    (folder / "alice.gradescope.tar.gz").write_bytes(tar(starter))
    (folder / "bert.zip").write_bytes(zipped(solved))
    lay(folder / "cora" / "strata-main", {**part, ".git/HEAD": b"ref", "build/obj/a.o": b"x"})
    (folder / "=1+1;=2.tar.gz").write_bytes(tar(part))
    (folder / os.fsdecode(b"\xff\xfe.tar.gz")).write_bytes(tar(starter))
    moodle = folder / "Dora Ek_1234567_assignsubmission_file_"
    lay(moodle, {"lab-1.tar.gz": tar(starter), "lab-2.tar.gz": tar(part)})
    (folder / "ekemil_11_100_lab.tar.gz").write_bytes(tar(starter))
    (folder / "ekemil_LATE_11_200_lab-1.tar.gz").write_bytes(whole)


class Call:
    """A call of grade_class with a /tmp of its own."""

    def __init__(self, lab: int, folder: Path, dest: Path, tmp: Path) -> None:
        self.tmp = tmp
        self.process = subprocess.Popen(
            [sys.executable, "-m", "grader.grading.grade_class", "--lab", str(lab), "--jobs", "2",
             "--submissions", str(folder), "--dest", str(dest), "--build", current().build,
             "--qemu", current().qemu],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(tmp)})
        self.lines: list[str] = []

    def until(self, enough: Callable[[list[str]], bool]) -> None:
        """Read what it says until that is enough, or it has ended."""
        assert self.process.stdout
        while not enough(self.lines) and (line := self.process.stdout.readline()):
            self.lines.append(line)

    def end(self, by: signal.Signals | None = None) -> int:
        if by:
            self.process.send_signal(by)
        self.lines += self.process.communicate()[0].splitlines(keepends=True)
        return self.process.returncode


def results_in(lines: list[str]) -> int:
    return sum("/" in line.split(" ")[0] for line in lines)


def verdicts(dest: Path) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted((dest / "students").glob("*.json")):
        if ".gradescope" not in path.name:
            values = json.loads(path.read_text("utf-8"))
            found[path.stem] = (values["score"], values["exit_code"], values["refused"],
                                {test["id"]: test["verdict"] for test in values["tests"]})
    return found


def judged(stored: dict[str, tuple[Any, ...]]) -> int:
    """How many are not graded again: a host that is too busy is nobody's fault."""
    return sum(status != EXIT_INFRASTRUCTURE for _, status, *_ in stored.values())


@pytest.mark.parametrize("lab", [2, 5])
def test_a_class_is_graded_whatever_is_in_it_and_whoever_kills_it(tmp_path: Path,
                                                                  lab: int) -> None:
    if not current().full:
        pytest.skip("with --full")
    fill(tmp_path / "in", lab)
    students = entries(tmp_path / "in")
    assert len(students) >= 30
    temporary = [tmp_path / "tmp1", tmp_path / "tmp2"]
    for folder in temporary:
        folder.mkdir()
    known, left = 0, []
    for by, part in ((signal.SIGKILL, 8), (signal.SIGTERM, 8)):
        call = Call(lab, tmp_path / "in", tmp_path / "killed", temporary[0])
        call.until(lambda lines: results_in(lines) >= part)
        call.end(by)
        stored = verdicts(tmp_path / "killed")
        assert len(stored) >= known + part, "".join(call.lines)
        known, left = judged(stored), list(temporary[0].iterdir())
    assert left == [], "SIGTERM clears up, after itself and after what was killed"
    call = Call(lab, tmp_path / "in", tmp_path / "killed", temporary[0])
    assert call.end() == 0, "".join(call.lines)
    assert f"{len(students)} submissions" in call.lines[0]
    assert int(call.lines[0].split(",")[1].split()[0]) >= known, "".join(call.lines)
    whole = Call(lab, tmp_path / "in", tmp_path / "whole", temporary[1])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    assert whole.end() == 0, "".join(whole.lines)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"lab {lab}: {len(students)} submissions in {time.monotonic() - begun:.0f} s, "
          f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.0f} s of "
          "processor time")
    first, second = (verdicts(tmp_path / name) for name in ("killed", "whole"))
    assert first.keys() == second.keys() == students.keys()
    assert {name: (first[name], second[name]) for name in first
            if first[name] != second[name]} == {}
    for name in ("killed", "whole"):
        with (tmp_path / name / "grades.csv").open(encoding="utf-8") as rows:
            assert len(list(csv.DictReader(rows))) == len(students)
        assert "Traceback" not in (tmp_path / name / "summary.html").read_text("utf-8")
    assert [list(folder.iterdir()) for folder in temporary] == [[], []]
    assert first["alice"] == first["bert"] == first["ekemil_11"]
    assert first["alice"][1] == 0
    shutil.rmtree(tmp_path / "in")
