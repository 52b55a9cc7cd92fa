# SPDX-License-Identifier: MIT
"""Every ordinary run of the tests compares the solution's cost with grader/grading/budgets.json.

It costs nothing, because the instructions are counted anyway. A run in which a test took much more
or less than the file says ends with status 1, whatever the tests said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from course.registry import load_course
from grader.grading import budgets
from grader.grading.plan import question_patterns, selection, selects, short
from grader.machine import options

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def applies() -> bool:
    """The file is about the solution alone, and a run for points has other things to say."""
    told = options.current()
    return (told.impl, told.base, told.results) == ("solution", "own", "")


class Drift:
    """In the process that started the workers: collects their counts and speaks at the end."""

    def __init__(self) -> None:
        course = load_course()
        self.patterns = [pattern for lab in course.labs
                         for pattern in [*selection(course, lab.number), *question_patterns(lab)]]
        self.counts: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        count = dict(report.user_properties).get("instructions")
        has_passed = report.when == "call" and report.passed
        if has_passed and count and selects(self.patterns, report.nodeid):
            self.counts[short(report.nodeid)] = int(str(count))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if budgets.drifted(self.counts) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        lines = budgets.drifted(self.counts)
        if lines:
            terminalreporter.section("grader/grading/budgets.json is out of date")
            for line in lines:
                terminalreporter.write_line(line)
            terminalreporter.write_line("make it anew: python3 -m grader.grading.grade "
                                        "--impl solution --measure --lab n")
