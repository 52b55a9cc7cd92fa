# SPDX-License-Identifier: MIT
"""Builds the images of a lab and runs its tests; results arrive one by one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from course import unwritten
from course.registry import LABS, ROOT
from grader.grading import budgets
from grader.grading.model import CUMULATIVE, ISOLATED, Column, Grading, Result
from grader.grading.plan import TESTS, path_of, question_patterns, selection
from grader.machine.options import Options
from grader.machine.verdict import Finding, infrastructure
from tools.files import full_disk

OUTPUT_LINES = 40
UNUSED = ("cacheprovider", "xdist", "junitxml", "doctest")  # what pytest would read for nothing


@dataclass(frozen=True)
class Settings:
    """How to run. `wrap` puts a command into a sandbox; an image is built in `root`."""

    impl: str
    build: str = "build"
    qemu: str = "qemu-system-aarch64"
    workers: int = 2
    seeds: tuple[int, ...] = (1, 2)
    root: Path = ROOT
    tree: Path | None = None  # where the labs/ is that is graded, if not in `root`
    prebuilt: bool = False
    wrap: Callable[[list[str]], list[str]] = list
    only: tuple[str, ...] = ()  # patterns of tests; none: all of the lab
    measure: bool = False  # properties are noted, not held against what is known
    seconds: float | None = None  # of the host, for the tests of one image; None: without an end
    patience: int = budgets.TIMES  # how many times the solution's instructions a machine may take
    builder: Callable[[int, str], str] | None = None  # instead of build_image()
    # Builds a column's image with the reference's functions in place of those of exercises that
    # nobody has written: its settings, or why there is no such image.
    filler: Callable[[str, list[str]], tuple[Settings | None, str]] | None = None

    @property
    def build_path(self) -> Path:
        return self.root / self.build


def image_name(impl: str, lab: int, column: str) -> str:
    """The Makefile's name of an image's directory."""
    return f"{impl}-lab{lab:02}" + ("-reference" if column == ISOLATED else "")


def build_image(settings: Settings, lab: int, column: str,
                targets: tuple[str, ...] = ("image", "guests")) -> str:
    """Build one; the compiler's words when it fails."""
    command = ["make", "-C", str(settings.root), "--no-print-directory", "-j2", *targets,
               f"LAB={lab}", f"IMPL={settings.impl}", f"BUILD={settings.build}",
               f"BASE={'reference' if column == ISOLATED else 'own'}"]  # fmt: skip
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return build_error(done.stderr + done.stdout, settings.build_path) if done.returncode else ""


def build_error(words: str, folder: Path) -> str:
    """The compiler's words on a build that failed in `folder`; ERROR if the disk is full."""
    full = full_disk(words, folder)
    if full:
        raise infrastructure("there is room to build the image", full)
    return compiler_words(words)


def compiler_words(output: str) -> str:
    """What of a failed build's output says why."""
    telling = re.compile("error|Error:|warning|Warning:|multiple definition|undefined reference")
    lines = [line for line in output.splitlines() if telling.search(line)]
    return "\n".join(line[:400] for line in (lines or output.splitlines())[-OUTPUT_LINES:])


def same_image(settings: Settings, lab: int) -> bool:
    """Whether both columns would run the very same bytes."""
    images = [settings.build_path / image_name(settings.impl, lab, c) / "strata.bin"
              for c in (CUMULATIVE, ISOLATED)]
    if not all(image.exists() for image in images):
        return False
    return images[0].read_bytes() == images[1].read_bytes()


def run_tests(grading: Grading, column: str, settings: Settings,
              arrived: Callable[[str, str], None],
              names: Collection[str] = ()) -> None:  # fmt: skip
    """Run the lab's tests, or those of `names`, on one column's image.

    `arrived(column, test)` is called after each result.
    """
    patterns = (list(names) or list(settings.only)
                or selection(grading.course, grading.lab.number, grading.exercise))
    if not names:
        patterns += _of_questions(grading, settings)
    own = f"{TESTS}/lab{grading.lab.number:02}"
    files = sorted({own} | {path for p in patterns if "*" not in (file := p.split("::")[0])
                            and not (path := path_of(file)).startswith(f"{own}/")})
    read, write = os.pipe()
    told = Options(build=settings.build, impl=settings.impl,
                   base="reference" if column == ISOLATED else "own", qemu=settings.qemu,
                   seeds=settings.seeds, prebuilt=True, select=tuple(patterns), results=str(write),
                   patience=settings.patience, measure=settings.measure,
                   workers=settings.workers, unwritten=tuple(grading.whole))
    # The files come first: pytest does not know our options before it has found conftest.py by the
    # first file, and takes a word with a space in it, a test's name say, for one.
    command = [sys.executable, "-m", "pytest", *files, "-q", "--tb=no", "--capture=no",
               *(f"-pno:{name}" for name in UNUSED), "-p", "grader.grading.plugin",
               *told.arguments()]
    log = settings.build_path / "grade" / f"pytest-{column}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(settings.wrap(command), cwd=settings.root, pass_fds=(write,),
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        os.close(write)
        try:
            with _net(process, settings.seconds) as too_late:
                ended = _receive(grading, column, read, arrived)
        except BaseException:
            process.terminate()
            raise
        finally:
            process.wait()
    if too_late:
        grading.columns[column].broken.append(
            f"the tests took longer than {settings.seconds:g} seconds of this machine")
    elif not ended:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-OUTPUT_LINES:])
        grading.columns[column].broken.append(
            f"pytest ended with status {process.returncode}:\n{tail}")
    missing = [name for name in grading.tests
               if name not in grading.columns[column].results and (not names or name in names)]
    if missing and not grading.columns[column].broken:
        grading.columns[column].broken.append(
            f"{len(missing)} tests gave no result, the first: {missing[0]}")


