# SPDX-License-Identifier: MIT
"""`make grade-class LAB=2 SUBMISSIONS=dir DEST=dir`: what a class has handed in (collection.py).

DEST/students/NAME.json   the result of each (docs/grading.md), with .junit.xml and .gradescope.json
DEST/students/NAME.html   the same for the student: what the terminal says, to be mailed
DEST/grades.csv           name, score, status; with all that follows made anew at the end of a call
DEST/summary.html         distribution, pass rate of each test, what could not be graded
DEST/changes.csv          what the last call that changed anything has changed
DEST/earlier/NNN/         the tables and results that were changed then
DEST/lab                  the number of the lab: one a DEST
DEST/cache/HASH.json      results by content of submission and grader: equal work is graded once

Interrupted or killed, it goes on where it was when called again: a result is written in one step
when it is complete. A submission that breaks the grader is noted as such and the others go on; only
these are tried again. Points are no part of a cached result: they follow from its verdicts and the
registry. --shard i/n takes every n-th name, for a job array (templates/slurm.sh), and leaves the
tables to a call without it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from course.registry import ROOT, load_course
from grader.grading import formats, gradebook, sandbox, stored, submission
from grader.grading.collection import Entry, entries, open_collection
from grader.grading.grade_submission import Grader
from grader.grading.gradebook import read_result, status_of
from grader.grading.model import CUMULATIVE, EXIT_INFRASTRUCTURE, Column, Grading
from grader.grading.submission import Submission
from grader.machine.verdict import Finding, infrastructure
from tools.errors import UserError, run_main
from tools.files import scratch, write_atomically

JUDGES = ("Makefile", "course.toml", "course", "kit", "guests", "grader", "labs",
          "solution", "tools")
KEPT_BYTES = 2 << 20
NO_VERDICT = ("points", "hints", "manual", "hours", "isolated_factor")  # keys of the registry


def grader_hash() -> str:
    """Changes with anything that can change a verdict: not with points and texts."""
    total = hashlib.sha256()
    for name in JUDGES:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file()):
            if "__pycache__" in path.parts or path.suffix in (".md", ".sha256"):
                continue
            data = path.read_bytes()
            if path.name in ("course.toml", "lab.toml"):
                data = json.dumps(_judging(tomllib.loads(data.decode()))).encode()
            total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + data)
    return total.hexdigest()


def _judging(value: Any) -> Any:
    """What of the registry bears on verdicts."""
    if isinstance(value, dict):
        return {key: _judging(entry) for key, entry in value.items() if key not in NO_VERDICT}
    return [_judging(entry) for entry in value] if isinstance(value, list) else value


class Class:
    """One call."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.dest: Path = arguments.dest.absolute()
        self.folder = folder
        self.judge = grader_hash()
        self.grader = Grader(load_course(), arguments.lab, arguments.build, arguments.qemu,
                             workers=0 if arguments.jobs > 1 else 2,
                             seeds=tuple(arguments.seed + 1000 * i
                                         for i in range(arguments.seeds)))
        self.keys: dict[Entry, str] = {}
        self.taken: dict[Entry, Submission] = {}
        self.stopped = False
        self.key = f"{self.judge} lab {arguments.lab} seeds {self.grader.seeds}"

    def result_path(self, name: str) -> Path:
        return self.dest / "students" / f"{name}.json"

    def cache_path(self, key: str) -> Path:
        name = hashlib.sha256(f"{self.key} {key}".encode()).hexdigest()
        return self.dest / "cache" / f"{name}.json"

    def key_of(self, entry: Entry) -> str:
        if entry not in self.keys:
            try:
                self.keys[entry] = self.read(entry).result_key
            except Finding:  # the host is too slow; who grades it will say so
                return f"unread {entry.path}"
        return self.keys[entry]

    def read(self, entry: Entry) -> Submission:
        """A reader is a process: what is not large is kept until it is graded."""
        if entry in self.taken:
            return self.taken.pop(entry)
        if entry.problem:
            return Submission(refused=[entry.problem])
        taken = submission.read(entry.path, self.grader.course, self.grader.lab)
        if sum(map(len, taken.files.values())) <= KEPT_BYTES:
            self.taken[entry] = taken
        return taken

    def cached(self, name: str, entry: Entry) -> bool:
        """Whether this very work has its verdicts already; then its result is put in place."""
        values = read_result(self.cache_path(self.key_of(entry)))
        if values is None:
            return False
        grading = stored.restore(values)
        if not stored.is_enough(grading):
            return False
        self.store(name, entry, grading)
        return True

    def store(self, name: str, entry: Entry, grading: Grading) -> dict[str, Any]:
        more = {"student": name, "late": entry.late, "file": entry.file,
                "others": list(entry.others)}
        values, path = {**grading.values(), **more}, self.result_path(name)
        if read_result(path) != values:
            gradebook.keep_earlier(self.dest, name, values)
            formats.write_all(grading, path, more)
        return values

    def grade(self, name: str, entry: Entry) -> dict[str, Any]:
        """Grade one; what breaks in here is written down, and not cached."""
        work = self.folder / "work" / hashlib.sha256(name.encode()).hexdigest()[:16]
        try:
            grading = self.grader.judge(self.read(entry), work)
            if self.stopped:  # its processes were killed: what they did not do is no verdict
                raise InterruptedError("ended from outside")
            grading.values()
        except Exception as error:  # noqa: BLE001 - one submission must not end the others
            grading = Grading(self.grader.course, self.grader.course.lab(self.grader.lab), "labs")
            grading.columns[CUMULATIVE] = Column(CUMULATIVE,
                                                 broken=[f"{type(error).__name__}: {error}"])
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if self.stopped:
            return grading.values()
        if grading.status != EXIT_INFRASTRUCTURE and entry in self.keys:
            path = self.cache_path(self.keys[entry])
            write_atomically(path, json.dumps(grading.values()) + "\n")
        return self.store(name, entry, grading)


