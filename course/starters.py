# SPDX-License-Identifier: MIT
"""`make starters`: labs/ from solution/, the one place where a solution is written.

    EXERCISE(2.3)            the body of the function below becomes { TODO(2.3); }, or what lab.toml
                             has for it under until_written: a machine that does not need the
                             function yet goes on
    EXERCISE_PRIVATE(2.3)    the function below vanishes, with its comment and its prototypes
    EXERCISE_BEGIN(1.1) ... EXERCISE_END    in assembly: what stands between becomes TODO(1.1)

answers.toml keeps its keys and loses its values. Everything else is copied. ctags says where a
function begins and ends. The same solution gives the same bytes. labs/STARTERS.sha256 lists their
hashes: they tell a student's work, which is never overwritten, from an untouched starter.

A helper that only exercises use stays, unused in a starter: labs/ is compiled without the warnings
about unused functions and parameters. One that would give the answer away is EXERCISE_PRIVATE.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from course import ctags, lab_text
from course.registry import ANSWERS, LAB_FILE, LABS, ROOT, SOLUTION, Course, Lab, load_course
from tools.errors import UserError, run_main

MANIFEST = "STARTERS.sha256"
LAB_TEXT = "README.md"
CODE = (".c", ".h", ".S")
GIVEN = ("kit", "guests", "grader/host")  # what students get as it is

C_TAG = re.compile(r"EXERCISE(?P<private>_PRIVATE)?\((?P<id>\d+\.\d+)\)")
HOLE_BEGIN = re.compile(r"EXERCISE_BEGIN\((?P<id>\d+\.\d+)\)")
HOLE_END = "EXERCISE_END"
ANY_TAG = re.compile(r"\s*EXERCISE")

LEAK_LENGTH_MIN = 16  # shorter lines (`return 0;`, `isb`) say nothing


@dataclass(frozen=True)
class Tag:
    """One mark in solution/: of the function, label or macro `name`."""

    id: str
    file: str
    line: int
    name: str
    is_private: bool


@dataclass(frozen=True)
class Starter:
    """One source file without what students write."""

    text: str
    tags: tuple[Tag, ...]
    removed: tuple[str, ...]  # the lines of the solution that are gone


@dataclass(frozen=True)
class _Edit:
    """Lines first..last, counted from 1, become `lines`."""

    first: int
    last: int
    lines: tuple[str, ...] = ()


def _comment_above(lines: list[str], line: int) -> int:
    """The first line of the comment that ends right above `line`; `line` when there is none."""
    above = line - 1
    if above < 1 or not lines[above - 1].rstrip().endswith("*/"):
        return line
    while above > 1 and not lines[above - 1].lstrip().startswith("/*"):
        above -= 1
    return above


def _removal(lines: list[str], first: int, last: int) -> _Edit:
    """Take lines out, with the blank line that would otherwise be one too many."""
    is_blank_above = first == 1 or not lines[first - 2].strip()
    if last < len(lines) and not lines[last].strip() and is_blank_above:
        last += 1
    return _Edit(first, last)


def _prototypes(lines: list[str], found: list[ctags.Symbol], name: str) -> Iterator[_Edit]:
    for symbol in found:
        if symbol.kind == "prototype" and symbol.name == name:
            last = symbol.line
            while not lines[last - 1].rstrip().endswith(";"):
                last += 1
            yield _removal(lines, _comment_above(lines, symbol.line), last)


def _c_edits(path: Path, lines: list[str], only: Collection[str] | None,
             bodies: Mapping[str, str]) -> tuple[list[Tag], list[_Edit]]:
    found = ctags.symbols(path)
    functions = {symbol.line: symbol for symbol in found if symbol.kind == "function"}
    tags, edits = [], []
    for number, line in enumerate(lines, start=1):
        if not ANY_TAG.match(line):
            continue
        match = C_TAG.fullmatch(line.strip())
        function = functions.get(number + 1)
        if not match or function is None:
            raise UserError(f"{path}:{number}: a mark stands alone on the line above a function")
        tag = Tag(match["id"], path.name, number, function.name, bool(match["private"]))
        tags.append(tag)
        if only is not None and tag.id not in only:
            continue
        if tag.is_private:
            edits.append(_removal(lines, _comment_above(lines, number), function.end))
            edits += _prototypes(lines, found, function.name)
            continue
        opening = function.line
        while opening < function.end and lines[opening - 1] != "{":
            opening += 1
        if opening == function.end or lines[function.end - 1] != "}":
            raise UserError(f"{path}:{function.line}: {function.name}(): "
                            "the braces of its body must stand in the first column")
        body = bodies.get(function.name, f"\tTODO({tag.id});")
        edits.append(_Edit(opening + 1, function.end - 1, tuple(body.splitlines())))
    return tags, edits


def _assembly_edits(path: Path, lines: list[str],
                    only: Collection[str] | None) -> tuple[list[Tag], list[_Edit]]:
    names = [symbol for symbol in ctags.symbols(path) if not symbol.name.startswith("EXERCISE")]
    tags, edits = [], []
    opened: Tag | None = None
    for number, line in enumerate(lines, start=1):
        if not ANY_TAG.match(line):
            continue
        begin = HOLE_BEGIN.fullmatch(line.strip())
        above = [symbol.name for symbol in names if symbol.line < number]
        if begin and opened is None and above:
            opened = Tag(begin["id"], path.name, number, above[-1], False)
            tags.append(opened)
        elif line.strip() == HOLE_END and opened is not None:
            if only is None or opened.id in only:
                edits.append(_Edit(opened.line + 1, number - 1, (f"\tTODO({opened.id})",)))
            opened = None
        else:
            raise UserError(f"{path}:{number}: EXERCISE_BEGIN(n.m) below a label or macro, then "
                            "EXERCISE_END, and nothing else")
    if opened is not None:
        raise UserError(f"{path}:{opened.line}: EXERCISE_BEGIN without EXERCISE_END")
    return tags, edits


def make_starter(path: Path, only: Collection[str] | None = None,
                 bodies: Mapping[str, str] = MappingProxyType({})) -> Starter:
    """The starter of a source file; with `only`, just these exercises are taken out of it.

    `bodies`: what functions do until they are written, if anything but TODO().
    """
    text = path.read_text("utf-8")
    lines = text.splitlines()
    tags, edits = (_assembly_edits(path, lines, only) if path.suffix == ".S"
                   else _c_edits(path, lines, only, bodies))
    removed: list[str] = []
    for edit in sorted(edits, key=lambda edit: edit.first, reverse=True):
        removed[:0] = lines[edit.first - 1:edit.last]
        lines[edit.first - 1:edit.last] = edit.lines
    return Starter("\n".join(lines) + "\n", tuple(tags), tuple(removed))


# ---- a whole tree --------------------------------------------------------------------------------


def overview(course: Course, labs: Iterable[Lab]) -> str:
    """labs/README.md: the list of labs and exercises."""
    lines = [
        f"<!-- GENERATED from {SOLUTION}/ by make starters: do not edit -->",
        f"# {course.title}: the labs",
        "",
        "You write the functions below `EXERCISE(n.m)` in these directories; "
        "the comment over each is",
        "its specification, `README.md` of the lab is its text. Everything else is given.",
        "",
        "`make lab01` builds lab 1 and names the next exercise, `make grade LAB=1` tests it, "
        "`make hint EX=1.1`",
        "helps, `make debug LAB=1` shows the machine; in a clone that has `solution/`, "
        "give `IMPL=labs` to `run` and",
        "`debug`. Abbreviations: [glossary](../docs/glossary.md). Silence: "
        "[debugging guide](../docs/debugging.md).",
        "Points: [grading](../docs/grading.md). More: [where to read on](../docs/reading.md).",
        "",
    ]
    for lab in labs:
        lines += [f"## Lab {lab.number}: [{lab.title}]({lab.directory}/{LAB_TEXT}), "
                  f"about {lab.hours} hours", "", f"Adds {lab.adds}. Then {lab.then}.",
                  "", "| | exercise | points | files |", "|---|---|--:|---|"]
        for exercise in lab.in_order:
            files = ", ".join(f"`{name}`" for name in exercise.functions)
            lines.append(f"| {exercise.id} | {exercise.title} | {exercise.points} | {files} |")
        lines.append("")
    lines += [f"{MANIFEST} holds the hashes of the starters as they were handed out.", ""]
    return "\n".join(lines)


def manifest_of(files: dict[str, bytes]) -> bytes:
    """The contents of STARTERS.sha256, as sha256sum writes and checks it."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n"
                   for name, data in sorted(files.items())).encode()


