# SPDX-License-Identifier: MIT
"""Which room of this repository's Python may import which: from below to above, in no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

# Each room, and the rooms that it stands on: it may import these and all that they stand on.
ROOMS: dict[str, tuple[str, ...]] = {
    "tools": (),
    "guests": ("tools",),
    "bench": ("grader.oracle",),
    "course": ("tools",),
    "grader.machine": ("tools",),
    "grader.oracle": ("grader.machine", "course"),
    "grader.gdb": ("grader.oracle",),
    "grader.grading": ("grader.oracle",),
    "grader.proof": ("grader.grading",),
    "grader": ("grader.proof", "grader.gdb", "bench", "guests"),  # the tests, and their fixtures
}


def module_of(path: PurePosixPath) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room with the longest name that the module's begins with; "" when it is in none."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len, default="")


def below(room: str) -> set[str]:
    """The rooms that a room may import, itself among them."""
    return {room}.union(*(below(other) for other in ROOMS[room]))


def imports(source: str, modules: set[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each module of ours that is imported, wherever in the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else node.module for name in inside]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name in modules)


def check_rooms(files: Iterable[Path], root: Path = Path(".")) -> Iterator[str]:
    """Imports that no room allows, and circles of modules."""
    sources = {module_of(PurePosixPath(path)): path for path in files
               if path.suffix == ".py" and room_of(module_of(PurePosixPath(path)))}
    graph: dict[str, set[str]] = {}
    for module, path in sources.items():
        found = list(imports((root / path).read_text("utf-8"), set(sources)))
        graph[module] = {name for _, name in found} - {module}
        for line, name in found:
            if room_of(name) not in below(room_of(module)):
                yield f"{path}:{line}: {room_of(module)} may not import {room_of(name)}: {name}"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))  # it comes from below
        yield f"{sources[circle[0]]}: modules import each other in a circle: {' > '.join(circle)}"
