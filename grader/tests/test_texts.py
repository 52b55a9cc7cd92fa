# SPDX-License-Identifier: MIT
"""The texts: every link leads somewhere, every page is indexed, the picture is what was on the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from grader.verdict import Verdict
from tools import handout, links, lint, picture, starters
from tools.course import ROOT, load_course

COURSE = load_course()


def test_the_texts_of_the_repository_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert list(lint.check_texts(lint.repository_files())) == []


@pytest.mark.parametrize("number", [lab.number for lab in COURSE.labs])
def test_the_texts_of_a_handout_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Without solution/, later labs and the instructors' pages; its README is the index."""
    monkeypatch.chdir(ROOT)
    handout.fill(tmp_path, COURSE, starters.make_tree(COURSE), number, [])
    texts = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md"))
    assert list(links.check_links(tmp_path, texts)) == []
    assert list(links.check_index(tmp_path, "README.md", (text for text in texts if text.startswith("docs/")))) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# One: `two` and 3\n\n# Twice\n\n# Twice\n<a id=\"12\"></a>\n")
    (tmp_path / "README.md").write_text("""
[file](docs/a.md), [page](https://example.org/none), [here](#nowhere), ![picture](docs/a.svg)
[heading](docs/a.md#one-two-and-3) [second](docs/a.md#twice-1) [third](docs/a.md#twice-2) [mark](docs/a.md#12)
[gone](docs/b.md) [out](../README.md) `[code](docs/c.md)`
```
[fenced](docs/d.md)
```
""")
    assert list(links.check_links(tmp_path, ["README.md", "docs/a.md"])) == [
        "README.md:2: #nowhere: no heading or anchor of that name",
        "README.md:2: docs/a.svg: no such file",
        "README.md:3: docs/a.md#twice-2: no heading or anchor of that name",
        "README.md:4: docs/b.md: no such file",
        "README.md:4: ../README.md: no such file"]


def test_a_text_that_moves_is_read_where_it_goes(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("[b](docs/b.md)\n")
    (tmp_path / "docs/b.md").write_text("[a](a.md)\n")
    texts = ["docs/a.md", "docs/b.md"]
    assert list(links.check_links(tmp_path, texts)) == ["docs/a.md:1: docs/b.md: no such file"]
    assert list(links.check_links(tmp_path, texts, {"docs/a.md": "README.md"})) == []


def test_a_page_that_the_index_does_not_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name, text in (("README", "[a](a.md#top)"), ("a", ""), ("b", "")):
        (tmp_path / f"docs/{name}.md").write_text(f"{text}\n")
    texts = ["docs/README.md", "docs/a.md", "docs/b.md"]
    assert list(links.check_index(tmp_path, "docs/README.md", texts)) == ["docs/README.md:1: does not link docs/b.md"]


def test_the_picture_shows_a_session_as_a_person_reads_it() -> None:
    seen = ("[a] x:/# \x1b[6n\r\r\n[b] one\r\n[a] \r\n[a] x:/# ls <&>\r\n[b] Enter 'help' for more\r\n"
            "[c] " + "y" * 200 + "\r\n")
    lines = picture.clean(seen)
    assert lines == ["[b] one", "[a] x:/# ls <&>", "[c] " + "y" * 200]
    root = ElementTree.fromstring(picture.draw(lines, "make run"))
    shown = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert shown == ["make run", *lines[:2], lines[2][:picture.COLUMNS - 1] + "…"]


# ---- commands --------------------------------------------------------------------------------------

MAKE = r"make (?:[A-Z]+=\S+ )*([a-z][\w.-]*)"


def commands(path: Path) -> Iterator[tuple[int, str]]:
    """The targets that a text tells its reader to make, in code."""
    prose = {number for number, _ in links.prose(path)}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        pattern = f"`{MAKE}" if number in prose else rf"^\s*(?:\$ )?{MAKE}"
        yield from ((number, match[1]) for match in re.finditer(pattern, line))


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    loops = re.search(r"^LAB_LOOPS := (.*)", makefile, re.MULTILINE)
    assert loops
    rules = re.findall(r"^([A-Za-z][\w .-]*):(?!=)", makefile, re.MULTILINE)
    return {*loops[1].split(), *(name for rule in rules for name in rule.split())}


def test_a_text_tells_to_make_what_there_is() -> None:
    known = targets()
    texts = [path for path in lint.repository_files() if path.suffix == ".md"]
    told = [(f"{path}:{number}", target) for path in texts for number, target in commands(ROOT / path)]
    tasks = re.findall(MAKE, (ROOT / ".vscode/tasks.json").read_text("utf-8").replace("lab0${input:lab}", "lab01"))
    told += [(".vscode/tasks.json", target) for target in tasks]
    assert len(told) > 50 and len(tasks) > 5
    assert not [f"{where}: make {target}" for where, target in told if target not in known]


# ---- the glossary ----------------------------------------------------------------------------------

ABBREVIATION = re.compile(r"(?<![\w./^-])[A-Za-z]*[A-Z][A-Za-z0-9]*[A-Z][A-Za-z0-9]*(?![\w.]*[_(])\b")
# Everybody's words, processors and general registers, other people's products, what stands for a name.
KNOWN = re.compile(r"AND|C11|[AN]\d+|[XWV]\d+|ARMv8|[GMK]i?B|[GM]Hz|SHA|JSON|XML|CSV|README|CONTRIBUTING|TODO|MIT|GPL|"
                   r"JUnit|GitHub|GitLab|JPlag|MOSS|JavaScript|SoCs?|SUCCESS|ON|OFF|EXERCISE|NAME|VALUE|FUNCTION|ARGUMENTS|"
                   r"HEARTBEAT|ALONE|SAMPLE")
MAKE_COMMAND = re.compile(r"`make [^`]*`")
LINK_TARGET = re.compile(r"\]\([^)]*\)")


def abbreviations(path: Path) -> Iterator[tuple[int, str]]:
    """Words with two capitals or more. A name with underscores is a register or a function, which the
    manual or the source has by that name."""
    for number, line in links.prose(path):
        for match in ABBREVIATION.finditer(LINK_TARGET.sub("]", MAKE_COMMAND.sub("", line)).replace("<n>", "1")):
            yield number, match[0]


def glossary_rows() -> list[list[str]]:
    """Term, meaning, and section where the table has that column; the list of documents is no such table."""
    text = (ROOT / "docs/glossary.md").read_text("utf-8").partition("\n## ")[2]
    rows = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in row] for row in rows if row[0].strip() != "term"]


def test_an_abbreviation_of_a_text_stands_in_the_glossary() -> None:
    terms = {word for term, *_ in glossary_rows() for word in re.split(r"[, ]+", term)}
    terms |= {term.partition("_EL")[0] for term in terms}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    terms |= {"LAB", *re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE), *(verdict.name for verdict in Verdict)}
    texts = [*ROOT.glob("solution/*/README.md"), *ROOT.glob("docs/*.md")]
    missing = {f"{path.relative_to(ROOT)}:{number}: {word}: docs/glossary.md has no line for it"
               for path in texts if path.name not in ("glossary.md", "reading.md")  # titles of others
               for number, word in abbreviations(path)
               if not {word, word.removesuffix("s")} & terms and not KNOWN.fullmatch(word)}
    assert not missing, "\n".join(sorted(missing))


def test_a_term_of_the_glossary_is_told_once_and_with_its_section() -> None:
    rows = glossary_rows()
    terms = [term for row in rows for term in row[0].split(", ")]
    assert not {term for term in terms if terms.count(term) > 1}
    assert not [row for row in rows if not all(row)]
