# SPDX-License-Identifier: MIT
"""What comes out of all results of a class: tables, a page a student, and what has changed.

All of it is made from the results in DEST/students at the end of each call. When the table differs
from that of the last call, the old one and the results that it rested on are in DEST/earlier/NNN.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course.registry import ROOT
from grader.grading import stored, text
from grader.grading.model import EXIT_INFRASTRUCTURE
from grader.machine.console import escape
from tools.errors import UserError
from tools.files import write_atomically

STATUS = {0: "all points", 1: "graded", 2: "not built", 3: "not graded: infrastructure"}
TABLE = "table.json"  # the last table, for the next comparison
TABLES = ("grades.csv", "summary.html", "changes.csv")
SHOWN_CHANGES = 20
# Where one begins, in the wide characters of East Asia, too.
FORMULA = re.compile(r"((?:^|[;|])[\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")

Results = list[tuple[str, dict[str, Any]]]


def status_of(values: dict[str, Any]) -> str:
    return "refused" if values.get("refused") else STATUS[values["exit_code"]]


def notes_of(values: dict[str, Any]) -> list[str]:
    """Why there are no points, or no grade."""
    errors = [column["build_error"].split("\n")[0] for column in values.get("columns", {}).values()
              if column["build_error"]]
    notes = [*values.get("refused", []), *values.get("infrastructure", []), *dict.fromkeys(errors)]
    return [_line(note) for note in notes]


def _line(text: str) -> str:
    """In one line, printable."""
    return escape(text).replace("\n", " ")


def read_result(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and "exit_code" in values else None


def results(dest: Path, names: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of those who have handed in: who has not any more has no row."""
    for name in sorted(names):
        values = read_result(dest / "students" / f"{name}.json")
        if values is not None:
            yield name, values


def earned(values: dict[str, Any]) -> dict[str, float]:
    """Points by exercise, in the column that counts."""
    counts = values.get("counts", "")
    return {entry["id"]: entry.get(counts, 0) for entry in values.get("exercises", [])}


# ---- what has changed ----


def essence(values: dict[str, Any]) -> dict[str, Any]:
    """What of a result is worth a comparison."""
    return {"score": values["score"], "status": status_of(values), "exercises": earned(values),
            "verdicts": {test["id"]: test["verdict"] for test in values.get("tests", [])},
            "source": values.get("source", ""), "late": values.get("late", False)}


@dataclass(frozen=True)
class Change:
    """A row of the table that is not what it was; None: there was none, or is none."""

    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def kind(self) -> str:
        if self.before is None or self.after is None:
            return "new" if self.before is None else "withdrawn"
        change = self.after["score"] - self.before["score"]
        return "up" if change > 0 else "down" if change < 0 else "same score"

    @property
    def cells(self) -> tuple[str, str]:
        """The scores before and after."""
        return tuple("" if row is None else f"{row['score']:g}"
                     for row in (self.before, self.after))  # type: ignore[return-value]

    @property
    def why(self) -> str:
        """What differs besides the score."""
        old, new = self.before, self.after
        if old is None or new is None:
            return (new or old or {})["status"]
        words = [f"{id_}: {old['exercises'].get(id_, 0):g} -> {new['exercises'].get(id_, 0):g}"
                 for id_ in sorted(old["exercises"].keys() | new["exercises"].keys())
                 if old["exercises"].get(id_, 0) != new["exercises"].get(id_, 0)]
        if old["status"] != new["status"]:
            words.append(f"{old['status']} -> {new['status']}")
        verdicts = sum(old["verdicts"].get(test) != new["verdicts"].get(test)
                       for test in old["verdicts"].keys() | new["verdicts"].keys())
        words += [f"{verdicts} other verdicts"] if verdicts else []
        words += ["late"] if new["late"] and not old["late"] else []
        same = "the same files" if old["source"] == new["source"] else "other files"
        return ", ".join([*words, same])


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    return [Change(name, before.get(name), after.get(name))
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)]


def change_lines(found: list[Change]) -> Iterator[str]:
    kinds = Counter(change.kind for change in found)
    yield "since the last time: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    for change in found[:SHOWN_CHANGES]:
        before, after = change.cells
        yield f"  {change.name}: {before or 'new'} -> {after or 'withdrawn'} ({change.why})"
    if len(found) > SHOWN_CHANGES:
        yield f"  and {len(found) - SHOWN_CHANGES} more, all of them in changes.csv"


