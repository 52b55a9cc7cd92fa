# SPDX-License-Identifier: MIT
"""`make handout LAB=n DEST=dir`: what students get.

The tree without solution/, without what course.toml excludes, without later labs and their tests,
and without history. Labs below n come with the layers of the reference as archives, one a layer, in
handout/reference/, so that BASE=reference links. Starters are made anew from solution/: what stands
in labs/ at the moment is not looked at. Nothing is left in DEST when a line of a solution is found.
"""

from __future__ import annotations

import argparse
import errno
import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from course.registry import LABS, ROOT, SOLUTION, Course, load_course
from course.starters import (LAB_TEXT, MANIFEST, Tree, check_registry, find_leaks,
                             make_tree, manifest_of, overview, secret_lines)
from course.submit import GIVEN_FILES
from tools.errors import UserError, run_main
from tools.files import full_disk, repository_files

REFERENCE = Path("handout/reference")
README = Path("docs/handout.md")  # becomes the README of a handout
SYMPTOMS = Path("grader/grading/symptoms.toml")
SYMPTOM = "[[symptom]]\n"
EXERCISE = re.compile(r"\b(\d)\.\d+\b")
CODE_SPAN = re.compile(r"`[^`]*`")  # what it says is an example
NAMED_EXERCISE = re.compile(r"\bexercise (\d)\.\d+")
# A handout has one tree, and IMPL is labs by itself.
OF_A_CLONE = re.compile(r"\s\((?:and )?in a clone that has\s+`solution/`,\s+(?:with|add)\s+"
                        r"`IMPL=labs`\)|; in a clone that has\s+`solution/`,\s+give\s+"
                        r"`IMPL=labs` to `run` and\s+`debug`| IMPL=labs\b")
LAB_FILE = re.compile(r"(?:grader/tests|grader/host|guests/demos)/(?:test_)?lab(\d\d)\b.*"
                      r"|grader/host/test_lab(\d\d)_.*")


def _is_given(name: str, course: Course, number: int) -> bool:
    """Whether students of lab `number` get this file of the repository as it is."""
    of_lab = LAB_FILE.fullmatch(name)
    if of_lab and int(of_lab[1] or of_lab[2]) > number:
        return False
    if name.split("/")[0] in (SOLUTION, LABS, "handout", ".git"):
        return False
    if name in (str(README), "README.md"):
        return False
    return not any(fnmatch.fnmatchcase(name, pattern) for pattern in course.handout_exclude)


def pictures_of_later_labs(course: Course, number: int) -> set[str]:
    """Pictures in docs/ that the texts of later labs show, and no page that everybody gets does."""
    docs = ROOT / "docs"
    earlier = "".join(path.read_text("utf-8") for path in
                      (*sorted(docs.glob("*.md")), *(ROOT / SOLUTION / lab.directory / LAB_TEXT
                                                     for lab in course.labs[:number])))
    return {f"docs/{path.name}" for path in docs.glob("*.svg") if path.name not in earlier}


def symptoms_of(text: str, number: int) -> str:
    """The table of symptoms without those that speak of later labs alone."""
    head, *entries = text.split(SYMPTOM)
    labs = [[int(match[1]) for match in EXERCISE.finditer(entry)] for entry in entries]
    kept = [entry for entry, found in zip(entries, labs, strict=True)
            if not found or min(found) <= number]
    return SYMPTOM.join([head, *kept])


def page_of(course: Course, text: str, number: int) -> str:
    """A page of docs/ without the rows of its tables that speak of later labs' exercises alone, and
    without what only a clone needs."""
    def is_kept(line: str) -> bool:
        words = CODE_SPAN.sub("", line) if line.startswith("|") else ""
        named = [int(lab) for lab in NAMED_EXERCISE.findall(words)]
        return not named or min(named) <= number or min(named) > len(course.labs)

    kept = "".join(line for line in text.splitlines(keepends=True) if is_kept(line))
    return OF_A_CLONE.sub("", kept)


def starters_of(course: Course, tree: Tree, number: int) -> dict[str, bytes]:
    """labs/ with the labs up to `number`."""
    labs = course.labs[:number]
    here = tuple(f"{lab.directory}/" for lab in labs)
    files = {name: data for name, data in tree.files.items() if name.startswith(here)}
    for name in files:
        if name.endswith(f"/{LAB_TEXT}"):
            files[name] = OF_A_CLONE.sub("", files[name].decode("utf-8")).encode()
    files[LAB_TEXT] = OF_A_CLONE.sub("", overview(course, labs)).encode()
    return {**files, MANIFEST: manifest_of(files)}


