# SPDX-License-Identifier: MIT
"""A grading for other programs: JUnit XML, Gradescope's results.json, a GitHub step summary."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from grader.grading.model import CUMULATIVE, ISOLATED, Grading, points
from course.questions import counts
from grader.grading.text import explain, question_lines
from grader.machine.console import escape
from grader.machine.verdict import Verdict
from tools.files import write_atomically


def _xml_text(text: str) -> str:
    """What XML 1.0 can hold."""
    return escape(text).replace("\x7f", "")


def junit(grading: Grading) -> str:
    """One test case a test, one suite an exercise; BLOCKED is skipped, ERROR is an error."""
    root = ElementTree.Element("testsuites", name=f"lab{grading.lab.number:02}")
    for exercise in grading.exercises:
        names = grading.names(exercise)
        suite = ElementTree.SubElement(root, "testsuite", name=f"{exercise.id} {exercise.title}",
                                       tests=str(len(names)))
        counts = {"failures": 0, "errors": 0, "skipped": 0}
        for name in names:
            result = grading.result_of(name)
            case = ElementTree.SubElement(suite, "testcase", name=name,
                                          classname=f"lab{grading.lab.number:02}.{exercise.id}",
                                          time=f"{result.seconds if result else 0:.3f}")
            if result is None or result.verdict is Verdict.BLOCKED:
                text = f"blocked by exercise {result.blocked_by}" if result else "not run"
                ElementTree.SubElement(case, "skipped", message=text)
                counts["skipped"] += 1
            elif not result.passed:
                kind = "error" if result.verdict is Verdict.ERROR else "failure"
                entry = ElementTree.SubElement(case, kind, type=result.verdict.value,
                                               message=_xml_text(result.what))
                entry.text = _xml_text("\n".join(explain(grading, name, result)))
                counts["errors" if kind == "error" else "failures"] += 1
        for key, count in counts.items():
            suite.set(key, str(count))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def gradescope(grading: Grading) -> str:
    """https://gradescope-autograders.readthedocs.io: results.json. One entry an exercise's test."""
    factor = grading.factor if grading.best == ISOLATED else Fraction(1)
    tests = []
    for exercise in grading.exercises:
        for name in grading.names(exercise):
            result = grading.result_of(name)
            passed = bool(result and result.passed)
            worth = grading.worth(name)
            tests.append({
                "name": f"{exercise.id} {name}",
                "number": exercise.id,
                "score": points(worth * factor) if passed else 0.0,
                "max_score": points(worth),
                "status": "passed" if passed else "failed",
                "output": ("" if passed or result is None
                           else escape("\n".join(explain(grading, name, result)))),
                "visibility": "visible",
            })
    if grading.asks:
        states = {row.state for row in grading.questions}
        is_wrong = bool(grading.answers.error or states & {"wrong", "not measured"})
        tests.append({
            "name": f"questions of the text: {counts(grading.questions)}", "number": "questions",
            "score": 0.0, "max_score": 0.0,
            "status": "failed" if is_wrong else "passed",
            "output": escape("\n".join(question_lines(grading))), "visibility": "visible",
        })
    messages = [*grading.refused, *(column.build_error for column in grading.columns.values()
                                    if column.build_error),
                *(f"grader: {text}" for text in grading.infrastructure)]
    values = {"score": points(grading.score), "output": escape("\n".join(messages)),
              "output_format": "text", "visibility": "visible", "stdout_visibility": "hidden",
              "tests": tests}
    return json.dumps(values, indent=1) + "\n"


def _cell(text: str) -> str:
    return escape(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def step_summary(grading: Grading) -> Iterator[str]:
    """Markdown for GITHUB_STEP_SUMMARY."""
    what = (f"Exercise {grading.exercise}" if grading.exercise
            else f"Lab {grading.lab.number}: {grading.lab.title}")
    yield f"### {what}: {points(grading.score):g} of {grading.maximum} points"
    yield ""
    columns = [name for name in (CUMULATIVE, ISOLATED)
               if name in grading.columns and not grading.columns[name].skipped]
    yield "| exercise | of | " + " | ".join(columns) + " |"
    yield "|---|---:|" + "---:|" * len(columns)
    for exercise in grading.exercises:
        cells = [f"{points(grading.earned(name, exercise)):g}" for name in columns]
        yield (f"| {exercise.id} {_cell(exercise.title)} | {exercise.points} | "
               + " | ".join(cells) + " |")
    yield ""
    if grading.asks and not grading.answers.error:
        yield f"- questions of the text: {counts(grading.questions)}"
    for text in [*grading.refused, *grading.infrastructure, *question_lines(grading)]:
        yield f"- {_cell(text)}"
    for column in grading.columns.values():
        if column.build_error:
            yield f"- {column.name} does not build: `{_cell(column.build_error[:300])}`"
    for name in grading.tests:
        result = grading.result_of(name)
        if result and not result.passed:
            yield f"- {result.verdict.value} `{_cell(name)}`: {_cell(result.what)}"


def write_all(grading: Grading, stem: Path) -> None:
    """stem.json, stem.junit.xml, stem.gradescope.json."""
    grading.write(stem.with_suffix(".json"))
    write_atomically(stem.with_suffix(".junit.xml"), junit(grading))
    write_atomically(stem.with_suffix(".gradescope.json"), gradescope(grading))
