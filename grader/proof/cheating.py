# SPDX-License-Identifier: MIT
"""Grades the submissions of grader/proof/cheats/; their results must be those of its README.md."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.registry import ROOT, Course, load_course
from course.submit import registered_files
from grader.grading.grade_submission import Grader
from grader.grading.model import Grading
from tools.errors import UserError

FOLDER = ROOT / "grader" / "proof" / "cheats"
# A function of an exercise as starters have it; what it returns, if that is no number or pointer.
FUNCTION = re.compile(r"(EXERCISE\([\d.]+\)\n(?:[^\n{}]*\n)+?)(\{\n.*?^\})",
                      re.DOTALL | re.MULTILINE)
SOLVED = re.compile(r"(EXERCISE\((?P<id>[\d.]+)\)\n(?:[^\n{}]*\n)+?)(\{\n.*?^\}\n)",
                    re.DOTALL | re.MULTILINE)
HOLE = re.compile(r"([ \t]*EXERCISE_BEGIN\((?P<id>[\d.]+)\)\n)(.*?)([ \t]*EXERCISE_END)",
                  re.DOTALL)
QUIET = "".join(f'#pragma GCC diagnostic ignored "-W{name}"\n' for name in (
    "unused-function", "unused-parameter", "unused-variable", "unused-const-variable",
    "maybe-uninitialized"))
TODO = re.compile(r"TODO\([\d.]+\);")
ASSEMBLY_TODO = re.compile(r"^\tTODO\([\d.]+\)$", re.MULTILINE)
RETURNS = re.compile(r"^(?:static |inline )*(void|struct \w+) \w+\(", re.MULTILINE)
SAMPLE = ("prints-what-is-expected", "sleeps-for-ever", "incbin-of-a-host-file",
          "foreign-section-by-paste",
          "symlink-to-the-solution", "terminal-escapes", "patches-the-probe",
          "steps-to-the-comparison")


@dataclass(frozen=True)
class Cheat:
    name: str
    values: dict[str, Any]

    @property
    def lab(self) -> int:
        return int(self.values["lab"])

    @property
    def tests(self) -> tuple[str, ...]:
        """What it is graded by."""
        return (tuple(self.values.get("tests", []))
                or tuple(self.values["expect"].get("verdicts", {})))


def all_cheats() -> list[Cheat]:
    return [Cheat(path.stem, tomllib.loads(path.read_text("utf-8")))
            for path in sorted(FOLDER.glob("*.toml"))]


def without_work(text: str, exercise: str) -> str:
    """A file of the solution in which what belongs to this exercise does nothing."""
    def idle(match: re.Match[str]) -> str:
        if match["id"] != exercise:
            return match[0]
        return f"{match[1]}{{\n\t{_nothing(match[1])}\n}}\n"

    found = HOLE.sub(lambda match: f"{match[1]}\tnop\n{match[4]}" if match["id"] == exercise
                     else match[0], SOLVED.sub(idle, text))
    return QUIET + found if SOLVED.search(text) and found != text else found


def _nothing(head: str) -> str:
    """The body of a function with this head that does nothing."""
    kind = RETURNS.search(head)
    return "return;" if kind and kind[1] == "void" else (
        f"return ({kind[1]}){{0}};" if kind else "return 0;")


def emptied(text: str) -> str:
    """A starter whose unwritten functions do nothing, and return zero."""
    def written(match: re.Match[str]) -> str:
        return match[1] + TODO.sub(_nothing(match[1]), match[2])

    return ASSEMBLY_TODO.sub("\tnop", TODO.sub("(void)0;", FUNCTION.sub(written, text)))


def _read(name: str, cheat: Cheat, course: Course) -> str:
    base, own = cheat.values["base"], name.startswith(f"{course.lab(cheat.lab).directory}/")
    if base == "solution" or (base == "empty" and not own):
        text = (ROOT / "solution" / name).read_text("utf-8")
        return without_work(text, str(cheat.values["idle"])) if "idle" in cheat.values else text
    text = (ROOT / "labs" / name).read_text("utf-8")
    return emptied(text) if base == "empty" else text


def _files(cheat: Cheat, course: Course) -> dict[str, str]:
    if cheat.values["base"] == "nothing":
        return {}
    files = {name: _read(name, cheat, course) for name in registered_files(course, cheat.lab)}
    for edit in cheat.values.get("edit", []):
        name = edit["file"]
        old, new = edit.get("old", "").removesuffix("\n"), edit.get("new", "").removesuffix("\n")
        if "repeat" in edit:
            files[name] = "\n" * int(edit["repeat"])
        elif not old:
            files[name] = new + "\n"
        elif files[name].count(old) != 1:
            raise UserError(f"cheats/{cheat.name}: {name} has changed: "
                            "the text that the cheat replaces is not there exactly once")
        else:
            files[name] = files[name].replace(old, new)
    return files


def pack(cheat: Cheat, course: Course) -> bytes:
    """The archive that is handed in."""
    if "raw" in cheat.values:
        return str(cheat.values["raw"]).encode()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, text in sorted(_files(cheat, course).items()):
            _add(archive, f"labs/{name}", text.encode())
        for entry in cheat.values.get("add", []):
            if "symlink" in entry:
                link = tarfile.TarInfo(entry["path"])
                link.type, link.linkname = tarfile.SYMTYPE, entry["symlink"]
                archive.addfile(link)
            else:
                _add(archive, entry["path"],
                     entry["text"].encode() if "text" in entry else bytes(entry["size"]))
    return gzip.compress(raw.getvalue(), 1, mtime=0)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def judge(cheat: Cheat, grading: Grading) -> Iterator[str]:
    """Where a cheat got something else than it must get."""
    expect = cheat.values["expect"]
    errors = " | ".join(column.build_error for column in grading.columns.values()
                        if column.build_error)
    if "refused" in expect:
        if not any(re.search(expect["refused"], text) for text in grading.refused):
            instead = grading.refused or errors or "it was graded"
            yield f"is not refused with {expect['refused']!r}: {instead}"
        return
    if grading.refused:
        yield f"is refused: {grading.refused[0]}"
    if "build_error" in expect:
        if not re.search(expect["build_error"], errors):
            yield (f"builds, or fails otherwise than {expect['build_error']!r}: "
                   f"{errors or 'no error'}")
        return
    for name, allowed in expect.get("verdicts", {}).items():
        result = grading.result_of(name)
        verdict = result.verdict.value if result else "no result"
        if verdict not in allowed.split():
            yield f"{name}: {verdict}, not {allowed}; {result.what if result else errors}"
    for name, words in expect.get("says", {}).items():
        result = grading.result_of(name)
        found = f"{result.what}: {result.observed}" if result else errors
        if not re.search(words, found):
            yield f"{name}: does not say {words!r} but {found!r}"
    if float(grading.score) > expect.get("score_max", 100):
        yield f"{float(grading.score):g} points, at most {expect['score_max']}"
    words = json.dumps(grading.values(), ensure_ascii=False)
    for text in expect.get("absent", []):
        if text in words:
            yield f"the results contain {text!r}"


def try_all(build: str, cheats: list[Cheat], folder: Path,
            done: Callable[[Cheat, list[str]], None]) -> int:
    """Grade each; the number of those that did not get what they must get."""
    course, bad = load_course(), 0
    for lab in sorted({cheat.lab for cheat in cheats}):
        grader = Grader(course, lab, build, workers=0, seeds=(1,))
        grader.prepare(folder / f"template-{lab}")
        for cheat in (cheat for cheat in cheats if cheat.lab == lab):
            archive = folder / f"{cheat.name}.tar.gz"
            archive.write_bytes(pack(cheat, course))
            grader.only = cheat.tests
            problems = list(judge(cheat, grader.grade(archive, folder / "work")))
            bad += bool(problems)
            done(cheat, problems)
    return bad