@dataclass(frozen=True)
class Tree:
    """What labs/ is to hold, and what it must not."""

    files: dict[str, bytes]  # path below labs/ -> contents
    tags: tuple[tuple[Lab, Tag], ...]
    removed: frozenset[str]

    @property
    def manifest(self) -> bytes:
        return manifest_of(self.files)


def unanswered(solved: str) -> tuple[bytes, list[str]]:
    """answers.toml as a student gets it, and the lines with answers."""
    answers = [line for line in solved.splitlines() if re.match(r"\w+ = ", line)]
    return re.sub(r"(?m)^(\w+) = .*$", r'\1 = ""', solved).encode(), answers


def make_tree(course: Course, root: Path = ROOT) -> Tree:
    """All starters, of the labs that solution/ has."""
    files: dict[str, bytes] = {}
    tags: list[tuple[Lab, Tag]] = []
    removed: set[str] = set()
    if not (root / SOLUTION).is_dir():
        raise UserError(f"there is no {SOLUTION}/: this is a handout; "
                        f"starters and handouts are made from {SOLUTION}/")
    for lab in course.labs:
        for path in sorted((root / SOLUTION / lab.directory).iterdir()):
            name = f"{lab.directory}/{path.name}"
            if path.name == LAB_TEXT:
                head = f"<!-- GENERATED from {SOLUTION}/{name} by make starters: do not edit -->\n"
                text = lab_text.for_students(path.read_text("utf-8"), lab, root)
                files[name] = head.encode() + text.encode()
            elif path.name == ANSWERS:
                files[name], answers = unanswered(path.read_text("utf-8"))
                removed.update(answers)
            elif path.name == LAB_FILE:
                files[name] = path.read_bytes()
            elif path.suffix in CODE:
                starter = make_starter(path, bodies=lab.until_written)
                files[name] = starter.text.encode()
                tags += [(lab, tag) for tag in starter.tags]
                removed.update(starter.removed)
            else:
                raise UserError(f"{path}: a lab consists of .c, .h and .S files, {LAB_FILE}, "
                                f"{ANSWERS} and {LAB_TEXT}")
    files[LAB_TEXT] = overview(course, course.labs).encode()
    return Tree(files, tuple(tags), frozenset(removed))


