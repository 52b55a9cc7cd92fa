# SPDX-License-Identifier: MIT
"""`make submit`: the files that are registered for labs 1 to LAB, in one archive.

The same files give the same archive (with the same zlib), whoever packs it and when: names, order,
times and owners are fixed. Other files that were changed are named: the archive leaves them out, so
they are missing when the work is graded, and the score here may be another than the one there.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from course.lab import open_exercises
from course import questions
from course.registry import ANSWERS, LABS, ROOT, Course, load_course
from course.starters import MANIFEST, changed_files, read_manifest
from tools.errors import UserError, run_main
from tools.files import write_atomically

FILE_BYTES_MAX = 256 * 1024
GIVEN_FILES = "handout/GIVEN.sha256"  # what a handout had outside labs/
JUDGING = ("Makefile", "course.toml", "course", "kit", "guests", "grader", "tools", "handout")
SHOWN = 10


def registered_files(course: Course, number: int) -> list[str]:
    """The paths, below labs/, of a submission."""
    course.lab(number)
    return [f"{lab.directory}/{name}" for lab in course.labs[:number]
            for name in (*lab.files, *([ANSWERS] if lab.questions else []))]


def content_hash(files: Mapping[str, bytes]) -> str:
    """The same for the same registered files, however they are packed. Answers have no points: a
    score is of the other files."""
    total = hashlib.sha256()
    for name, data in sorted(files.items()):
        if name.rpartition("/")[2] == ANSWERS:
            continue
        total.update(f"{name}\0{len(data)}\0".encode() + data)
    return total.hexdigest()


def hash_of_labs(root: Path, course: Course, number: int) -> str:
    """content_hash() of what make submit would pack."""
    paths = {name: root / LABS / name for name in registered_files(course, number)}
    return content_hash({name: path.read_bytes() for name, path in paths.items()
                         if path.is_file()})


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


def changed_outside(root: Path) -> list[str]:
    """Files outside labs/ that a score rests on and that are not as they were given."""
    manifest = root / GIVEN_FILES
    if manifest.is_file():
        pairs = (line.split("  ", 1) for line in manifest.read_text("utf-8").splitlines())
        return [name for digest, name in pairs if is_judging(name) and digest != (
            hashlib.sha256((root / name).read_bytes()).hexdigest()
            if (root / name).is_file() else "")]
    try:
        git = subprocess.run(["git", "-C", str(root), "diff", "--name-only", "HEAD", "--",
                              *JUDGING], capture_output=True, text=True, check=False)
    except OSError:
        return []
    return [name for name in git.stdout.splitlines() if is_judging(name)]


def is_judging(name: str) -> bool:
    return name.split("/")[0] in JUDGING and not name.endswith(".md")


def local_score(root: Path, course: Course, scores: Path, number: int) -> str:
    """What the last local grading said, and why it may be no score of these files."""
    try:
        values = json.loads((scores / f"lab{number:02}.json").read_text("utf-8"))
        score, maximum = float(values["score"]), float(values["max"])
        problems = [text for text, holds in {
            "of the solution, not of these files": values["impl"] != LABS,
            "of other files than these": values["impl"] == LABS
            and values["source"] != hash_of_labs(root, course, number),
            "of a run that did not finish": not values["complete"],
            "some tests could not be judged": values["complete"] and values["exit_code"] == 3,
            "over the layers of the reference alone": values["base"] != "own",
        }.items() if holds]
    except (OSError, ValueError, KeyError, TypeError):
        return f"not graded here yet: make grade LAB={number}"
    told = f" ({'; '.join(problems)}: make grade LAB={number})" if problems else ""
    return f"{score:g} of {maximum:g}{told}"


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
    print(f"  files:  {hash_of_labs(ROOT, course, arguments.lab)} (as in the results)")
    score = local_score(ROOT, course, arguments.scores, arguments.lab)
    print(f"  local score of lab {arguments.lab}: {score}")
    for lab in course.labs[:arguments.lab]:
        answers = questions.read_file(ROOT / LABS / lab.directory / ANSWERS, lab)
        if answers.error:
            print(f"  answers not read: {answers.error}")
    if unfinished:
        print(f"  not written yet: {', '.join(unfinished)}")
    for name in left_out(ROOT, course, arguments.lab):
        print(f"  NOT in it: {LABS}/{name} (only files with exercises are taken)")
    outside = changed_outside(ROOT)
    for name in outside[:SHOWN]:
        print(f"  NOT in it: {name} (changed; the score is made with the file as it was given)")
    if len(outside) > SHOWN:
        print(f"  NOT in it: {len(outside) - SHOWN} more changed files outside {LABS}/")
    return 0


if __name__ == "__main__":
    run_main(main)
