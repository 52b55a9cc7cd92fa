# SPDX-License-Identifier: MIT
"""The texts: links lead somewhere, pages are indexed, the picture shows what a run printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import bars, gate
from course import handout, starters
from course.registry import ROOT, load_course
from tools import glossary, links, lint, picture
from tools.files import repository_files

COURSE = load_course()


def test_the_texts_of_the_repository_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert list(lint.check_texts(repository_files())) == []


@pytest.mark.parametrize("number", [lab.number for lab in COURSE.labs])
def test_the_texts_of_a_handout_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          number: int) -> None:
    """Without solution/, later labs and the instructors' pages; its README is the index."""
    monkeypatch.chdir(ROOT)
    handout.fill(tmp_path, COURSE, starters.make_tree(COURSE), number, [])
    texts = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md"))
    assert list(links.check_links(tmp_path, texts)) == []
    pages = [text for text in texts if text.startswith("docs/")]
    assert list(links.check_index(tmp_path, "README.md", pages)) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# One: `two` and 3\n\n# Twice\n\n# Twice\n"
                                        "<a id=\"12\"></a>\n")
    (tmp_path / "README.md").write_text("""
[file](docs/a.md), [page](https://example.org/none), [here](#nowhere), ![picture](docs/a.svg)
[head](docs/a.md#one-two-and-3) [2nd](docs/a.md#twice-1) [3rd](docs/a.md#twice-2) [x](docs/a.md#12)
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
    findings = list(links.check_index(tmp_path, "docs/README.md", texts))
    assert findings == ["docs/README.md:1: does not link docs/b.md"]


def test_the_picture_shows_a_session_as_a_person_reads_it() -> None:
    seen = ("[a] x:/# \x1b[6n\r\r\n[b] one\r\n[a] \r\n[a] x:/# ls <&>\r\n"
            "[b] Enter 'help' for more\r\n"
            "[c] " + "y" * 200 + "\r\n")
    lines = picture.clean(seen)
    assert lines == ["[b] one", "[a] x:/# ls <&>", "[c] " + "y" * 200]
    root = ElementTree.fromstring(picture.draw(lines, "make run"))
    shown = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert shown == ["make run", *lines[:2], lines[2][:picture.COLUMNS - 1] + "…"]


# ---- commands ------------------------------------------------------------------------------------

MAKE = r"make (?:[A-Z]+=\S+ )*([a-z][\w.-]*)"


def commands(path: Path) -> Iterator[tuple[int, str]]:
    """The targets that a text tells its reader to make, in code."""
    prose = {number for number, _ in links.prose(path)}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        pattern = f"`{MAKE}" if number in prose else rf"^\s*(?:\$ )?{MAKE}"
        yield from ((number, match[1]) for match in re.finditer(pattern, line))


def targets() -> set[str]:
    rules = [rule for path in glossary.makefiles(ROOT)
             for rule in re.findall(r"^([A-Za-z][\w .-]*):(?!=)", path.read_text("utf-8"),
                                    re.MULTILINE)]
    return {*(f"lab{number:02}" for number in range(1, 10)),
            *(name for rule in rules for name in rule.split())}


def test_a_text_tells_to_make_what_there_is() -> None:
    known = targets()
    texts = [path for path in repository_files() if path.suffix == ".md"]
    told = [(f"{path}:{number}", target) for path in texts
            for number, target in commands(ROOT / path)]
    editor = (ROOT / ".vscode/tasks.json").read_text("utf-8")
    tasks = re.findall(MAKE, editor.replace("lab0${input:lab}", "lab01"))
    told += [(".vscode/tasks.json", target) for target in tasks]
    assert len(told) > 50 and len(tasks) > 5
    assert not [f"{where}: make {target}" for where, target in told if target not in known]


# ---- the labs' tables of costs -------------------------------------------------------------------


def test_the_labs_tell_what_the_bars_are_and_what_the_record_has() -> None:
    """Tables of "Measure it": rows by the titles of bench/bars.py, limits, and Strata's counts."""
    counts = gate.recorded()["gcc 12"]
    rows = (*bars.ROWS, *bars.IPI_ROWS, bars.TABLE_SIZE)
    known = {bar.title: bar for bar in reversed(rows)}  # of two "of which ..." the first
    told: set[str] = set()
    for text in sorted(ROOT.glob("solution/lab*/README.md")):
        columns: list[str] = []
        for line in text.read_text("utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if "Strata" in (names := [cell.split(",")[0] for cell in cells]):
                columns = names
            elif not line.startswith("|"):
                columns = []
            elif columns and "--" not in line:
                row = dict(zip(columns, cells))
                bar = known[cells[0]]
                count = counts.get(bar.key, counts.get(f"payload {bar.paper}"))
                where = f"{text.parent.name}: {bar.title}"
                assert row.get("bar", "") in ("", f"{bar.limit}"), where
                assert not count or abs(int(row["Strata"]) / count - 1) < gate.MORE - 1, where
                told.add(bar.key)
    assert told >= counts.keys() & {bar.key for bar in bars.ROWS}


# ---- the glossary --------------------------------------------------------------------------------


def test_a_word_that_the_glossary_does_not_have_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "Makefile").write_text("SEED ?=\n")
    (tmp_path / "docs/glossary.md").write_text("""
| short | document |
|---|---|
| Arm ARM | DDI 0487 |

## Registers

| term | is | section |
|---|---|---|
| HCR_EL2, TSC | controls | Arm ARM, "HCR_EL2" |
| PPI, TSC | an interrupt | |
""")
    (tmp_path / "docs/a.md").write_text("""\
HCR.TSC and PPIs; SEED=1; [TSC](XYZ.md), `make run IMPL=labs`, ICH_VTR_EL2, f.TXT
TWI, ICH_LR<n>_EL2 and `TWE`
```
FENCED
```
""")
    assert list(glossary.check_glossary(tmp_path, ["docs/a.md", "docs/glossary.md"])) == [
        "docs/glossary.md:11: PPI, TSC: a cell is empty",
        "docs/glossary.md:11: TSC: has two lines",
        "docs/a.md:2: TWI: docs/glossary.md has no line for it",
        "docs/a.md:2: TWE: docs/glossary.md has no line for it"]
