# SPDX-License-Identifier: MIT
"""A grading for other programs: JUnit XML, Gradescope's results.json, a GitHub step summary."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

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
    """One test case a test, one suite an exercise; BLOCKED is skipped, ERROR is an error. What kept
    all tests from running is a suite of its own: no file without failures means that all is well.
    """
    root = ElementTree.Element("testsuites", name=f"lab{grading.lab.number:02}")
    _build_suite(root, grading)
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


def _build_suite(root: ElementTree.Element, grading: Grading) -> None:
    """What has no tests because it was refused, did not build, or could not be graded."""
    found = [("is taken", "failure", "\n".join(grading.refused))] if grading.refused else []
    for column in grading.columns.values():
        if column.build_error:
            found.append((f"{column.name} builds", "failure", column.build_error))
        elif column.broken and not column.results:
            found.append((f"{column.name} is graded", "error", "\n".join(column.broken)))
    if not found:
        return
    suite = ElementTree.SubElement(root, "testsuite", name="submission", tests=str(len(found)),
                                   skipped="0")
    for kind in ("failure", "error"):
        suite.set(f"{kind}s", str(sum(entry[1] == kind for entry in found)))
    for name, kind, words in found:
        case = ElementTree.SubElement(suite, "testcase", name=name, time="0.000",
                                      classname=f"lab{grading.lab.number:02}.submission")
        entry = ElementTree.SubElement(case, kind, message=_xml_text(words.split("\n")[0]))
        entry.text = _xml_text(words)


def in_hundredths(parts: Sequence[Fraction]) -> list[float]:
    """Numbers with two decimals whose sum is that of `parts`, rounded."""
    sums = [round(sum(parts[:count], Fraction(0)) * 100) for count in range(len(parts) + 1)]
    return [(after - before) / 100 for before, after in zip(sums, sums[1:])]


def _gradescope_points(grading: Grading) -> dict[str, tuple[float, float]]:
    """Score and maximum of each test. The scores add up to the score, the maxima to 100."""
    factor = grading.factor if grading.best == ISOLATED else Fraction(1)
    names = [name for exercise in grading.exercises for name in grading.names(exercise)]
    passed = [name for name in names if (result := grading.result_of(name)) and result.passed]
    names = passed + [name for name in names if name not in passed]
    most = in_hundredths([grading.worth(name) for name in names])
    scores = in_hundredths([grading.worth(name) * factor for name in passed])
    return dict(zip(names, zip(scores + [0.0] * (len(names) - len(passed)), most)))


def gradescope(grading: Grading) -> str:
    """https://gradescope-autograders.readthedocs.io: results.json. One entry an exercise's test;
    one an exercise if no tests ran."""
    worth = _gradescope_points(grading)
    tests: list[dict[str, Any]] = []
    for exercise in grading.exercises:
        if not grading.names(exercise):
            tests.append({"name": f"{exercise.id} {exercise.title}", "number": exercise.id,
                          "score": 0.0, "max_score": float(exercise.points), "status": "failed",
                          "output": "not run", "visibility": "visible"})
        for name in grading.names(exercise):
            result = grading.result_of(name)
            passed = bool(result and result.passed)
            tests.append({
                "name": f"{exercise.id} {name}",
                "number": exercise.id,
                "score": worth[name][0],
                "max_score": worth[name][1],
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
    score = f"{points(grading.score):g} of {grading.maximum} points"
    yield f"### {what}: {'unfinished, so no score' if grading.was_cut_short else score}"
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


def write_all(grading: Grading, stem: Path, more: Mapping[str, Any] | None = None) -> None:
    """stem.json, stem.junit.xml, stem.gradescope.json."""
    write_atomically(stem.with_suffix(".junit.xml"), junit(grading))
    write_atomically(stem.with_suffix(".gradescope.json"), gradescope(grading))
    grading.write(stem.with_suffix(".json"), more)
