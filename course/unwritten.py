# SPDX-License-Identifier: MIT
"""Which exercises of a student's files are as they were handed out, and the same files with the
reference's functions in those places.

An exercise that is not written costs its own points. Tests of other exercises that come to it are
run once more on an image in which the reference stands in its place: they then show what they are
about. A place counts as unwritten when it is the starter's, to the letter: its mark, its head, and
the body that it was given.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath

from course import ctags
from course.registry import LABS, ROOT, SOLUTION, Exercise, Lab
from course.starters import C_TAG, HOLE_BEGIN, HOLE_END

# No place reaches to the next mark, and no literal beyond its line: the time is in proportion to
# the text, whatever stands in it.
FUNCTION = re.compile(r"^EXERCISE\((?P<id>\d+\.\d+)\)\n"
                      r"(?P<head>(?:(?!EXERCISE)[^\n{}#;]+\n)+)"
                      r"\{\n(?P<body>(?:(?!EXERCISE)[^}\n].*\n|\n)*)\}\n", re.MULTILINE)
HOLE = re.compile(r"^[ \t]*EXERCISE_BEGIN\((?P<id>\d+\.\d+)\)\n"
                  r"(?P<body>(?:(?![ \t]*EXERCISE_BEGIN).*\n)*?)"
                  r"[ \t]*EXERCISE_END\n", re.MULTILINE)
NOT_CODE = re.compile(r"/\*.*?(?:\*/|\Z)|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])'",
                      re.DOTALL)
CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*(if|endif)", re.MULTILINE)
DEFINE = re.compile(r"^[ \t]*#[ \t]*(?:define|undef)[ \t]+(\w+)", re.MULTILINE)
REFERENCES = "reference_"  # before the names of what a student has no name for


@dataclass(frozen=True)
class Place:
    """An exercise's place in a file that nobody has written in, or one of several in assembly."""

    exercise: str
    file: str  # in the lab's directory
    name: str  # of the function; of assembly "", for its places are told apart by their order
    order: int  # among the places of its exercise in a file of assembly
    start: int
    end: int


def places(lab: Lab, file: str, text: str) -> list[Place]:
    """The unwritten places of a file."""
    code = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    defined = {match[1] for match in DEFINE.finditer(code)}
    if defined & {"TODO", "NOT_YET", "EXERCISE", "EXERCISE_BEGIN", "EXERCISE_END"}:
        return []
    depths = _Depths(code)
    names = {(exercise.id, name) for exercise in lab.exercises
             for name in exercise.functions.get(file, ())}
    if PurePosixPath(file).suffix == ".S":
        return list(_holes(file, code, {id_ for id_, _ in names}, depths))
    found = []
    for match in FUNCTION.finditer(code):
        name = next((name for id_, name in names if id_ == match["id"]
                     and re.search(rf"\b{name}\(", match["head"])), "")
        body = lab.until_written.get(name, f"\tTODO({match['id']});") + "\n"
        if (name and text[match.start("body"):match.end("body")] == body
                and name not in defined and depths.at(match.start()) == file.endswith(".h")):
            found.append(Place(match["id"], file, name, 0, match.start(), match.end()))
    return found


def _holes(file: str, code: str, known: set[str], depths: _Depths) -> Iterable[Place]:
    count: dict[str, int] = {}
    for match in HOLE.finditer(code):
        id_ = match["id"]
        order = count[id_] = count.get(id_, -1) + 1
        if match["body"] == f"\tTODO({id_})\n" and id_ in known and not depths.at(match.start()):
            yield Place(id_, file, "", order, match.start(), match.end())


class _Depths:
    """In how many #if a place stands: in a header one, against being included twice."""

    def __init__(self, code: str) -> None:
        found = list(CONDITIONAL.finditer(code))
        self._ends = [match.end() for match in found]
        self._depths = list(accumulate((1 if match[1] == "if" else -1 for match in found),
                                       initial=0))

    def at(self, position: int) -> int:
        return self._depths[bisect_right(self._ends, position)]


@dataclass(frozen=True)
class Unwritten:
    """What of a lab is still to be written."""

    lab: Lab
    texts: Mapping[str, str]  # the student's files, by their names in the lab's directory
    places: tuple[Place, ...]

    @property
    def begun(self) -> list[str]:
        """Exercises of which some place or all are unwritten."""
        found = {place.exercise for place in self.places}
        return [exercise.id for exercise in self.lab.exercises if exercise.id in found]

    @property
    def whole(self) -> list[str]:
        """Exercises of which nothing is written."""
        return [exercise.id for exercise in self.lab.exercises if self._is_whole(exercise)]

    def where(self, exercise: str) -> str:
        """The first place of an exercise."""
        place = next(place for place in self.places if place.exercise == exercise)
        line = self.texts.get(place.file, "").count("\n", 0, place.start) + 1
        return f"{LABS}/{self.lab.directory}/{place.file}:{line}"

    def of(self, exercises: Collection[str]) -> Unwritten:
        """What of these exercises is unwritten."""
        return Unwritten(self.lab, self.texts, tuple(place for place in self.places
                                                     if place.exercise in exercises))

    def _is_whole(self, exercise: Exercise) -> bool:
        mine = [place for place in self.places if place.exercise == exercise.id]
        for file, names in exercise.functions.items():
            here = [place for place in mine if place.file == file]
            if file.endswith(".S"):
                if len(here) != self.texts.get(file, "").count(f"EXERCISE_BEGIN({exercise.id})"):
                    return False
            elif {place.name for place in here} != set(names):
                return False
        return bool(mine)


