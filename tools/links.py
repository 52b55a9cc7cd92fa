# SPDX-License-Identifier: MIT
"""Links in Markdown: each relative one leads to a file, and its anchor to a heading, that exist."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

FENCE = re.compile(r"^\s*(```|~~~)")
LINK = re.compile(r"\[[^\]]*\]\(<?([^()\s>]+)>?(?:\s+\"[^\"]*\")?\)")
DEFINITION = re.compile(r"^\s{0,3}\[[^\]]+\]:\s+(\S+)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
FOREIGN = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text with their numbers, without code blocks."""
    fenced = False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def links(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in prose(path):
        line = re.sub(r"`[^`]*`", "`", line)
        for match in (*LINK.finditer(line), *DEFINITION.finditer(line)):
            yield number, match[1]


def anchors(path: Path) -> set[str]:
    """What a `#fragment` can name: headings as GitHub makes anchors of them, and `<a id>`."""
    found: set[str] = set()
    counts: dict[str, int] = {}
    for _, line in prose(path):
        found.update(ANCHOR.findall(line))
        heading = HEADING.match(line)
        if heading:
            text = re.sub(r"<[^>]*>", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]))
            slug = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
            seen = counts.get(slug, 0)
            counts[slug] = seen + 1
            found.add(f"{slug}-{seen}" if seen else slug)
    return found


def check_links(root: Path, texts: Iterable[str],
                moved: Mapping[str, str] | None = None) -> Iterator[str]:
    """One line for each link that leads nowhere. `moved` maps a text to the path it is read at."""
    for name in texts:
        place = (moved or {}).get(name, name)
        for number, target in links(root / name):
            if FOREIGN.match(target):
                continue
            file, _, fragment = target.partition("#")
            folder = posixpath.dirname(place)
            reached = posixpath.normpath(posixpath.join(folder, file)) if file else name
            path = root / reached
            if reached.split("/")[0] == ".." or not path.exists():
                yield f"{name}:{number}: {target}: no such file"
            elif fragment and path.suffix == ".md" and fragment not in anchors(path):
                yield f"{name}:{number}: {target}: no heading or anchor of that name"


def check_index(root: Path, index: str, texts: Iterable[str]) -> Iterator[str]:
    """One line for each page that the index does not link."""
    folder = posixpath.dirname(index)
    linked = {posixpath.normpath(posixpath.join(folder, target.partition("#")[0]))
              for _, target in links(root / index)}
    for name in texts:
        if name != index and name not in linked:
            yield f"{index}:1: does not link {name}"
