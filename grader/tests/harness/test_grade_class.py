# SPDX-License-Identifier: MIT
"""A folder of submissions: nothing in it is forgotten, nothing earned is lost, whatever breaks."""

from __future__ import annotations

import argparse
import csv
import io
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from course.registry import ROOT, load_course
from grader.grading import grade_class, gradebook, stored
from grader.grading.collection import Entry, entries, name_of
from grader.grading.grade_submission import Grader
from grader.grading.model import CUMULATIVE, Column, Grading, Result
from grader.grading.submission import Submission
from grader.grading.text import whole
from grader.machine.verdict import Verdict
from tools.errors import UserError

COURSE = load_course()
POINTS = COURSE.exercise("1.1").points  # of the one test that Room knows
TEST = "test_lab01_steps.py::test_boot_prepares_the_cpu_for_c"


@pytest.fixture
def submissions(tmp_path: Path) -> Path:
    """Submissions that differ by a text in one file, and some things that are no submissions."""
    folder = tmp_path / "in"
    for name, text in {"anna": "good", "bert": "good", "cora": "bad", "dora": "breaks"}.items():
        for file in COURSE.lab(1).files:
            path = folder / name / "labs" / COURSE.lab(1).directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"/* {text} */\n", "utf-8")
    (folder / "emil.zip").write_bytes(b"PK\x03\x04")
    (folder / "fred").symlink_to("/missing")
    (folder / ".hidden").write_text("", "utf-8")
    return folder


class Room:
    """grade-class with a grader that reads its verdict in the submission."""

    def __init__(self, folder: Path, dest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.dest = folder, dest
        self.graded: list[str] = []
        self.broken = {"breaks"}
        self.changes: list[gradebook.Change] | None = None
        judge, grade = Grader.judge, grade_class.Class.grade

        def judged(grader: Grader, taken: Submission, work: Path) -> Grading:
            if taken.refused:
                return judge(grader, taken, work)
            word = taken.files[f"{COURSE.lab(1).directory}/boot.S"].decode().split()[1]
            if word in self.broken:
                raise OSError("no space left on device")
            grading = Grading(COURSE, COURSE.lab(1), "labs", source=taken.digest, complete=True)
            grading.collected([TEST])
            result = Result(Verdict.PASS if word == "good" else Verdict.FAIL)
            grading.columns[CUMULATIVE] = Column(CUMULATIVE, {TEST: result})
            return grading

        def graded(course: grade_class.Class, name: str, entry: Entry) -> dict[str, Any]:
            if entry.path.is_dir():
                self.graded.append(entry.path.name)
            return grade(course, name, entry)

        monkeypatch.setattr(Grader, "judge", judged)
        monkeypatch.setattr(grade_class.Class, "grade", graded)
        monkeypatch.setattr(Grader, "prepare", lambda grader, path: None)

    def arguments(self) -> argparse.Namespace:
        return argparse.Namespace(lab=1, dest=self.dest, build="build", qemu="", jobs=2, seeds=1,
                                  seed=1)

    def run(self) -> list[str]:
        """Who was graded in this call."""
        self.graded.clear()
        grade_class.grade_all(entries(self.folder), self.arguments(), self.dest / "scratch")
        found = list(gradebook.results(self.dest, entries(self.folder)))
        self.changes = gradebook.close(self.dest, 1, found)
        return sorted(self.graded)

    def write(self, name: str, text: str) -> None:
        """What a student hands in."""
        for file in COURSE.lab(1).files:
            path = self.folder / name / "labs" / COURSE.lab(1).directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"/* {text} */\n", "utf-8")

    def table(self) -> dict[str, tuple[str, str, str]]:
        with (self.dest / "grades.csv").open(encoding="utf-8") as rows:
            return {row["student"]: (row["score"], row["status"], row["note"])
                    for row in csv.DictReader(rows)}


