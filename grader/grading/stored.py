# SPDX-License-Identifier: MIT
"""Gradings that were written down: read again, with the points that the registry gives today."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from course.questions import Answers
from course.registry import Lab, load_course
from course.unwritten import Place, Unwritten
from grader.grading.model import CUMULATIVE, ISOLATED, Column, Grading, Result
from grader.machine.verdict import Verdict
from tools.errors import UserError


def read(path: Path) -> Grading | None:
    """A grading as it was written; None when it is not one."""
    try:
        return restore(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None


def restore(values: dict[str, Any]) -> Grading:
    """What Grading.values() was made from; points follow from the verdicts anew."""
    course = load_course()
    grading = Grading(course, course.lab(values["lab"]), values["impl"], values["base"],
                      values["exercise"])
    grading.complete, grading.source = values["complete"], values["source"]
    grading.refused, grading.ignored = values["refused"], values["ignored"]
    grading.unwritten = _unwritten(grading.lab, values.get("unwritten", []),
                                   values.get("untouched", []))
    grading.unfilled = values.get("unfilled", "")
    rows = values["questions"]
    grading.answers = Answers({row["id"]: row["answer"] for row in rows
                               if row["answer"] is not None}, values["answers_error"])
    for name, entry in values["columns"].items():
        grading.columns[name] = Column(
            name, build_error=entry["build_error"], skipped=entry["skipped"],
            broken=entry.get("broken", []), cannot=entry.get("cannot"),
            measured={row["id"]: row["measured"] for row in rows if row["measured"] is not None},
            unmeasured={question.test: row["problem"] for question, row
                        in zip(grading.lab.questions, rows) if row.get("problem")})
    for test in values["tests"]:
        grading.tests[test["id"]] = course.exercise(test["exercise"])
        for name, column in grading.columns.items():
            if name in test:
                fields: dict[str, Any] = dict(test[name])
                for key in ("verdict", "shown"):
                    if key in fields:
                        fields[key] = Verdict(fields[key])
                column.results[test["id"]] = Result(**fields)
    return grading


def _unwritten(lab: Lab, begun: list[str], whole: list[str]) -> Unwritten | None:
    """Which exercises these are; where their places were is not written down."""
    places = []
    for exercise in lab.exercises:
        if exercise.id in whole:
            names = [("", ""), *((file, name) for file, names in exercise.functions.items()
                                 if not file.endswith(".S") for name in names)]
        elif exercise.id in begun:
            names = [(next(iter(exercise.functions)), "")]
        else:
            continue
        places += [Place(exercise.id, file, name, 0, 0, 0) for file, name in names]
    return Unwritten(lab, {}, tuple(places)) if places else None


def is_enough(grading: Grading) -> bool:
    """Whether the isolated column still cannot count if it was not run for that reason: points or
    its factor may have changed since."""
    column = grading.columns.get(ISOLATED)
    if column is None or column.cannot is None:
        return True
    most = sum((grading.worth(name) for name in grading.tests if name not in column.cannot),
               Fraction(0))
    return most * grading.factor <= grading.column_score(CUMULATIVE)