def check_registry(course: Course, tree: Tree) -> Iterator[str]:
    """Every mark has its entry in its lab's lab.toml, and every entry its mark."""
    marked: set[tuple[str, str, str]] = set()
    known = {exercise.id for exercise in course.exercises}
    registered = {(exercise.id, file, name): f"{SOLUTION}/{lab.directory}/{LAB_FILE}"
                  for lab in course.labs for exercise in lab.exercises
                  for file, names in exercise.functions.items() for name in names}
    for lab, tag in tree.tags:
        where = f"{SOLUTION}/{lab.directory}/{tag.file}:{tag.line}"
        entry = (tag.id, tag.file, tag.name)
        if tag.id not in known or not tag.id.startswith(f"{lab.number}."):
            yield f"{where}: {LAB_FILE} has no exercise {tag.id}"
        elif not tag.is_private and entry not in registered:
            yield (f"{where}: {LAB_FILE} does not list {tag.name} of {tag.file} "
                   f"under exercise {tag.id}")
        if not tag.is_private:
            marked.add(entry)
    for id_, file, name in sorted(registered.keys() - marked):
        yield (f"{registered[id_, file, name]}: exercise {id_} lists {name} of {file}, "
               "which is not marked there")


def check_answers(tree: Tree) -> Iterator[str]:
    """The questions of lab.toml, the keys of answers.toml and what the text names are the same."""
    for lab in {lab.number: lab for lab, _ in tree.tags}.values():
        name = f"{lab.directory}/{ANSWERS}"
        keys = list(tomllib.loads(tree.files.get(name, b"").decode()))
        if keys != [question.id for question in lab.questions]:
            yield f"{SOLUTION}/{name}: its keys are not the questions of {LAB_FILE} in their order"
        text = tree.files.get(f"{lab.directory}/{LAB_TEXT}", b"").decode()
        for question in lab.questions if text else ():
            if f"`{question.id}`" not in text:
                yield (f"{SOLUTION}/{lab.directory}/{LAB_TEXT}: "
                       f"question {question.number} does not name `{question.id}`")


def check_texts(tree: Tree) -> Iterator[str]:
    """The text of a lab has the places to which TODO() and `make lab02` send its readers."""
    for lab in {lab.number: lab for lab, _ in tree.tags}.values():
        name = f"{lab.directory}/{LAB_TEXT}"
        text = tree.files.get(name, b"").decode()
        for exercise in lab.exercises if text else ():
            if f'<a id="{exercise.anchor}"></a>' not in text:
                yield (f"{SOLUTION}/{name}: exercise {exercise.id} "
                       f'needs <a id="{exercise.anchor}"></a>')
            if lab_text.list_of_tests(lab, exercise) not in text:
                yield (f"{SOLUTION}/{name}: exercise {exercise.id} "
                       f"needs a line <!-- tests of {exercise.id} -->")


# ---- leaks ---------------------------------------------------------------------------------------


def _normal(line: str) -> str:
    return " ".join(line.split())


def secret_lines(tree: Tree, root: Path = ROOT) -> frozenset[str]:
    """The lines that stand in solved bodies and nowhere in what students are given."""
    given = {_normal(line) for name, data in tree.files.items() if not name.endswith(".md")
             for line in data.decode().splitlines()}
    for folder in GIVEN:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in CODE:
                given.update(_normal(line) for line in path.read_text("utf-8").splitlines())
    text = "\n".join(given)
    lines = {_normal(line) for line in tree.removed}
    return frozenset(line for line in lines if len(line) >= LEAK_LENGTH_MIN and line not in text)