@contextmanager
def _net(process: subprocess.Popen[bytes], seconds: float | None) -> Iterator[list[float]]:
    """Kill it after so long; the list has an entry then. No verdict comes of that: each machine has
    its instructions, and this is for what is not a machine any more."""
    late = list[float]()

    def kill() -> None:
        late.append(seconds or 0)
        process.kill()

    if seconds is None:
        yield late
        return
    clock = threading.Timer(seconds, kill)
    clock.start()
    try:
        yield late
    finally:
        clock.cancel()


def _of_questions(grading: Grading, settings: Settings) -> list[str]:
    """The tests that only measure, if anybody wants to know."""
    return question_patterns(grading.lab) if grading.asks and not settings.only else []


def _receive(grading: Grading, column: str, read: int, arrived: Callable[[str, str], None]) -> bool:
    """Take lines in until the run ends; False when it ended before its end."""
    ended = False
    with os.fdopen(read, encoding="utf-8") as lines:
        for text in lines:
            line = json.loads(text)
            if line["kind"] == "collected":
                grading.collected(line["tests"])
            elif line["kind"] == "result":
                name = grading.add(column, line)
                if name:
                    arrived(column, name)
            elif line["kind"] == "broken":
                grading.columns[column].broken.append(line["what"] + "\n" + line["text"])
            elif line["kind"] == "end":
                ended = line["status"] in (0, 1)
    return ended


def grade(grading: Grading, settings: Settings, arrived: Callable[[str, str], None]) -> None:
    """Fill a grading: the cumulative column, and the isolated one when it can count for more."""
    number = grading.lab.number
    if grading.impl == LABS and grading.unwritten is None:
        grading.unwritten = unwritten.read(grading.lab, (settings.tree or settings.root) / LABS)
    for name in ([CUMULATIVE] if grading.base == "own" else []) + [ISOLATED]:
        column = grading.columns.setdefault(name, Column(name))
        if name == ISOLATED and CUMULATIVE in grading.columns:
            column.skipped = _why_not_isolated(grading, settings)
            most = grading.maximum * grading.factor
            if not column.skipped and grading.column_score(CUMULATIVE) >= most:
                column.cannot = []
                column.skipped = f"its {float(most):g} points at most cannot raise the score"
            if column.skipped:
                continue
        try:
            if settings.builder:
                column.build_error = settings.builder(number, name)
            elif not settings.prebuilt:
                column.build_error = build_image(settings, number, name)
        except Finding as finding:
            column.broken.append(f"{finding.what}: {finding.observed}")
        if column.build_error or column.broken:
            continue
        if name == ISOLATED and CUMULATIVE in grading.columns and same_image(settings, number):
            column.skipped = "the same image as cumulative"
            continue
        run_column(grading, column, settings, arrived)
    grading.block()
    grading.complete = True


def run_column(grading: Grading, column: Column, settings: Settings,
               arrived: Callable[[str, str], None]) -> None:
    """Run all tests of a column. Of the isolated column first those that can raise its points: if
    it still cannot count for more, the others are not run.

    A test that cannot pass over any layers is not run again: its result is that over the student's
    own layers.
    """
    if column.name != ISOLATED or not (CUMULATIVE in grading.columns
                                       and grading.columns[CUMULATIVE].results):
        run_tests(grading, column.name, settings, arrived)
        run_over_reference(grading, column, settings, arrived, list(grading.tests))
        return
    hopeful, hopeless = grading.hopeful(), grading.hopeless()
    if hopeful:
        run_tests(grading, column.name, settings, arrived, hopeful)
        run_over_reference(grading, column, settings, arrived, hopeful)
    if column.broken:
        return
    reached = grading.column_score(CUMULATIVE)
    if grading.isolated_at_most() <= reached and (reached or not hopeful):
        column.skipped = "too few of the failed tests pass over the reference's layers"
        column.cannot = sorted(grading.failed_isolated())
        column.results.clear()
        return
    column.results |= {name: replace(grading.columns[CUMULATIVE].results[name])
                       for name in hopeless}
    rest = [name for name in grading.tests
            if name not in column.results] + _of_questions(grading, settings)
    if rest:
        run_tests(grading, column.name, settings, arrived, rest)
        run_over_reference(grading, column, settings, arrived, rest)


def run_over_reference(grading: Grading, column: Column, settings: Settings,
                       arrived: Callable[[str, str], None], names: Collection[str]) -> None:
    """Run what failed of `names` with the reference in place of what is unwritten."""
    for tests, over in grading.over_reference(column, names):
        if column.broken or not settings.filler:
            return
        filled, grading.unfilled = settings.filler(column.name, over)
        if filled is None:
            return
        own = {name: column.results[name] for name in tests}

        def came(name_of_column: str, name: str, own: dict[str, Result] = own,
                 over: list[str] = over) -> None:
            if name in own:
                grading.ran_over(column, name, own[name], over)
            arrived(name_of_column, name)

        run_tests(grading, column.name, filled, came, tests)


def _why_not_isolated(grading: Grading, settings: Settings) -> str:
    if grading.lab.number == 1:
        return "lab 1 stands on no other layer"
    if settings.impl == "solution":
        return "the solution is the reference"
    return ""