@pytest.fixture
def room(submissions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    return Room(submissions, tmp_path / "out", monkeypatch)


def test_every_entry_is_a_line_and_what_broke_is_tried_again(room: Room) -> None:
    assert room.run() == ["anna", "cora", "dora"], "bert's work is anna's"
    table = room.table()
    assert list(table) == ["anna", "bert", "cora", "dora", "emil", "fred"]
    assert table["anna"] == table["bert"] == (f"{POINTS}.0", "graded", "")
    assert table["cora"] == ("0.0", "graded", "")
    assert table["dora"] == ("0.0", "not graded: infrastructure",
                             "cumulative: OSError: no space left on device")
    assert table["emil"][1:] == ("refused", "emil.zip: not a tar.gz or zip archive as make submit "
                                            "makes it (ReadError: not a gzip file)")
    assert table["fred"][1:] == ("refused", "fred: a symbolic link")
    assert room.run() == ["dora"]
    room.broken.clear()
    assert room.run() == ["dora"]
    assert room.table()["dora"][1] == "graded"
    assert room.run() == []
    html = (room.dest / "summary.html").read_text("utf-8")
    assert TEST in html and "emil" in html and "refused" in html


def test_what_was_killed_in_the_middle_goes_on_where_it_was(
        room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is gone after its first result; half a file of another lies about."""
    store = grade_class.Class.store

    def once(course: grade_class.Class, name: str, entry: Entry, grading: Grading) -> None:
        store(course, name, entry, grading)
        raise KeyboardInterrupt

    monkeypatch.setattr(grade_class.Class, "store", once)
    with pytest.raises(KeyboardInterrupt):
        room.run()
    monkeypatch.setattr(grade_class.Class, "store", store)
    known = [name for name, _ in gradebook.results(room.dest, entries(room.folder))]
    (room.dest / "students" / "cora.json").write_text('{"score": 5', "utf-8")
    again = room.run()
    assert not {name for name in known if name in ("anna", "bert")} & set(again)
    assert room.table()["cora"][1] == "graded" and len(room.table()) == 6
    assert room.changes is None, "no table has gone before"


def test_work_that_changed_is_graded_again_and_nothing_else(room: Room) -> None:
    room.broken.clear()
    room.run()
    boot = room.folder / "cora" / "labs" / COURSE.lab(1).directory / "boot.S"
    boot.write_text("/* good indeed */\n", "utf-8")
    assert room.run() == ["cora"]
    assert room.table()["cora"][0] == f"{POINTS}.0"
    boot.with_name("answers.toml").write_text('1 = "2"\n', "utf-8")
    assert room.run() == ["cora"], "its page tells which answers are right"


def test_two_submissions_of_one_student_are_a_mistake(submissions: Path) -> None:
    (submissions / "anna.tar.gz").write_bytes(b"")
    with pytest.raises(UserError, match="anna: two submissions, 'anna' and 'anna.tar.gz'"):
        entries(submissions)


@pytest.mark.parametrize("file, name", [
    (b"anna.tar.gz", "anna"), (b"Zo\xc3\xab.zip", "Zo\u00eb"), (b"\xff\xfe.tgz", "%FF%FE"),
    (b"a.gradescope.tar.gz", "a%2Egradescope"), (b"a.junit", "a%2Ejunit"), (b"a\nb", "a%0Ab"),
    (b"100%.tar.gz", "100%25"),
])
def test_no_name_is_taken_for_another(file: bytes, name: str) -> None:
    assert name_of(os.fsdecode(file)) == name


def test_long_names_differ_and_fit() -> None:
    names = {name_of(200 * "\u00eb" + end) for end in ("a", "b")}
    assert len(names) == 2 and all(len(f"{name}.gradescope.json".encode()) < 255 for name in names)


def test_who_has_withdrawn_has_no_row(room: Room) -> None:
    room.run()
    (room.folder / "fred").unlink()
    room.run()
    assert "fred" not in room.table() and "anna" in room.table()
    assert not list((room.dest / "students").glob("fred.*"))
    assert (room.dest / "earlier/001/students/fred.json").exists()


def test_what_another_call_changes_is_told_and_the_old_results_are_kept(room: Room) -> None:
    room.broken.clear()
    room.run()
    old = {name: (room.dest / name).read_text("utf-8")
           for name in ("grades.csv", "students/cora.json")}
    room.run()
    assert room.changes == [] and not (room.dest / "earlier").exists()
    room.write("cora", "good")
    room.write("bert", "bad")
    room.write("gerd", "bad")
    (room.folder / "fred").unlink()
    room.run()
    assert room.changes is not None
    assert {change.name: (change.kind, *change.cells) for change in room.changes} == {
        "bert": ("down", f"{POINTS}", "0"), "cora": ("up", "0", f"{POINTS}"),
        "fred": ("withdrawn", "0", ""),
        "gerd": ("new", "", "0")}
    lines = list(gradebook.change_lines(room.changes))
    assert lines[0] == "since the last time: 1 down, 1 up, 1 withdrawn, 1 new"
    assert f"  cora: 0 -> {POINTS} (1.1: 0 -> {POINTS}, 1 other verdicts, other files)" in lines
    for name, text in old.items():
        assert (room.dest / "earlier/001" / name).read_text("utf-8") == text
    assert not (room.dest / "earlier/001/students/anna.json").exists(), "it is what it was"
    assert "Since the last time" in (room.dest / "summary.html").read_text("utf-8")
    assert f"cora,up,0,{POINTS}" in (room.dest / "changes.csv").read_text("utf-8")
    room.run()
    assert room.changes == [] and not (room.dest / "earlier/002").exists()


def test_points_that_changed_are_counted_anew_without_a_run(
        room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.broken.clear()
    room.run()
    exercises = [replace(entry, points=entry.points + {"1.1": 5, "1.2": -5}.get(entry.id, 0))
                 for entry in COURSE.lab(1).exercises]
    course = replace(COURSE, labs=(replace(COURSE.lab(1), exercises=tuple(exercises)),
                                   *COURSE.labs[1:]))
    monkeypatch.setattr(stored, "load_course", lambda: course)
    assert room.run() == []
    assert room.table()["anna"][0] == f"{POINTS + 5}.0"
    assert room.changes is not None
    assert [change.name for change in room.changes] == ["anna", "bert"]
    assert all("the same files" in change.why for change in room.changes)


def test_the_judge_looks_at_tests_and_not_at_points(monkeypatch: pytest.MonkeyPatch,
                                                    tmp_path: Path) -> None:
    (tmp_path / "solution" / "lab01").mkdir(parents=True)
    registry = tmp_path / "solution" / "lab01" / "lab.toml"
    monkeypatch.setattr(grade_class, "ROOT", tmp_path)
    seen = []
    for points, test in ((10, "a"), (20, "a"), (10, "b")):
        registry.write_text(f'[[exercise]]\nid = "1.1"\npoints = {points}\ntests = ["{test}"]\n')
        (registry.parent / "README.md").write_text(f"### 1.1 ({points} points)\n")
        seen.append(grade_class.grader_hash())
    assert seen[0] == seen[1] != seen[2]


def test_the_page_of_a_student_says_what_the_terminal_says(room: Room) -> None:
    room.run()
    html = (room.dest / "students" / "cora.html").read_text("utf-8")
    grading = stored.read(room.dest / "students" / "cora.json")
    assert grading is not None and str(escape(whole(grading))) in html
    assert all(words in html for words in (f"FAIL {TEST}", "0.0 of 100 points", "make debug"))
    assert "<script" not in html and "http" not in html.replace("https://", "")
    page = (room.dest / "students" / "emil.html").read_text("utf-8")
    assert "refused: emil.zip: not a tar.gz or zip archive" in page


def test_a_page_holds_nothing_that_a_name_brings(tmp_path: Path) -> None:
    grading = Grading(COURSE, COURSE.lab(1), "labs", complete=True,
                      refused=["<script>alert(1)</script>\x1b[2J"], ignored=["<b>&"])
    gradebook.write_page(tmp_path, "<i>", {**grading.values(), "file": '"><u>', "late": True})
    html = (tmp_path / "students" / "<i>.html").read_text("utf-8")
    for tag in ("<script", "<i>", "<u>", "<b>&", "\x1b"):
        assert tag not in html.split("</h1>")[1].replace("<b>0.0", "")
    assert "handed in late" in html


@pytest.mark.parametrize("name", [
    "=cmd|' /C calc'!A0", " \t@SUM(1)", "lab.zip;=1+1", 'a;"=1+1"', "a\n=1+1\r-1",
    "\u202ezip.=1", "\uff1d1", "a\udcff;\x1b[2J+1", "+1", "-1",
])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_table_shows_what_was_handed_in_and_computes_nothing(tmp_path: Path, name: str,
                                                               separator: str) -> None:
    """Whatever separates cells where the table is opened."""
    grading = Grading(COURSE, COURSE.lab(1), "labs", complete=True, refused=[f"x; {name}"])
    values = {**grading.values(), "file": Entry(Path(name)).file, "refused": [name]}
    gradebook.write_csv(tmp_path, [(name_of(name), values)])
    written = (tmp_path / "grades.csv").read_text("utf-8")
    assert written.count("\n") == 2 and written.replace("\n", "").isprintable()
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        for row in csv.reader(io.StringIO(written), delimiter=separator, quoting=quoting):
            for cell in row:
                shown = cell.strip(" \t'\"") if quoting else cell.strip()
                assert not shown.startswith(("=", "+", "-", "@", "\uff1d")) or "'" in cell, row
    page = gradebook.notes_of(values)
    assert all(note.isprintable() for note in page)


def test_results_of_two_labs_do_not_meet(tmp_path: Path) -> None:
    grade_class.claim(tmp_path, 1)
    grade_class.claim(tmp_path, 1)
    with pytest.raises(UserError, match="has the results of lab 1"):
        grade_class.claim(tmp_path, 2)


@pytest.mark.parametrize("shard", ["1", "2/2", "-1/2", "0/0", "a/b"])
def test_a_shard_that_means_nothing_is_refused(submissions: Path, tmp_path: Path,
                                               shard: str) -> None:
    command = [sys.executable, "-m", "grader.grading.grade_class", "--lab", "1", "--submissions",
               str(submissions), "--dest", str(tmp_path / "out"), f"--shard={shard}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "takes i/n" in done.stderr


def test_the_tasks_of_a_job_array_take_every_submission_once(tmp_path: Path) -> None:
    """As sbatch --array=1-3 starts them, each of them only saying what it would do."""
    bin_ = tmp_path / "tools"
    bin_.mkdir()
    (bin_ / "doctor").write_text("#!/bin/sh\necho echo\n", "utf-8")
    (bin_ / "doctor").chmod(0o755)
    shards = []
    for task in ("1", "2", "3"):
        environment = {**os.environ, "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_ARRAY_TASK_ID": task,
                       "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "3"}
        done = subprocess.run(["sh", ROOT / "templates/slurm.sh", "1", "in", "out"],
                              capture_output=True, text=True, check=True, env=environment)
        assert "--lab 1 --submissions in --dest out" in done.stdout
        shards.append(done.stdout.split("--shard ")[1].split()[0])
    assert shards == ["0/3", "1/3", "2/3"]


def test_each_job_keeps_to_a_cpu_of_its_own_while_there_are_some(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grade_class, "_taken", [])
    # Other classes may be graded on this machine meanwhile.
    monkeypatch.setattr(grade_class, "TAKEN", f"\0strata-test-{os.getpid()}-cpu-")
    allowed, found = os.sched_getaffinity(0), list[set[int]]()

    def job() -> None:
        grade_class.bind_to_a_cpu()
        found.append(os.sched_getaffinity(0))

    for _ in range(len(allowed) + 1):  # each thread has an affinity of its own
        thread = threading.Thread(target=job)
        thread.start()
        thread.join()
    for name in grade_class._taken:
        name.close()
    assert found == [*({cpu} for cpu in sorted(allowed)), allowed]
    assert os.sched_getaffinity(0) == allowed


def test_what_was_started_ends_with_the_call() -> None:
    """In a process of its own: this one has debuggers."""
    program = ("import subprocess\nfrom grader.grading.grade_class import end_children\n"
               "child = subprocess.Popen(['sh', '-c', 'while :; do :; done'])\n"
               "end_children()\nprint(child.wait())")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    assert int(done.stdout) == -signal.SIGKILL


def test_what_is_started_after_the_end_is_ended_too() -> None:
    """A submission under way goes on from its killed build to its next process."""
    script = """
import subprocess, threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from grader.grading.grade_class import ended_together

begun = threading.Event()

def work():
    begun.set()
    return [subprocess.run(["sleep", "infinity"]).returncode for _ in range(3)]

try:
    with ended_together(SimpleNamespace(stopped=False), ThreadPoolExecutor(1)) as pool:
        done = pool.submit(work)
        begun.wait()
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print(done.result())
"""
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True,
                           text=True).stdout
    assert shown == "[-9, -9, -9]\n"