def find_leaks(root: Path, names: Iterable[str], secrets: frozenset[str]) -> Iterator[str]:
    """Where one of these lines stands in a file below `root`, whole or as a part of a line."""
    for name in names:
        text = (root / name).read_bytes().decode("utf-8", "replace")
        flat = "\n".join(_normal(line) for line in text.splitlines())
        for secret in sorted(secrets):
            if secret in flat:
                number = next(n for n, line in enumerate(flat.split("\n"), start=1)
                              if secret in line)
                yield f"{name}:{number}: a line of the solution: {secret}"


# ---- writing and checking ------------------------------------------------------------------------


def read_manifest(labs: Path) -> dict[str, str]:
    """The hashes of the starters as generated: path below labs/ -> SHA-256."""
    path = labs / MANIFEST
    if not path.exists():
        return {}
    pairs = (line.split("  ", 1) for line in path.read_text("utf-8").splitlines())
    return {name: digest for digest, name in pairs}


def changed_files(labs: Path) -> list[str]:
    """The files below labs/ that are not as they were generated."""
    return sorted(name for name, digest in read_manifest(labs).items() if (labs / name).is_file()
                  and hashlib.sha256((labs / name).read_bytes()).hexdigest() != digest)


def write_tree(tree: Tree, root: Path = ROOT, overwrite: bool = False) -> list[str]:
    """Bring labs/ up to date; returns the files that changed. What was edited by hand is kept."""
    labs = root / LABS
    edited = [name for name in changed_files(labs)
              if (labs / name).read_bytes() != tree.files.get(name)]
    if edited and not overwrite:
        raise UserError(f"labs/{edited[0]} was changed by hand, as were {len(edited) - 1} others; "
                        "OVERWRITE=1 replaces them all by starters")
    written = []
    for name in sorted(read_manifest(labs).keys() - tree.files.keys()):
        (labs / name).unlink(missing_ok=True)
        written.append(name)
    for name, data in sorted({**tree.files, MANIFEST: tree.manifest}.items()):
        path = labs / name
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written.append(name)
    return written


def check_tree(tree: Tree, root: Path = ROOT) -> Iterator[str]:
    """Where labs/ is not what `make starters` would write."""
    labs = root / LABS
    wanted = {**tree.files, MANIFEST: tree.manifest}
    there = {path.relative_to(labs).as_posix() for path in labs.rglob("*") if path.is_file()}
    for name in sorted(wanted.keys() | there):
        if name not in there:
            yield f"{LABS}/{name}: missing; `make starters` writes it"
        elif name not in wanted:
            yield f"{LABS}/{name}: not made from solution/"
        elif (labs / name).read_bytes() != wanted[name]:
            yield f"{LABS}/{name}: not what `make starters` writes"
    yield from check_texts(tree)
    yield from check_answers(tree)
    yield from find_leaks(root, (f"{LABS}/{name}" for name in sorted(there)),
                          secret_lines(tree, root))


def check_builds(labs: Iterable[int], build: str, root: Path = ROOT) -> Iterator[str]:
    """Each lab's starters compile and link without a warning, over starters and the reference."""
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    for number in labs:
        for base in ("own", "reference"):
            command = ["make", "-C", str(root), "--no-print-directory", "image", f"LAB={number}",
                       "IMPL=labs", f"BASE={base}", f"BUILD={build}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False,
                                  env=environment)
            output = done.stdout + done.stderr
            if done.returncode or "warning" in output:
                yield f"make image LAB={number} IMPL=labs BASE={base}:\n{output}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="course/starters.py",
                                     description="Make labs/ from solution/.")
    parser.add_argument("--check", action="store_true",
                        help="change nothing; 1 when labs/ is not right")
    parser.add_argument("--overwrite", action="store_true",
                        help="also files that were changed by hand")
    parser.add_argument("--build", default="build")
    arguments = parser.parse_args()

    course = load_course()
    tree = make_tree(course)
    findings = list(check_registry(course, tree))
    if arguments.check:
        findings += check_tree(tree)
        findings += check_builds(sorted({lab.number for lab, _ in tree.tags}), arguments.build)
    if findings:
        print("\n".join(findings), file=sys.stderr)
        return 1
    if arguments.check:
        print(f"starters: {len(tree.files)} files are right, free of leaks, and build")
        return 0
    written = write_tree(tree, overwrite=arguments.overwrite)
    print("\n".join(f"labs/{name}" for name in written) or "starters: nothing changes")
    return 0


if __name__ == "__main__":
    run_main(main)
