# SPDX-License-Identifier: MIT
"""Images in which the reference stands in for exercises that nobody has written.

They show what the other exercises are worth (grader/grading/model.py). Each is built in a copy of
the tree beside the student's own, BUILD/filled, which stays for the next time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from course import unwritten
from course.registry import ROOT
from grader.grading.model import Grading
from grader.grading.run import Settings, build_image
from tools.files import exclusive

Filler = Callable[[str, list[str]], tuple[Settings | None, str]]
SOURCES = ("Makefile", "course.toml", "course", "kit", "labs", "solution", "tools")
NO_IMAGE = "the reference's functions do not build with the others in these files"


def copy_tree(names: Iterable[str], target: Path, instead: Mapping[str, str]) -> None:
    """Bring a copy of parts of the repository up to date; `instead` has other texts for some files.

    A file that has not changed keeps its time, for make.
    """
    for name in names:
        top = ROOT / name
        for source in filter(Path.is_file, [top] if top.is_file() else sorted(top.rglob("*"))):
            path = source.relative_to(ROOT)
            if "__pycache__" in path.parts:
                continue
            data = (instead[path.as_posix()].encode() if path.as_posix() in instead
                    else source.read_bytes())
            copy = target / path
            if copy.exists() and copy.read_bytes() == data:
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)
            shutil.copymode(source, copy)
    for copy in sorted(target.rglob("*.[chS]")):
        if not (ROOT / copy.relative_to(target)).exists():
            copy.unlink()


def link_guests(build: Path, folder: Path) -> None:
    """What does not come from students is built once."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "guests").is_symlink():
        (folder / "guests").symlink_to(os.path.relpath(build / "guests", folder))


def beside(grading: Grading, settings: Settings, folder: Path | None = None,
           given: Mapping[str, str] = MappingProxyType({})) -> Filler:
    """What builds such images of the repository's own labs/, or of it with the texts of `given`."""
    build = settings.build_path.resolve()
    work = folder or build / "filled"

    def fill(column: str, over: list[str]) -> tuple[Settings | None, str]:
        assert grading.unwritten is not None
        texts = unwritten.filled(grading.unwritten.of(over))
        inside = {f"labs/{grading.lab.directory}/{file}": text for file, text in texts.items()}
        with exclusive(work / "tree.lock"):
            copy_tree(SOURCES, work / "tree", {**given, **inside})
            link_guests(build, work)
            other = replace(settings, build=str(work), root=work / "tree")
            problem = build_image(other, grading.lab.number, column, targets=("image",))
        if problem:
            return None, NO_IMAGE
        return replace(other, root=settings.root), ""

    return fill