def last_table(dest: Path) -> dict[str, Any] | None:
    try:
        values = json.loads((dest / TABLE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def earlier(dest: Path) -> Path:
    """Where the last table goes when there is another: DEST/earlier/001, then 002."""
    table = last_table(dest)
    return dest / "earlier" / f"{table['number'] if table else 0:03}"


def keep_earlier(dest: Path, name: str, values: dict[str, Any] | None) -> None:
    """Before a result is replaced by `values`, or goes: keep it, if the last table rested on it."""
    table, path = last_table(dest), dest / "students" / f"{name}.json"
    old = read_result(path)
    if table is None or old is None or name not in table["rows"]:
        return
    kept = earlier(dest) / "students" / path.name
    if not kept.exists() and (values is None or essence(old) != essence(values)):
        write_atomically(kept, path.read_bytes())


def close(dest: Path, lab: int, found: Results) -> list[Change] | None:
    """Write all tables and pages. Returns what has changed; None when this is the first table."""
    before, rows = last_table(dest), {name: essence(values) for name, values in found}
    differ = changes(before["rows"], rows) if before else []
    if differ:
        kept = earlier(dest)
        for change in differ:
            if change.after is None:
                keep_earlier(dest, change.name, None)
                for path in result_files(dest, change.name):
                    path.unlink(missing_ok=True)
        kept.mkdir(parents=True, exist_ok=True)
        for name in TABLES:
            if (dest / name).exists() and not (kept / name).exists():
                os.replace(dest / name, kept / name)
        write_changes(dest, differ)
    write_csv(dest, found)
    write_summary(dest, lab, found, differ)
    for name, values in found:
        write_page(dest, name, values)
    if differ or before is None:
        number = before["number"] + 1 if before else 1
        write_atomically(dest / TABLE, json.dumps({"number": number, "rows": rows}) + "\n")
    return differ if before else None


def result_files(dest: Path, name: str) -> list[Path]:
    return [dest / "students" / f"{name}{suffix}"
            for suffix in (".json", ".junit.xml", ".gradescope.json", ".html")]


# ---- the files ----


def _rows(path: Path, rows: Iterable[Iterable[object]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([_cell(cell) for cell in row] for row in rows)
    write_atomically(path, out.getvalue())


def _cell(value: object) -> object:
    """A text as a spreadsheet is to show it: no formula, nor one behind what separates cells where
    a comma is part of a number."""
    if not isinstance(value, str):
        return value
    return FORMULA.sub(r"\1'", _line(value))


def write_csv(dest: Path, found: Results) -> None:
    exercises = sorted({id_ for _, values in found for id_ in earned(values)})
    rows: list[list[object]] = [["student", "score", "max", "status", "late", *exercises, "note",
                                 "file"]]
    for name, values in found:
        points, notes = earned(values), notes_of(values)
        rows.append([name, values["score"], values["max"], status_of(values),
                     "LATE" if values.get("late") else "",
                     *(points.get(id_, "") for id_ in exercises), notes[0] if notes else "",
                     values.get("file", "")])
    _rows(dest / "grades.csv", rows)


def write_changes(dest: Path, found: list[Change]) -> None:
    _rows(dest / "changes.csv", [["student", "change", "before", "after", "what"],
                                 *([change.name, change.kind, *change.cells, change.why]
                                   for change in found)])


def _template(name: str) -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader
    except ImportError as error:
        raise UserError(f"{name} needs jinja2: apt-get install python3-jinja2") from error
    return Environment(loader=FileSystemLoader(ROOT / "templates"),
                       autoescape=True).get_template(name)


def write_summary(dest: Path, lab: int, found: Results, differ: list[Change]) -> None:
    tests: dict[str, Counter[str]] = {}
    exercise_of = {}
    for _, values in found:
        for test in values.get("tests", []):
            tests.setdefault(test["id"], Counter())[test["verdict"] or "not run"] += 1
            exercise_of[test["id"]] = test["exercise"]
    rows = [{"exercise": exercise_of[name], "name": name, "passed": counts["PASS"],
             "of": counts.total(), "rate": round(100 * counts["PASS"] / counts.total()),
             "others": ", ".join(f"{n} {v}" for v, n in counts.most_common() if v != "PASS")}
            for name, counts in sorted(tests.items(),
                                       key=lambda item: (exercise_of[item[0]], item[0]))]
    scores = [float(values["score"]) for _, values in found
              if values["exit_code"] != EXIT_INFRASTRUCTURE]
    bins = [sum(10 * i <= score < 10 * i + 10 or (i == 9 and score == 100) for score in scores)
            for i in range(10)]
    html = _template("class.html").render(
        lab=lab, count=len(found), median=statistics.median(scores) if scores else 0,
        bins=bins, rows=rows, changes=differ,
        students=[(name, values["score"], status_of(values), notes_of(values)[:3],
                   values.get("late", False), values.get("others", []))
                  for name, values in found])
    write_atomically(dest / "summary.html", html)


def write_page(dest: Path, name: str, values: dict[str, Any]) -> None:
    """What the student's own terminal says, to be mailed."""
    try:
        grading = stored.restore(values)
    except (KeyError, TypeError, ValueError, UserError):
        return  # written by an older grader, of a registry that is no more
    html = _template("student.html").render(
        name=name, lab=grading.lab, score=values["score"], max=values["max"],
        status=status_of(values), late=values.get("late", False), file=values.get("file", ""),
        others=values.get("others", []), source=grading.source,
        ignored=[escape(entry) for entry in grading.ignored], text=text.whole(grading))
    path = dest / "students" / f"{name}.html"
    if not path.exists() or path.read_text("utf-8") != html:
        write_atomically(path, html)
