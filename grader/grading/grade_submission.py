# SPDX-License-Identifier: MIT
"""Grades one submission: read as data, built and run in the sandbox, judged by the same tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from course import questions, unwritten
from course.registry import ROOT, Course
from grader.grading import run, sandbox, submission, text
from grader.grading.filled import NO_IMAGE
from grader.grading.model import ISOLATED, Grading
from grader.grading.sandbox import Template
from grader.machine import images
from grader.machine.budget import build_plugin, build_prestart
from tools.files import has_room, scratch, write_atomically


@dataclass
class Grader:
    """What submissions to one lab share."""

    course: Course
    lab: int
    build: str = "build"
    qemu: str = "qemu-system-aarch64"
    workers: int = 2
    seeds: tuple[int, ...] = (1, 1001)
    only: tuple[str, ...] = ()
    guests: Path = field(init=False)
    template: Template = field(init=False)

    def prepare(self, folder: Path) -> None:
        """Build what does not come from students, once."""
        images.make("guests", build=self.build)
        self.guests = (ROOT / self.build / "guests").resolve()
        self.template = sandbox.make_template(folder, self.lab, self.build)
        build_plugin(self.qemu, self.template.plugin)
        build_prestart(self.template.plugin)

    def grade(self, source: Path, work: Path,
              arrived: Callable[[Grading, str, str], None] | None = None) -> Grading:
        """All there is to know about a submission; `work` is its own directory, and emptied."""
        return self.judge(submission.read(source, self.course, self.lab), work, arrived)

    def judge(self, taken: submission.Submission, work: Path,
              arrived: Callable[[Grading, str, str], None] | None = None) -> Grading:
        """The same for one that has been read."""
        lab = self.course.lab(self.lab)
        answers = questions.parse(taken.files.get(f"{lab.directory}/{questions.FILE}", b""), lab)
        grading = Grading(self.course, lab, "labs", source=taken.digest, answers=answers)
        grading.refused, grading.ignored = taken.refused, taken.ignored
        if taken.refused:
            grading.complete = True
            return grading
        self.lay_out(taken.files, work)
        here = f"{lab.directory}/"
        grading.unwritten = unwritten.find(
            lab, {name.removeprefix(here): data.decode() for name, data in taken.files.items()
                  if name.startswith(here) and not name.endswith(questions.FILE)})
        settings = run.Settings(
            impl="labs", build=str(work / "build"), qemu=self.qemu, workers=self.workers,
            seeds=self.seeds, only=self.only, tree=work, seconds=sandbox.RUN_SECONDS,
            wrap=lambda command: sandbox.run_command(work, (ROOT, self.guests), command),
            builder=lambda lab, column: self.build_image(work, column, set(taken.files)))
        if unwritten.can_fill():
            settings = replace(settings, filler=lambda column, over: self._fill(
                grading, settings, taken.files, work / "filled", column, over))
        run.grade(grading, settings,
                  lambda column, name: arrived(grading, column, name) if arrived else None)
        return grading

    def lay_out(self, files: dict[str, bytes], work: Path) -> None:
        """The pristine labs/ with the student's files in it, and the starter's objects.

        A file that is as it was given keeps its time, and so its object.
        """
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        shutil.copytree(self.template.tree / "labs", work / "labs")
        for name, data in files.items():
            path = work / "labs" / name
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
        shutil.copytree(self.template.build, work / "build", symlinks=True)
        (work / "build" / "guests").symlink_to(self.guests)

    def build_image(self, work: Path, column: str, names: set[str]) -> str:
        """Build an image in the sandbox; what to say when there is none."""
        base = "reference" if column == ISOLATED else "own"
        wrapped = sandbox.build_command(self.template.tree, work / "labs", work / "build",
                                        sandbox.image_command(self.lab, base))
        done = sandbox.build(wrapped, work / "build")
        if done.returncode:
            # A source can have its compiler say that the disk is full. So the disk is asked.
            return sandbox.cut(run.compiler_words(done.text) if has_room(work, sandbox.BUILD_DISK)
                               else run.build_error(done.text, work))
        shutil.copytree(self.template.plugin, work / "build" / "grader", dirs_exist_ok=True)
        return submission.foreign_text(work / "build", names)

    def _fill(self, grading: Grading, settings: run.Settings, files: dict[str, bytes], work: Path,
              column: str, over: list[str]) -> tuple[run.Settings | None, str]:
        """The image with the reference in place of what is unwritten. What its compiler says
        nobody is told: it may quote the reference."""
        assert grading.unwritten is not None
        directory = grading.lab.directory
        texts = unwritten.filled(grading.unwritten.of(over))
        self.lay_out(files | {f"{directory}/{file}": text.encode()
                              for file, text in texts.items()}, work)
        if self.build_image(work, column, set(files)):
            return None, NO_IMAGE
        return replace(settings, build=str(work / "build")), ""


def no_sandbox() -> str:
    """Why there is no sandbox on this machine, or nothing."""
    return sandbox.available()


def grade_one(grader: Grader, source: Path) -> Grading:
    """One submission alone, with its progress on the terminal."""
    live: list[text.Live] = []

    def arrived(grading: Grading, column: str, name: str) -> None:
        if not live:
            live.append(text.Live(grading))
        live[0].arrived(column, name)

    with scratch("strata-grade-") as folder:
        grader.prepare(folder / "template")
        try:
            return grader.grade(source, folder / "work", arrived)
        finally:
            for shown in live:
                shown.close()


def take_over(grading: Grading, settings: run.Settings, source: Path) -> run.Settings:
    """Without a sandbox: put the files of a submission into labs/ of this tree, and build there."""
    taken = submission.read(source, grading.course, grading.lab.number)
    grading.source, grading.refused, grading.ignored = taken.digest, taken.refused, taken.ignored
    if taken.refused:
        return settings
    for name, data in taken.files.items():
        write_atomically(ROOT / "labs" / name, data)
    answers = ROOT / "labs" / grading.lab.directory / questions.FILE
    grading.answers = questions.read_file(answers, grading.lab)

    def build(lab: int, column: str) -> str:
        return (run.build_image(settings, lab, column)
                or submission.foreign_text(settings.build_path, set(taken.files)))

    return replace(settings, impl="labs", builder=build)
