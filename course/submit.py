# SPDX-License-Identifier: MIT
"""`make submit`: the files that are registered for labs 1 to LAB, in one archive.

The same files give the same archive (with the same zlib), whoever packs it and when: names, order,
times and owners are fixed. Other files that were changed below labs/ are named: the archive leaves
them out, so they are missing when the work is graded.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from course.lab import open_exercises
from course import questions
from course.registry import ANSWERS, LABS, ROOT, Course, load_course
from course.starters import MANIFEST, changed_files, read_manifest
from tools.errors import UserError, run_main
from tools.files import write_atomically

FILE_BYTES_MAX = 256 * 1024


def registered_files(course: Course, number: int) -> list[str]:
    """The paths, below labs/, of a submission."""
    course.lab(number)
    return [f"{lab.directory}/{name}" for lab in course.labs[:number]
            for name in (*lab.files, *([ANSWERS] if lab.questions else []))]


def pack(root: Path, names: list[str]) -> bytes:
    """A tar.gz of these files below labs/."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(names):
            path = root / LABS / name
            if path.is_symlink() or not path.is_file():
                raise UserError(f"{LABS}/{name}: must be a file; a submission consists of it")
            data = path.read_bytes()
            if len(data) > FILE_BYTES_MAX:
                raise UserError(f"{LABS}/{name}: {len(data)} bytes; "
                                f"at most {FILE_BYTES_MAX} are taken")
            entry = tarfile.TarInfo(f"{LABS}/{name}")
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def left_out(root: Path, course: Course, number: int) -> list[str]:
    """What a student changed or added below labs/ and what no submission takes."""
    labs = root / LABS
    taken = set(registered_files(course, number))
    here = tuple(lab.directory for lab in course.labs[:number])
    changed = [name for name in changed_files(labs) if name.startswith(here)]
    known = read_manifest(labs).keys() | {MANIFEST}
    added = [path.relative_to(labs).as_posix() for directory in here
             for path in sorted((labs / directory).rglob("*"))
             if path.is_file() or path.is_symlink()]
    return sorted({name for name in changed + added if name not in taken
                   and (name in changed or name not in known)})


def local_score(root: Path, scores: Path, number: int, names: list[str]) -> str:
    """What the last local grading said, and whether it was about these files."""
    report = scores / f"lab{number:02}.json"
    try:
        values = json.loads(report.read_text("utf-8"))
        score, maximum = float(values["score"]), float(values["max"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"not graded here yet: make grade LAB={number}"
    newest = max((root / LABS / name).stat().st_mtime_ns for name in names)
    stale = " (before the last change: grade again)" if newest > report.stat().st_mtime_ns else ""
    return f"{score:g} of {maximum:g}{stale}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="course/submit.py", description="Pack a submission.")
    parser.add_argument("--lab", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True)
    arguments = parser.parse_args()

    course = load_course()
    names = registered_files(course, arguments.lab)
    data = pack(ROOT, names)
    target = arguments.out / f"lab{arguments.lab:02}.tar.gz"
    write_atomically(target, data)
    unfinished = open_exercises(course, 1, arguments.lab)
    print(f"{target}: {len(names)} files, {len(data)} bytes")
    print(f"  sha256: {hashlib.sha256(data).hexdigest()}")
    score = local_score(ROOT, arguments.scores, arguments.lab, names)
    print(f"  local score of lab {arguments.lab}: {score}")
    for lab in course.labs[:arguments.lab]:
        answers = questions.read_file(ROOT / LABS / lab.directory / ANSWERS, lab)
        if answers.error:
            print(f"  answers not read: {answers.error}")
    if unfinished:
        print(f"  not written yet: {', '.join(unfinished)}")
    for name in left_out(ROOT, course, arguments.lab):
        print(f"  NOT in it: {LABS}/{name} (only files with exercises are taken)")
    return 0


if __name__ == "__main__":
    run_main(main)
