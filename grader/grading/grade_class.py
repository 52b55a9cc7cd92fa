# SPDX-License-Identifier: MIT
"""`make grade-class LAB=2 SUBMISSIONS=dir DEST=dir`: a folder of submissions, one entry a student.

DEST/students/NAME.json   the result of each (docs/grading.md), with .junit.xml and .gradescope.json
DEST/grades.csv           name, score, status; made anew from these at the end of each call
DEST/lab                  the number of the lab: one a DEST
DEST/summary.html         distribution, pass rate of each test, what could not be graded
DEST/cache/HASH.json      results by content of submission and grader: equal work is graded once

Interrupted or killed, it goes on where it was when called again: a result is written in one step
when it is complete. A submission that breaks the grader is noted as such and the others go on; only
these are tried again. --shard i/n takes every n-th name: for a job array (templates/slurm.sh).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from course.registry import ROOT, load_course
from grader.grading import formats, sandbox, submission
from grader.grading.grade_submission import Grader
from grader.grading.model import EXIT_INFRASTRUCTURE
from grader.machine.verdict import Finding, infrastructure
from tools.errors import UserError, run_main
from tools.files import write_atomically

JUDGES = ("Makefile", "course.toml", "course", "kit", "guests", "grader", "labs",
          "solution", "tools")
ARCHIVES = (".tar.gz", ".tgz", ".zip")
NAME_MAX = 120
STATUS = {0: "all points", 1: "graded", 2: "not built", 3: "not graded: infrastructure"}


def status_of(values: dict[str, Any]) -> str:
    return "refused" if values.get("refused") else STATUS[values["exit_code"]]


def notes_of(values: dict[str, Any]) -> list[str]:
    """Why there are no points, or no grade."""
    errors = [column["build_error"].split("\n")[0] for column in values.get("columns", {}).values()
              if column["build_error"]]
    return [*values.get("refused", []), *values.get("infrastructure", []), *dict.fromkeys(errors)]


def name_of(path: Path) -> str:
    """The student's name: that of the entry, without the suffix of an archive.

    It becomes the name of files. So in a name that could be taken for another's, or that not
    everything can print, such characters are replaced by % and their bytes in hexadecimal.
    """
    name = path.name
    for suffix in ARCHIVES:
        if name.endswith(suffix):
            name = name.removesuffix(suffix)
            break
    escaped = "".join(char if char.isprintable() and char not in "%/\\" else
                      "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
                      for char in name)
    for kind in (".gradescope", ".junit"):
        if escaped.endswith(kind):
            escaped = escaped.removesuffix(kind) + f"%2E{kind[1:]}"
    if len(escaped.encode()) > NAME_MAX:
        escaped = f"{escaped[:NAME_MAX // 4]}%{hashlib.sha256(escaped.encode()).hexdigest()[:16]}"
    return escaped


def entries(folder: Path) -> dict[str, Path]:
    """Every entry of the folder: a zip or a broken link is a line of the table, not a student
    forgotten. Two entries for one name are an error before anything is graded."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if name_of(path) in found:
            raise UserError(f"{name_of(path)}: two submissions, {found[name_of(path)].name!a} and "
                            f"{path.name!a}; keep the one that counts")
        found[name_of(path)] = path
    return found


def grader_hash() -> str:
    """Changes with anything that can change a result."""
    total = hashlib.sha256()
    for name in JUDGES:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file()):
            if "__pycache__" not in path.parts:
                total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def read_result(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and "exit_code" in values else None


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
        self.digests: dict[Path, str] = {}
        self.stopped = False
        self.key = f"{self.judge} lab {arguments.lab} seeds {self.grader.seeds}"

    def result_path(self, name: str) -> Path:
        return self.dest / "students" / f"{name}.json"

    def cache_path(self, digest: str) -> Path:
        name = hashlib.sha256(f"{self.key} {digest}".encode()).hexdigest()
        return self.dest / "cache" / f"{name}.json"

    def digest(self, source: Path) -> str:
        if source not in self.digests:
            self.digests[source] = submission.read(source, self.grader.course,
                                                   self.grader.lab).digest
        return self.digests[source]

    def cached(self, name: str, source: Path) -> bool:
        """Whether this very work has its result already; then it is put in place."""
        values = read_result(self.cache_path(self.digest(source)))
        if values is None:
            return False
        write_atomically(self.result_path(name),
                         json.dumps({**values, "student": name}, indent=1) + "\n")
        return True

    def grade(self, name: str, source: Path) -> dict[str, Any]:
        """Grade one; what breaks in here is written down, and not cached."""
        work = self.folder / "work" / hashlib.sha256(name.encode()).hexdigest()[:16]
        try:
            grading = self.grader.grade(source, work)
            if self.stopped:  # its processes were killed: what they did not do is no verdict
                raise InterruptedError("ended from outside")
            values = grading.values()
            formats.write_all(grading, self.result_path(name))
        except Exception as error:  # noqa: BLE001 - one submission must not end the others
            values = {"lab": self.grader.lab, "score": 0.0, "max": 100, "tests": [],
                      "complete": False, "exit_code": EXIT_INFRASTRUCTURE,
                      "infrastructure": [f"{type(error).__name__}: {error}"]}
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if self.stopped:
            return values
        if values["exit_code"] != EXIT_INFRASTRUCTURE:
            write_atomically(self.cache_path(values["source"]), json.dumps(values) + "\n")
        write_atomically(self.result_path(name),
                         json.dumps({**values, "student": name}, indent=1) + "\n")
        return values


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


def grade_all(todo: dict[str, Path], arguments: argparse.Namespace) -> None:
    """What has no result yet."""
    with tempfile.TemporaryDirectory(prefix="strata-class-") as folder:
        course = Class(arguments, Path(folder))
        wanted = {name: path for name, path in todo.items() if not course.cached(name, path)}
        print(f"{len(todo)} submissions, {len(todo) - len(wanted)} known already", flush=True)
        if not wanted:
            return
        course.grader.prepare(Path(folder) / "template")
        first: dict[str, str] = {}  # equal work is graded once
        for name, path in wanted.items():
            first.setdefault(course.digest(path), name)
        bind = bind_to_a_cpu if arguments.jobs > 1 else None
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs, initializer=bind) as pool:
            futures = {pool.submit(course.grade, name, wanted[name]): name
                       for name in first.values()}
            try:
                for number, future in enumerate(concurrent.futures.as_completed(futures), start=1):
                    values = future.result()
                    print(f"{number}/{len(first)} {futures[future]}: {values['score']:g} "
                          f"({status_of(values)})", flush=True)
            except BaseException:
                course.stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                end_children()
                raise
        for name in wanted.keys() - set(first.values()):
            if not course.cached(name, wanted[name]):
                course.grade(name, wanted[name])