def find(lab: Lab, texts: Mapping[str, str]) -> Unwritten:
    """`texts`: the lab's files of a submission, by their names in its directory."""
    return Unwritten(lab, texts, tuple(place for file, text in texts.items() if file in lab.files
                                       for place in places(lab, file, text)))


def read(lab: Lab, labs: Path = ROOT / LABS) -> Unwritten:
    """The same of a tree's labs/."""
    paths = {file: labs / lab.directory / file for file in lab.files}
    return find(lab, {file: path.read_text("utf-8", "replace") for file, path in paths.items()
                      if path.is_file()})


# ---- the reference in these places ---------------------------------------------------------------


def can_fill(root: Path = ROOT) -> bool:
    """Whether the reference is at hand: a handout has none."""
    return (root / SOLUTION).is_dir()


def filled(unwritten: Unwritten, root: Path = ROOT) -> dict[str, str]:
    """The files that change when the reference stands in all places that nobody has written in.

    Lines below such a place keep the numbers that they have in the student's file.
    """
    found = {}
    for file in sorted({place.file for place in unwritten.places}):
        path = root / SOLUTION / unwritten.lab.directory / file
        mine = sorted((place for place in unwritten.places if place.file == file),
                      key=lambda place: place.start)
        bodies = _assembly(path, mine) if path.suffix == ".S" else _functions(path, mine)
        text = unwritten.texts[file]
        for place, body in reversed(list(zip(mine, bodies, strict=True))):
            below = text.count("\n", 0, place.end) + 1
            name = f"{LABS}/{unwritten.lab.directory}/{file}"
            text = f'{text[:place.start]}{body}#line {below} "{name}"\n{text[place.end:]}'
        found[file] = text
    return found


def _assembly(path: Path, mine: list[Place]) -> list[str]:
    """What the reference has between the marks, for each place."""
    bodies: dict[tuple[str, int], list[str]] = {}
    count: dict[str, int] = {}
    current: list[str] | None = None
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        begin = HOLE_BEGIN.fullmatch(line.strip())
        if begin:
            order = count[begin["id"]] = count.get(begin["id"], -1) + 1
            current = bodies[begin["id"], order] = [f'#line {number + 1} "{_relative(path)}"']
        elif line.strip() == HOLE_END:
            current = None
        elif current is not None:
            current.append(line)
    return ["\n".join(bodies[place.exercise, place.order]) + "\n" for place in mine]


@dataclass(frozen=True)
class _Function:
    """A function of the reference that carries a mark."""

    name: str
    exercise: str
    is_private: bool
    line: int
    text: str


def _functions(path: Path, mine: list[Place]) -> list[str]:
    """The reference's functions for each place. Before the first that follows it in the reference
    stands each private function that they call, under a name that no student's file has."""
    known = _marked(path)
    by_name = {function.name: function for function in known}
    wanted = [by_name[place.name] for place in mine]
    called = _called(wanted, {f.name: f for f in known if f.is_private})
    names = re.compile(rf"\b({'|'.join(map(re.escape, called))})\b") if called else None
    before: dict[str, list[_Function]] = {}
    for function in (f for f in known if f.name in called):
        later = [f for f in wanted if f.line > function.line] or wanted
        before.setdefault(min(later, key=lambda f: f.line).name, []).append(function)
    bodies = []
    for function in wanted:
        parts = [f'#line {part.line} "{_relative(path)}"\n{part.text}'
                 for part in (*before.get(function.name, ()), function)]
        text = "".join(parts)
        bodies.append(names.sub(REFERENCES + r"\1", text) if names else text)
    return bodies


def _called(wanted: Collection[_Function], private: Mapping[str, _Function]) -> set[str]:
    """The names of the private functions that these use, and that those use in turn."""
    found: set[str] = set()
    todo = list(wanted)
    while todo:
        words = set(re.findall(r"\w+", todo.pop().text))
        new = (words & private.keys()) - found
        found |= new
        todo += [private[name] for name in new]
    return found


def _marked(path: Path) -> list[_Function]:
    """All functions with a mark in a file of the reference, in its order."""
    lines = path.read_text("utf-8").splitlines()
    functions = {symbol.line: symbol for symbol in ctags.symbols(path) if symbol.kind == "function"}
    found = []
    for number, line in enumerate(lines, start=1):
        match = C_TAG.fullmatch(line.strip())
        if match and number + 1 in functions:
            symbol = functions[number + 1]
            text = "\n".join(lines[number:symbol.end]) + "\n"
            found.append(_Function(symbol.name, match["id"], bool(match["private"]), number + 1,
                                   text))
    return found


def _relative(path: Path) -> str:
    return "/".join(path.parts[-3:])
