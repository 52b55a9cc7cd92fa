# SPDX-License-Identifier: MIT
"""docs/glossary.md: every abbreviation of a text has a line there, once, with its section."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.links import prose

GLOSSARY = "docs/glossary.md"
NOT_LOOKED_AT = (GLOSSARY, "docs/reading.md")  # titles of other people's works
ABBREVIATION = re.compile(r"(?<![\w./^-])[A-Za-z]*[A-Z][A-Za-z0-9]*[A-Z][A-Za-z0-9]*"
                          r"(?![\w.]*[_(])\b")
# Everybody's words, processors and general registers, other people's products, verdicts and marks
# of this project, placeholders for names.
KNOWN = re.compile(r"AND|OK|C11|[AN]\d+|[XWV]\d+|ARMv8|[GMK]i?B|[GM]Hz|SHA|JSON|XML|CSV|README|"
                   r"MIT|GPL|SoCs?|JUnit|GitHub|GitLab|JPlag|MOSS|JavaScript|CONTRIBUTING|"
                   r"PASS|FAIL|TODO|BLOCKED|CRASH|HANG|BUDGET|ERROR|EXERCISE|HEARTBEAT|ALONE|"
                   r"SAMPLE|SUCCESS|ON|OFF|NAME|VALUE|FUNCTION|ARGUMENTS")
MAKE_COMMAND = re.compile(r"`make [^`]*`")
MAKE_VARIABLE = re.compile(r"^([A-Z]+) \?=", re.MULTILINE)
LINK_TARGET = re.compile(r"\]\([^)]*\)")


def abbreviations(path: Path) -> Iterator[tuple[int, str]]:
    """Words with two capitals or more, as ICH_LR1 for ICH_LR<n>.

    A name with underscores is a register or a function: the manual or the source explains it.
    """
    for number, line in prose(path):
        text = LINK_TARGET.sub("]", MAKE_COMMAND.sub("", line)).replace("<n>", "1")
        for match in ABBREVIATION.finditer(text):
            yield number, match[0]


def rows(glossary: Path) -> Iterator[tuple[int, list[str]]]:
    """Term, meaning, and section where the table has that column. The list of documents, before the
    first heading, is no such table."""
    behind = False
    for number, line in enumerate(glossary.read_text("utf-8").splitlines(), start=1):
        behind |= line.startswith("## ")
        if behind and line.startswith("| ") and not line.startswith("| term |"):
            yield number, [cell.strip() for cell in line.strip("|").split("|")]


def makefiles(root: Path) -> list[Path]:
    return [root / "Makefile", *sorted(root.glob("*/*.mk")), *sorted(root.glob("*/*/*.mk"))]


def check_glossary(root: Path, texts: Iterable[str]) -> Iterator[str]:
    """One line a word that is missing, and a term that is told twice or without its section."""
    terms: set[str] = set()
    for number, row in rows(root / GLOSSARY):
        if not all(row):
            yield f"{GLOSSARY}:{number}: {row[0]}: a cell is empty"
        for term in row[0].split(", "):
            if term in terms:
                yield f"{GLOSSARY}:{number}: {term}: has two lines"
            terms.add(term)
    words = {word for term in terms for word in term.split()}
    words |= {word.partition("_EL")[0] for word in words}
    rules = "".join(path.read_text("utf-8") for path in makefiles(root))
    words |= {"LAB", *MAKE_VARIABLE.findall(rules)}
    for name in texts:
        for number, word in abbreviations(root / name) if name not in NOT_LOOKED_AT else ():
            if not {word, word.removesuffix("s")} & words and not KNOWN.fullmatch(word):
                yield f"{name}:{number}: {word}: {GLOSSARY} has no line for it"