TAKEN = "\0strata-grade-class-cpu-"
_taken: list[socket.socket] = []


def bind_to_a_cpu() -> None:
    """Keep the calling thread and its processes on a CPU that no other grading here has taken.

    Emulator, debugger and tests wait for each other, and wake-ups are cheapest on one CPU. The name
    of a socket tells others that the CPU is taken, for exactly as long as this process lives. If
    none is free, nothing changes.
    """
    for cpu in sorted(os.sched_getaffinity(0)):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"{TAKEN}{cpu}")
        except OSError:
            name.close()
            continue
        _taken.append(name)
        os.sched_setaffinity(0, {cpu})
        return


def end_children() -> None:
    """Kill what this process has started; sandboxes end with all that is in them."""
    for listing in Path("/proc/self/task").glob("*/children"):
        children = []
        with suppress(FileNotFoundError):  # the thread has just ended
            children = listing.read_text().split()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)


@contextmanager
def ended_together(course: Class, pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """A pool whose work ends when this process is to end."""
    with pool:
        try:
            yield pool
        except BaseException:
            course.stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            waiting = Thread(target=pool.shutdown)
            waiting.start()
            while waiting.is_alive():  # a submission under way may start one more process, and more
                end_children()
                waiting.join(1)
            raise


def grade_all(todo: dict[str, Entry], arguments: argparse.Namespace, folder: Path) -> None:
    """What has no result yet; `folder` is for what is not needed afterwards."""
    course = Class(arguments, folder)
    with ended_together(course, ThreadPoolExecutor(arguments.jobs)) as pool:
        known = dict(zip(todo, pool.map(course.cached, todo, todo.values())))
    wanted = {name: entry for name, entry in todo.items() if not known[name]}
    print(f"{len(todo)} submissions, {len(todo) - len(wanted)} known already", flush=True)
    if not wanted:
        return
    course.grader.prepare(folder / "template")
    first: dict[str, str] = {}  # equal work is graded once
    for name, entry in wanted.items():
        first.setdefault(course.key_of(entry), name)
    bind = bind_to_a_cpu if arguments.jobs > 1 else None
    executor = ThreadPoolExecutor(arguments.jobs, initializer=bind)
    with ended_together(course, executor) as pool:
        futures = {pool.submit(course.grade, name, wanted[name]): name for name in first.values()}
        for number, future in enumerate(as_completed(futures), start=1):
            values = future.result()
            print(f"{number}/{len(first)} {futures[future]}: {values['score']:g} "
                  f"({status_of(values)})", flush=True)
    for name in wanted.keys() - set(first.values()):
        if not course.cached(name, wanted[name]):
            course.grade(name, wanted[name])


def claim(dest: Path, lab: int) -> None:
    """One lab a DEST: the results of two would overwrite each other."""
    path = dest / "lab"
    try:
        other = path.read_text("utf-8").strip()
    except FileNotFoundError:
        write_atomically(path, f"{lab}\n")
        return
    if other != str(lab):
        raise UserError(f"DEST={dest} has the results of lab {other}; give lab {lab} another")


def main() -> int:
    parser = argparse.ArgumentParser(prog="grader/grading/grade_class.py",
                                     description="Grade a folder of submissions.")
    parser.add_argument("--lab", type=int, required=True)
    parser.add_argument("--submissions", type=Path, required=True)
    parser.add_argument("--dest", type=Path, required=True)
    parser.add_argument("--jobs", "-j", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="the first of them")
    parser.add_argument("--shard", default="0/1",
                        help="i/n: every n-th submission, from the i-th on")
    parser.add_argument("--build", default="build")
    parser.add_argument("--qemu", default="qemu-system-aarch64")
    arguments = parser.parse_args()

    try:
        first, step = (int(word) for word in arguments.shard.split("/"))
    except ValueError:
        first, step = 0, 0
    if not 0 <= first < step:
        raise UserError(f"--shard {arguments.shard}: takes i/n with i from 0 to n - 1, "
                        "for example 0/16")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # clear up
    problem = sandbox.available()
    if problem:
        print(infrastructure("no sandbox on this machine", problem), file=sys.stderr)
        return EXIT_INFRASTRUCTURE
    with scratch("strata-class-") as folder:
        handed_in = entries(open_collection(arguments.submissions, folder / "collection"))
        claim(arguments.dest, arguments.lab)
        todo = dict(list(handed_in.items())[first::step])
        try:
            grade_all(todo, arguments, folder)
        except Finding as finding:
            print(finding, file=sys.stderr)
            return EXIT_INFRASTRUCTURE
    if step == 1:
        found = list(gradebook.results(arguments.dest, handed_in))
        differ = gradebook.close(arguments.dest, arguments.lab, found)
        if differ:
            print("\n".join(gradebook.change_lines(differ)))
        elif differ is not None:
            print("nothing has changed since the last time")
        print(f"{arguments.dest}: {len(found)} results, grades.csv, summary.html, students/*.html")
    else:
        found = list(gradebook.results(arguments.dest, todo))
        print(f"{arguments.dest}: {len(found)} results; the tables are made without --shard")
    broken = [name for name, values in found if values["exit_code"] == EXIT_INFRASTRUCTURE]
    if broken:
        print(f"{len(broken)} could not be graded, the next call tries them again: "
              f"{', '.join(broken[:10])}")
    return EXIT_INFRASTRUCTURE if broken else 0


if __name__ == "__main__":
    run_main(main)