def build_reference(number: int, build: Path) -> list[Path]:
    """The layers below a lab as archives, made by make."""
    archives = [build / "reference" / f"lab{layer:02}.a" for layer in range(1, number)]
    if archives:
        environment = {k: v for k, v in os.environ.items()
                       if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        done = subprocess.run(["make", "-C", str(ROOT), "--no-print-directory", f"BUILD={build}",
                               *map(str, archives)], capture_output=True, text=True, check=False,
                              env=environment)
        if done.returncode:
            if full_disk(done.stdout + done.stderr, ROOT / build):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(build))
            raise UserError(f"the reference does not build:\n{done.stdout}{done.stderr}")
    return archives


def fill(dest: Path, course: Course, tree: Tree, number: int, archives: list[Path]) -> None:
    """Write the handout into an empty directory."""
    later = pictures_of_later_labs(course, number)
    for path in repository_files():
        if _is_given(path.as_posix(), course, number) and path.as_posix() not in later:
            if path.is_symlink():
                raise UserError(f"{path}: a handout has no symbolic links")
            (dest / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, dest / path)
    symptoms = dest / SYMPTOMS
    symptoms.write_text(symptoms_of(symptoms.read_text("utf-8"), number), "utf-8")
    for page in sorted((dest / "docs").glob("*.md")):
        page.write_text(page_of(course, page.read_text("utf-8"), number), "utf-8")
    for name, data in starters_of(course, tree, number).items():
        (dest / LABS / name).parent.mkdir(parents=True, exist_ok=True)
        (dest / LABS / name).write_bytes(data)
    (dest / REFERENCE).mkdir(parents=True)
    for archive in archives:
        shutil.copyfile(ROOT / archive, dest / REFERENCE / archive.name)
    shutil.copyfile(README, dest / "README.md")
    given = {path.relative_to(dest).as_posix(): path for path in dest.rglob("*") if path.is_file()}
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n"
             for name, path in sorted(given.items()) if not name.startswith(f"{LABS}/")]
    (dest / GIVEN_FILES).write_text("".join(lines), "utf-8")


def inspect(dest: Path, course: Course, number: int, secrets: frozenset[str]) -> Iterator[str]:
    """What should not be in a handout and is; looks at the result and not at how it was made."""
    names = sorted(path.relative_to(dest).as_posix() for path in dest.rglob("*"))
    later = {lab.directory for lab in course.labs[number:]}
    for name in names:
        parts = set(Path(name).parts)
        if parts & {SOLUTION, ".git", "mutants", "cheats"} or parts & later:
            yield f"{name}: does not belong in a handout"
        elif (dest / name).is_symlink():
            yield f"{name}: a symbolic link"
    yield from find_leaks(dest, (name for name in names if (dest / name).is_file()), secrets)


def main() -> int:
    parser = argparse.ArgumentParser(prog="course/handout.py",
                                     description="Make what students get.")
    parser.add_argument("--lab", type=int, required=True)
    parser.add_argument("--dest", type=Path, required=True)
    parser.add_argument("--build", type=Path, default=Path("build"))
    arguments = parser.parse_args()

    course = load_course()
    course.lab(arguments.lab)
    dest: Path = arguments.dest
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UserError(f"DEST={dest}: exists and is not an empty directory")
    os.chdir(ROOT)
    tree = make_tree(course)
    findings = list(check_registry(course, tree))
    if not findings:
        archives = build_reference(arguments.lab, arguments.build)
        dest.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=dest.parent, prefix=".handout-") as folder:
            made = Path(folder) / "tree"
            made.mkdir()
            fill(made, course, tree, arguments.lab, archives)
            findings = list(inspect(made, course, arguments.lab, secret_lines(tree)))
            if not findings:
                made.rename(dest)
    if findings:
        print("\n".join(findings), file=sys.stderr)
        return 1
    count = sum(1 for path in dest.rglob("*") if path.is_file())
    print(f"{dest}: {count} files for labs 1 to {arguments.lab}, "
          f"{len(archives)} layers of the reference, no leaks")
    return 0


if __name__ == "__main__":
    run_main(main)