# ---- what comes out of all results ----


def results(dest: Path, names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of those who have handed in: who has not any more has no row."""
    for name in sorted(names):
        values = read_result(dest / "students" / f"{name}.json")
        if values is not None:
            yield name, values


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


def write_csv(dest: Path, found: list[tuple[str, dict[str, Any]]]) -> None:
    exercises = sorted({entry["id"] for _, values in found
                        for entry in values.get("exercises", [])})
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(["student", "score", "max", "status", *exercises, "note"])
    for name, values in found:
        counts = values.get("counts", "")
        earned = {entry["id"]: entry.get(counts, 0) for entry in values.get("exercises", [])}
        notes = notes_of(values)
        cells = [name, values["score"], values["max"], status_of(values),
                 *(earned.get(id_, "") for id_ in exercises), notes[0] if notes else ""]
        rows.writerow([_cell(cell) for cell in cells])
    write_atomically(dest / "grades.csv", out.getvalue())


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is no formula."""
    is_formula = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if is_formula else value


def write_summary(dest: Path, lab: int, found: list[tuple[str, dict[str, Any]]]) -> None:
    try:
        from jinja2 import Environment, FileSystemLoader
    except ImportError as error:
        raise UserError("summary.html needs jinja2: apt-get install python3-jinja2") from error
    tests: dict[str, Counter[str]] = {}
    exercise_of = {}
    for _, values in found:
        for test in values.get("tests", []):
            tests.setdefault(test["id"], Counter())[test["verdict"] or "not run"] += 1
            exercise_of[test["id"]] = test["exercise"]
    rows = [{"exercise": exercise_of[name], "name": name, "passed": counts["PASS"],
             "of": counts.total(), "rate": round(100 * counts["PASS"] / counts.total()),
             "others": ", ".join(f"{n} {v}" for v, n in counts.most_common() if v != "PASS")}
            for name, counts in sorted(tests.items(),
                                       key=lambda item: (exercise_of[item[0]], item[0]))]
    scores = [float(values["score"]) for _, values in found
              if values["exit_code"] != EXIT_INFRASTRUCTURE]
    bins = [sum(10 * i <= score < 10 * i + 10 or (i == 9 and score == 100) for score in scores)
            for i in range(10)]
    environment = Environment(loader=FileSystemLoader(ROOT / "templates"), autoescape=True)
    html = environment.get_template("class.html").render(
        lab=lab, count=len(found), median=statistics.median(scores) if scores else 0,
        bins=bins, rows=rows,
        students=[(name, values["score"], status_of(values), notes_of(values)[:3])
                  for name, values in found])
    write_atomically(dest / "summary.html", html)


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

    if not arguments.submissions.is_dir():
        raise UserError(f"SUBMISSIONS={arguments.submissions}: no such directory")
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
    handed_in = entries(arguments.submissions)
    todo = dict(list(handed_in.items())[first::step])
    claim(arguments.dest, arguments.lab)
    try:
        grade_all(todo, arguments)
    except Finding as finding:
        print(finding, file=sys.stderr)
        return EXIT_INFRASTRUCTURE
    found = list(results(arguments.dest, handed_in))
    write_csv(arguments.dest, found)
    write_summary(arguments.dest, arguments.lab, found)
    broken = [name for name, values in found if values["exit_code"] == EXIT_INFRASTRUCTURE]
    print(f"{arguments.dest}: {len(found)} results, grades.csv, summary.html")
    if broken:
        print(f"{len(broken)} could not be graded, the next call tries them again: "
              f"{', '.join(broken[:10])}")
    return EXIT_INFRASTRUCTURE if broken else 0


if __name__ == "__main__":
    run_main(main)
