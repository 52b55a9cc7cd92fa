# SPDX-License-Identifier: MIT
"""From verdicts to points: which test proves what, how points add up, what is written down."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from course import questions
from course.registry import ROOT, Lab, load_course
from course.submit import hash_of_labs, pack, registered_files
from course.unwritten import Place, Unwritten
from grader.grading import budgets, formats, grade, plugin, properties, run, symptoms
from grader.grading.model import (CUMULATIVE, EXIT_FAILED, EXIT_INFRASTRUCTURE, EXIT_NOT_BUILT,
                                  EXIT_PASSED, ISOLATED, Column, Grading, Result)
from grader.grading.plan import (IDLE, assign, matches, measures, needs_company, path_of,
                                 patterns_of, prerequisites, question_patterns, short)
from grader.grading.debug_test import how_to_repeat
from grader.grading.text import explain, print_failures, summary, unwritten_lines, whole
from grader.grading.stored import is_enough, restore
from grader.grading.why import failed, find, find_submission
from grader.machine.options import Options
from grader.machine.verdict import Finding, Verdict
from grader.oracle.decode.esr import Esr
from grader.proof.mutation import all_mutants
from tools.errors import UserError

COURSE = load_course()
TODO = 'TODO: exercise {} "..." is not written yet (labs/x.c:1): see README'


def collect(files: list[str]) -> list[str]:
    """The ids of the tests in files or directories, as pytest finds them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider",
               "-p", "no:xdist", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.fixture(scope="module")
def collected() -> list[str]:
    """The ids of all tests of labs."""
    return collect([path.relative_to(ROOT).as_posix()
                    for path in sorted((ROOT / "grader/tests").glob("lab0*"))])


def test_measuring_one_exercise_does_not_drop_the_numbers_of_the_others(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grader.grading.grade", "--lab", "2", "--impl", "solution",
               "--measure", "--exercise", "2.7", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == ("error: --measure replaces the numbers of a whole lab: "
                           "give no --exercise\n")


def test_measuring_writes_nothing_unless_every_test_passed(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    """A test without a number would have lost the one that it had."""
    written: list[str] = []
    monkeypatch.setattr(budgets, "write", lambda counts: written.extend(counts))
    monkeypatch.setattr(properties, "write", lambda digests: written.extend(digests))
    seen = {**PASS, "instructions": 7}
    grading = graded({"a": seen, "b": FAIL, "c": seen})
    assert grade.measured(grading, tmp_path / "lab01") == EXIT_FAILED
    assert (written, capsys.readouterr().err) == ([], (
        "error: --measure has written nothing, since these tests did not pass: f::b\n"))
    grading = graded({"a": seen, "b": seen, "c": seen})
    grading.columns[CUMULATIVE].unmeasured["test_q"] = "BUDGET: it ends"
    assert grade.measured(grading, tmp_path / "lab01") == EXIT_FAILED
    assert (written, "pass: test_q: not" in capsys.readouterr().err) == ([], True)
    grading = graded({"a": seen, "b": seen})
    assert grade.measured(grading, tmp_path / "lab01") != EXIT_PASSED  # interrupted before c
    grading = graded({"a": seen, "b": seen, "c": seen})
    grade.measured(grading, tmp_path / "lab01")
    assert written == ["f::a", "f::b", "f::c"]


@pytest.mark.parametrize("lab", COURSE.labs, ids=lambda lab: f"lab{lab.number}")
def test_each_test_of_a_lab_proves_one_exercise(collected: list[str], lab: Lab) -> None:
    mine = [name for name in collected
            if short(name).startswith(f"test_lab{lab.number:02}") and not measures(name)]
    claims = {name: [e.id for e in lab.exercises for p in patterns_of(lab, e) if matches(p, name)]
              for name in mine}
    assert {name: ids for name, ids in claims.items() if len(ids) != 1} == {}
    idle = [p for e in lab.exercises for p in patterns_of(lab, e)
            if not any(matches(p, name) for name in mine)]
    assert idle == []
    assert {e.id for e in assign(lab, mine).values()} == {e.id for e in lab.exercises}


def test_mutants_name_tests_that_there_are(collected: list[str]) -> None:
    others = {path for mutant in all_mutants() for name in mutant.fails
              if not (path := path_of(name.split("::")[0])).startswith("grader/tests/lab")}
    known = {short(name) for name in (*collected, *collect(sorted(others)))}
    assert [(mutant.name, name) for mutant in all_mutants() for name in mutant.fails
            if name not in known] == []


def test_what_passes_without_work_is_there(collected: list[str]) -> None:
    listed = json.loads(IDLE.read_text("utf-8"))
    assert sorted(set(listed) - {short(name) for name in collected}) == []
    assert all(needs_company(name) for name in listed)


def test_every_test_that_runs_a_machine_has_a_measured_budget(collected: list[str]) -> None:
    known = budgets.measured()
    only_looks = ("_barriers", "test_sizes_of_what_is_switched")
    names = [short(name) for name in collected if not any(part in name for part in only_looks)]
    assert [name for name in names if name not in known] == []
    assert [name for name in known if name not in names] == []


def test_drift_of_a_budget_is_noticed_and_scatter_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    most, little = int(3_000_000 * budgets.DRIFT), 2_000_000
    monkeypatch.setattr(budgets, "measured", lambda: {"f::a": int(little * budgets.DRIFT),
                                                      "f::b": 3_000_000, "f::c": 2_000})
    assert budgets.drifted({"f::a": little + 1, "f::b": most - 1, "f::c": 9_000}) == []
    assert len(budgets.drifted({"f::a": little - 1, "f::b": most + 1, "f::new": little})) == 3


def test_a_run_that_saw_budgets_drift_is_not_good(tmp_path: Path) -> None:
    """A session of its own, with a test that says it took a million times what it takes."""
    name = "test_wfi_traps"
    (tmp_path / "conftest.py").write_text("from grader.grading.drift import Drift\n"
                                          "def pytest_configure(config):\n"
                                          "    config.pluginmanager.register(Drift())\n")
    (tmp_path / "test_lab04.py").write_text(f"def {name}(record_property):\n"
                                            "    record_property('instructions', 10**12)\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
               str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "1 passed" in done.stdout
    assert f"test_lab04.py::{name}: {10**12} instructions" in done.stdout


def test_patterns_mean_parameters_and_not_names() -> None:
    assert matches("test_lab02*.py::test_x[*-a]",
                   "grader/tests/lab02/test_lab02.py::test_x[gicv3-a]")
    assert matches("test_lab02*.py::test_x", "tests/test_lab02_more.py::test_x")
    assert not matches("test_lab02*.py::test_x", "tests/test_lab02.py::test_x[a]")
    assert not matches("test_lab02*.py::test_x[*]", "tests/test_lab02.py::test_xy[a]")


def test_prerequisites_come_lowest_first() -> None:
    lab = COURSE.lab(2)
    ids = [e.id for e in prerequisites(lab, COURSE.exercise("2.9"))]
    assert ids.index("2.1") < ids.index("2.2") < ids.index("2.3")
    assert "2.9" not in ids


# ---- points ----


def graded(results: dict[str, dict[str, Any]], column: str = CUMULATIVE) -> Grading:
    """A grading of lab 1 in which exercise 1.1 has tests a and b, and 1.2 has c."""
    grading = Grading(COURSE, COURSE.lab(1), "labs", complete=True)
    for name, exercise in {"f::a": "1.1", "f::b": "1.1", "f::c": "1.2"}.items():
        grading.tests[name] = COURSE.exercise(exercise)
    fill(grading, column, results)
    return grading


def fill(grading: Grading, column: str, results: dict[str, dict[str, Any]]) -> None:
    grading.columns[column] = Column(column)
    for name, fields in results.items():
        grading.add(column, {"test": f"tests/f::{name}", **fields})
    grading.block()


PASS: dict[str, Any] = {"verdict": "PASS"}
FAIL: dict[str, Any] = {"verdict": "FAIL", "what": "it is so"}


def test_points_of_an_exercise_are_those_of_its_tests() -> None:
    grading = graded({"a": PASS, "b": FAIL, "c": PASS})
    assert float(grading.score) == 9 / 2 + 13
    assert grading.status == EXIT_FAILED


def test_the_better_column_counts_and_isolated_counts_less() -> None:
    grading = graded({"a": PASS, "b": FAIL, "c": FAIL})
    fill(grading, ISOLATED, {"a": PASS, "b": PASS, "c": PASS})
    assert (grading.best, float(grading.score)) == (ISOLATED, 22 * 0.9)
    fill(grading, CUMULATIVE, {"a": FAIL, "b": PASS, "c": PASS})
    fill(grading, ISOLATED, {"a": PASS, "b": FAIL, "c": PASS})
    assert (grading.best, float(grading.score)) == (CUMULATIVE, 17.5)


@pytest.mark.parametrize(("verdict", "ran"), [("FAIL", "b"), ("PASS", "bac"), ("ERROR", "bac")])
def test_the_isolated_column_is_run_as_far_as_it_can_count(
    monkeypatch: pytest.MonkeyPatch, verdict: str, ran: str
) -> None:
    """What failed comes first. A test that could not be judged may pass for all that is known."""
    grading = graded({"a": PASS, "b": FAIL, "c": PASS})
    column = grading.columns[ISOLATED] = Column(ISOLATED)
    seen = []

    def run_tests(grading: Grading, name: str, settings: run.Settings, arrived: object,
                  names: list[str]) -> None:
        for test in names:
            seen.append(test)
            grading.add(name, {"test": test, **({"verdict": verdict} if test == "f::b" else PASS)})

    monkeypatch.setattr(run, "run_tests", run_tests)
    run.run_column(grading, column, run.Settings("labs"), lambda column, name: None)
    assert seen == [f"f::{name}" for name in ran]
    assert bool(column.skipped) == (verdict == "FAIL")


def test_a_run_without_an_end_is_ended(tmp_path: Path) -> None:
    grading = graded({})
    column = grading.columns[CUMULATIVE] = Column(CUMULATIVE)
    hangs = run.Settings("labs", root=tmp_path, seconds=0.1, wrap=lambda _: ["sleep", "infinity"])
    run.run_tests(grading, CUMULATIVE, hangs, lambda column, name: None, ["f::a"])
    assert column.broken == ["the tests took longer than 0.1 seconds of this machine"]
    assert not column.results


def test_what_is_not_written_is_not_run_over_other_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own exercise, or one that it needs; at another one a fault below may have brought it."""
    seen: list[str] = []

    def run_tests(grading: Grading, name: str, settings: run.Settings, arrived: object,
                  names: list[str]) -> None:
        seen.extend(names)
        for test in names:
            grading.add(name, {"test": test, **FAIL})

    monkeypatch.setattr(run, "run_tests", run_tests)
    for unwritten, ran in (("1.1", "b"), ("1.2", "ab"), ("1.8", "ab")):
        todo = {"verdict": "TODO", "observed": TODO.format(unwritten)}
        grading = graded({"a": todo, "b": FAIL, "c": PASS})
        column = grading.columns[ISOLATED] = Column(ISOLATED)
        seen.clear()
        run.run_column(grading, column, run.Settings("labs"), lambda column, name: None)
        assert (seen, bool(column.skipped)) == ([f"f::{name}" for name in ran], True)


def test_what_is_not_written_has_its_result_in_both_columns(
        monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def run_tests(grading: Grading, name: str, settings: run.Settings, arrived: object,
                  names: list[str]) -> None:
        seen.extend(names)
        for test in names:
            grading.add(name, {"test": test, **PASS})

    monkeypatch.setattr(run, "run_tests", run_tests)
    grading = graded({"a": {"verdict": "TODO", "observed": TODO.format("1.1")},
                      "b": FAIL, "c": FAIL})
    column = grading.columns[ISOLATED] = Column(ISOLATED)
    run.run_column(grading, column, run.Settings("labs"), lambda column, name: None)
    grading.block()
    assert seen == ["f::b", "f::c"]
    verdicts = [column.results[f"f::{name}"].verdict for name in "abc"]
    assert verdicts == [Verdict.TODO, Verdict.PASS, Verdict.PASS]
    assert grading.best == ISOLATED
    assert grading.columns[CUMULATIVE].results["f::c"].verdict == Verdict.BLOCKED


def test_an_exercise_that_is_not_written_earns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However a machine that goes on without it makes its tests end."""
    grading = graded({"c": PASS})
    grading.unwritten = unwritten_in_lab_1(("1.1", "boot.S", ""))
    monkeypatch.setattr(Unwritten, "whole", ["1.1"])
    for name, verdict in (("a", PASS), ("b", FAIL)):
        grading.add(CUMULATIVE, {"test": f"f::{name}", **verdict})
    grading.block()
    results = grading.columns[CUMULATIVE].results
    assert [results[f"f::{name}"].verdict for name in "abc"] == [
        Verdict.TODO, Verdict.TODO, Verdict.PASS]
    assert 'exercise 1.1 "Entry at EL2" is not written yet' in results["f::a"].observed


@pytest.mark.parametrize("written", [(), ("1.2",)], ids=["nothing", "1.2"])
def test_tests_of_what_is_not_written_are_not_run(tmp_path: Path, written: tuple[str, ...],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no image here: whatever runs ends in ERROR."""
    names = [f"test_lab01_steps.py::{name}" for name in (
        "test_boot_refuses_el1", "test_an_exit_saves_every_register",
        "test_boot_prepares_the_cpu_for_c")]
    grading = Grading(COURSE, COURSE.lab(1), "labs")
    grading.unwritten = unwritten_in_lab_1(("1.1", "boot.S", ""), ("1.2", "vectors.S", ""))
    whole = [id_ for id_ in ("1.1", "1.2") if id_ not in written]
    monkeypatch.setattr(Unwritten, "whole", whole)
    column = grading.columns[CUMULATIVE] = Column(CUMULATIVE)
    came: list[str] = []
    run.run_tests(grading, CUMULATIVE, run.Settings("labs", build=str(tmp_path)),
                  lambda column, name: came.append(name), names)
    assert not column.broken
    assert set(grading.tests) == set(came) == set(names)
    for name, result in column.results.items():
        is_todo = grading.tests[name].id in whole
        assert result.verdict is (Verdict.TODO if is_todo else Verdict.ERROR)
        assert not (is_todo and result.seconds)


def test_what_is_not_written_is_asked_of_the_files_that_are_graded(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submission stands in a tree of its own, and labs/ of this one has starters."""
    lab = COURSE.lab(1)
    shutil.copytree(ROOT / "solution" / lab.directory, tmp_path / "labs" / lab.directory)
    monkeypatch.setattr(run, "run_column", lambda *_: None)
    found = []
    for tree in (None, tmp_path):
        grading = Grading(COURSE, lab, "labs")
        run.grade(grading, run.Settings("labs", builder=lambda *_: "", tree=tree), lambda *_: None)
        found.append(len(grading.begun))
    assert found == [len(lab.exercises), 0]


def test_one_exercise_is_well_while_its_other_tests_wait() -> None:
    """They wait for what is not written, not for what is wrong."""
    todo = {"verdict": "TODO", "observed": TODO.format("1.8")}
    for b, well in ((todo, True), (FAIL, False), (PASS, True)):
        grading = graded({"a": PASS, "b": b})
        grading.exercise, grading.complete = "1.1", True
        del grading.tests["f::c"]
        grading.block()
        assert grading.is_well_so_far is well
        assert grading.status == (0 if well else 1)
        assert grading.waits_for("f::b") == ("1.8" if b is todo else "")


def test_what_stands_on_an_unwritten_exercise_is_blocked() -> None:
    todo = {"verdict": "TODO", "observed": TODO.format("1.1")}
    grading = graded({"a": todo, "b": todo, "c": todo})
    verdicts = [result.verdict for result in grading.columns[CUMULATIVE].results.values()]
    assert verdicts == [Verdict.TODO, Verdict.TODO, Verdict.BLOCKED]
    assert grading.columns[CUMULATIVE].results["f::c"].blocked_by == "1.1"
    assert grading.score == 0


def unwritten_in_lab_1(*places: tuple[str, str, str]) -> Unwritten:
    """Of exercises 1.1 and 1.5: their places, as (exercise, file, function)."""
    return Unwritten(COURSE.lab(1), {}, tuple(Place(id_, file, name, 0, 0, 0)
                                              for id_, file, name in places))


def over_reference(grading: Grading, monkeypatch: pytest.MonkeyPatch,
                   verdicts: dict[str, dict[str, Any]]) -> list[tuple[list[str], str]]:
    """Run what failed over the reference, where tests end in these verdicts."""
    ran: list[tuple[list[str], str]] = []

    def run_tests(grading: Grading, name: str, settings: run.Settings,
                  arrived: Any, names: list[str]) -> None:
        ran.append((names, settings.build))
        for test in names:
            grading.add(name, {"test": test, **verdicts[test[-1]]})
            arrived(name, test)

    monkeypatch.setattr(run, "run_tests", run_tests)
    settings = run.Settings("labs", filler=lambda column, over: (
        run.Settings("labs", build="+".join(over)), ""))
    run.run_over_reference(grading, grading.columns[CUMULATIVE], settings,
                           lambda column, name: None, list(grading.tests))
    grading.block()
    return ran


def test_an_unwritten_exercise_costs_its_own_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it keeps others from showing is tried over the reference; its own tests never are, and
    what they show where nothing is done earns nothing."""
    grading = graded({})
    grading.unwritten = unwritten_in_lab_1(("1.1", "boot.S", ""))
    monkeypatch.setattr(Unwritten, "whole", ["1.1"])
    fill(grading, CUMULATIVE, {"a": PASS, "b": {"verdict": "FAIL", "what": "no ISB"},
                               "c": {"verdict": "TODO", "observed": TODO.format("1.1")}})
    results = grading.columns[CUMULATIVE].results
    assert [result.verdict.value for result in results.values()] == ["TODO", "TODO", "BLOCKED"]
    assert grading.waiting() == {"1.1": {"1.2": 13}}
    assert unwritten_lines(grading)[-1] == "13 points of 1.2 wait until 1.1 is written"
    assert over_reference(grading, monkeypatch, {"c": PASS}) == [(["f::c"], "1.1")]
    assert (float(grading.score), results["f::c"].over) == (13, ["1.1"])
    assert grading.waiting() == {}


def test_over_the_reference_a_fault_of_ones_own_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    grading = graded({})
    grading.unwritten = unwritten_in_lab_1(("1.1", "boot.S", ""))
    monkeypatch.setattr(Unwritten, "whole", ["1.1"])
    fill(grading, CUMULATIVE, {"a": FAIL, "c": {"verdict": "TODO", "observed": TODO.format("1.1")}})
    crash = {"verdict": "CRASH", "observed": "the reference's code is 0x1234",
             "where": ["at x.c:1", "console:", "0x1234"]}
    over_reference(grading, monkeypatch, {"c": crash})
    result = grading.columns[CUMULATIVE].results["f::c"]
    assert (result.verdict, result.over, result.blocked_by) == (Verdict.CRASH, ["1.1"], "")
    assert "0x1234" not in json.dumps(grading.values())
    assert float(grading.score) == 0


def test_what_is_half_written_waits_for_others_and_not_for_itself(
        monkeypatch: pytest.MonkeyPatch) -> None:
    grading = graded({})
    grading.unwritten = unwritten_in_lab_1(("1.1", "boot.S", ""), ("1.5", "trap.c", "f"))
    monkeypatch.setattr(Unwritten, "whole", [])
    fill(grading, CUMULATIVE, {"a": {"verdict": "TODO", "observed": TODO.format("1.5")},
                               "b": {"verdict": "TODO", "observed": TODO.format("1.1")}, "c": PASS})
    assert over_reference(grading, monkeypatch, {"a": PASS}) == [(["f::a"], "1.5")]
    assert float(grading.score) == 9 / 2 + 13


def test_what_shows_an_exercise_by_itself_is_judged_for_itself() -> None:
    grading = graded({"a": FAIL, "b": FAIL, "c": FAIL})
    step = "test_lab01_steps.py::c"
    grading.tests[step] = COURSE.exercise("1.2")
    grading.add(CUMULATIVE, {"test": f"tests/{step}", **FAIL})
    grading.block()
    results = grading.columns[CUMULATIVE].results
    assert (results["f::c"].verdict, results[step].verdict) == (Verdict.BLOCKED, Verdict.FAIL)


def test_what_shows_an_exercise_by_itself_waits_for_what_the_machine_goes_on_without(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """2.9 stands on 2.3 and 2.1; without 2.3 nothing is unmapped, and 2.1 ends the machine."""
    step = "test_lab02_steps.py::c"
    for missing, over, verdict, by in (
            ("2.3", None, Verdict.BLOCKED, "2.3"), ("2.1", None, Verdict.FAIL, ""),
            ("2.3", PASS, Verdict.PASS, ""), ("2.3", FAIL, Verdict.FAIL, "")):
        grading = Grading(COURSE, COURSE.lab(2), "labs", complete=True)
        grading.tests[step] = COURSE.exercise("2.9")
        column = grading.columns[CUMULATIVE] = Column(CUMULATIVE)
        grading.unwritten = Unwritten(COURSE.lab(2), {}, (Place(missing, "x.c", "f", 0, 0, 0),))
        monkeypatch.setattr(Unwritten, "whole", [missing])
        grading.add(CUMULATIVE, {"test": f"tests/{step}", **FAIL})
        if over:
            over_reference(grading, monkeypatch, {"c": over})
        grading.block()
        result = column.results[step]
        assert (result.verdict, result.blocked_by) == (verdict, by)


def test_an_exercise_that_fails_by_itself_blocks_what_stands_on_it() -> None:
    """Although another test of it passes: the fault is read where it is."""
    for verdict, blocked in ((FAIL, "1.1"), (PASS, "")):
        grading = graded({"a": PASS, "b": FAIL, "c": FAIL})
        step = "test_lab01_steps.py::a"
        grading.tests[step] = COURSE.exercise("1.1")
        grading.add(CUMULATIVE, {"test": f"tests/{step}", **verdict})
        grading.block()
        results = grading.columns[CUMULATIVE].results
        assert [results[f"f::{name}"].blocked_by for name in "abc"] == ["", "", blocked]


@pytest.mark.parametrize("static", ["test_lab01_barriers.py::c",
                                    "test_lab02.py::test_memory_comes_on_demand"])
def test_what_nothing_executes_earns_nothing(static: str) -> None:
    """Barriers that stand anywhere, and what holds as well where nothing is done."""
    for works in (FAIL, PASS):
        grading = graded({"a": PASS, "b": PASS, "c": works})
        grading.tests[static] = COURSE.exercise("1.2")
        grading.add(CUMULATIVE, {"test": f"tests/{static}", **PASS})
        grading.block()
        grading.block()
        result = grading.columns[CUMULATIVE].results[static]
        if works is FAIL:
            assert (result.verdict, result.blocked_by) == (Verdict.BLOCKED, "1.2")
            assert "another test of exercise 1.2" in "\n".join(explain(grading, static, result))
            assert "1 FAIL, 1 BLOCKED until another one here passes" in text_lines(grading)
        else:
            assert result.verdict is Verdict.PASS


def test_why_shows_no_failure_that_has_been_repaired(tmp_path: Path) -> None:
    for age, (name, verdict) in enumerate((("lab01", PASS), ("exercise-1-1", FAIL))):
        path = tmp_path / f"{name}.json"
        graded({"a": verdict}).write(path)
        os.utime(path, (1000 - age, 1000 - age))
    with pytest.raises(UserError, match="f::a passed when it last ran"):
        find(tmp_path, "f::a")
    with pytest.raises(UserError, match="make grade LAB=3 makes them, make test and pytest keep"):
        find(tmp_path, "grader/tests/lab03/test_lab03_steps.py::test_new")


def test_why_finds_the_result_of_a_submission(tmp_path: Path) -> None:
    """By its files: the result in a class has the student's name, and may have dots in it."""
    archive = tmp_path / "anna.tar.gz"
    archive.write_bytes(pack(ROOT, registered_files(COURSE, 1)))
    with pytest.raises(UserError, match="have no result yet"):
        find_submission([tmp_path], archive)
    grading = graded({"a": FAIL, "b": PASS})
    grading.source = hash_of_labs(ROOT, COURSE, 1)
    grading.write(tmp_path / "students" / "anna.b.json")
    found = find_submission([tmp_path / "none", tmp_path / "students"], archive)
    assert failed(found, "a") == "f::a"
    with pytest.raises(UserError, match="f::b passed"):
        failed(found, "::b")
    with pytest.raises(UserError, match="no such file"):
        find_submission([tmp_path], tmp_path / "missing")


def test_what_stands_on_an_exercise_that_half_works_is_judged_for_itself() -> None:
    grading = graded({"a": PASS, "b": FAIL, "c": FAIL})
    assert grading.columns[CUMULATIVE].results["f::c"].verdict is Verdict.FAIL


def test_points_that_the_reference_holds_back_are_explained() -> None:
    """Every test passes over its layers: a run over these alone is right, and says why it is 90."""
    for base, status, why in (("reference", EXIT_PASSED, "your own lower layers: grade without"),
                              ("own", EXIT_FAILED, "over your own not every test passes: see "
                                                   "make grade LAB=1")):
        grading = Grading(COURSE, COURSE.lab(2), "labs", base=base, complete=True)
        for number, exercise in enumerate(COURSE.lab(2).exercises):
            grading.tests[f"f::{number}"] = exercise
        names = [name.split("::")[1] for name in grading.tests]
        if base == "own":
            fill(grading, CUMULATIVE, {name: FAIL for name in names})
        fill(grading, ISOLATED, {name: PASS for name in names})
        assert (float(grading.score), grading.status) == (90, status)
        assert "counts x 0.9" in whole(grading) and why in whole(grading)
        fill(grading, ISOLATED, {name: FAIL if name == "0" else PASS for name in names})
        assert grading.status == EXIT_FAILED
        assert "counts x" not in whole(grading)


def test_lab_1_stands_on_no_layer_of_the_reference() -> None:
    for lab, base in (("1", "own"), ("2", "reference")):
        arguments = grade.parser().parse_args(["--lab", lab, "--base", "reference"])
        assert grade.start(COURSE, arguments).base == base


def test_exit_status_tells_who_is_at_fault() -> None:
    grading = graded({"a": PASS, "b": PASS, "c": {"verdict": "ERROR", "what": "QEMU has ended"}})
    assert grading.status == EXIT_INFRASTRUCTURE
    grading = graded({})
    grading.columns[CUMULATIVE].build_error = "x.c:1: error"
    assert grading.status == EXIT_NOT_BUILT
    grading = Grading(COURSE, COURSE.lab(1), "labs", exercise="1.1", complete=True)
    grading.tests["f::a"] = COURSE.exercise("1.1")
    fill(grading, CUMULATIVE, {"a": PASS})
    assert (grading.status, grading.maximum) == (EXIT_PASSED, 9)


def test_an_incomplete_run_keeps_what_it_has_and_is_no_result(tmp_path: Path) -> None:
    grading = graded({"a": PASS})
    grading.complete = False
    grading.write(tmp_path / "lab01.json")
    values = json.loads((tmp_path / "lab01.json").read_text())
    assert (values["score"], values["complete"]) == (4.5, False)
    assert values["exit_code"] == EXIT_INFRASTRUCTURE
    assert list(values)[:5] == ["lab", "impl", "score", "max", "tests"]


# ---- what is written ----


def test_a_result_survives_being_written_and_read() -> None:
    grading = graded({"a": PASS, "b": {**FAIL, "where": ["vCPU at EL2"], "seed": "3"}, "c": PASS})
    again = restore(json.loads(json.dumps(grading.values())))
    assert again.values() == grading.values()
    functions = COURSE.exercise("1.2").functions
    places = [Place("1.2", file, name, 0, 0, 0) for file, names in functions.items()
              for name in names if file.endswith(".c")]
    grading.unwritten = Unwritten(COURSE.lab(1), {}, (
        *places, Place("1.2", "", "", 0, 0, 0), Place("1.3", "", "", 0, 0, 0)))
    again = restore(json.loads(json.dumps(grading.values())))
    assert (again.begun, again.whole) == (grading.begun, grading.whole)


def test_a_failure_says_what_to_do_next() -> None:
    grading = graded({"a": FAIL, "b": PASS, "c": PASS})
    result = grading.result_of("f::a")
    assert result is not None
    text = "\n".join(explain(grading, "f::a", result))
    for words in ("tested: it is so", "manual: ", "hint: ",
                  "reproduce: make debug TEST='grader/tests/f::a' IMPL=labs"):
        assert words in text


def test_a_failure_names_the_fault_below() -> None:
    """Of the exercises that its own stands on: a test that shows one of them by itself."""
    lab = COURSE.lab(2)
    lower, upper = (next(entry for entry in lab.exercises if entry.id == id_)
                    for id_ in ("2.1", "2.2"))
    low, high = "t/test_lab02_steps.py::low", "t/test_lab02_steps.py::high"
    grading = Grading(COURSE, lab, "labs", tests={low: lower, high: upper})
    results = {low: Result(Verdict.FAIL, what="a walk"), high: Result(Verdict.FAIL, what="a map")}
    grading.columns[CUMULATIVE] = Column(CUMULATIVE, results=results)
    words = "it stands on exercise 2.1, which fails by itself: look at low first"
    assert words in "\n".join(explain(grading, high, results[high]))
    assert "it stands on" not in "\n".join(explain(grading, low, results[low]))


def test_what_is_not_written_gets_no_hint() -> None:
    """It might be a late one, for an exercise that nobody has begun."""
    grading = graded({"a": {"verdict": Verdict.TODO.value, "what": "it is so"}})
    result = grading.result_of("f::a")
    assert result is not None
    assert not any(line.startswith("  hint:") for line in explain(grading, "f::a", result))


def test_properties_that_are_not_the_known_ones_say_what_makes_them_known(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, for who has the solution; the exercise's hint has nothing to do with it."""
    monkeypatch.setattr(properties, "measured", lambda: {"test_lab01.py::a": ["vm0 x: 21 ab"]})
    monkeypatch.setattr(properties, "current", lambda: Options(impl="solution"))
    command = ('  when that is as it should be: "$(tools/doctor --python)" -m grader.grading.grade '
               "--lab 1 --impl solution --measure")
    for name, verdict in (("new", Verdict.ERROR), ("a", Verdict.FAIL)):
        with pytest.raises(Finding) as raised:
            properties.expect_all(f"lab01/test_lab01.py::{name}", ["vm0 x: 23 cd"])
        found = raised.value
        assert found.verdict is verdict
        grading = graded({"a": {"verdict": verdict.value, "what": found.what,
                                "observed": found.observed, "where": found.where}})
        result = grading.result_of("f::a")
        assert result is not None
        lines = list(explain(grading, "f::a", result))
        assert command in lines
        assert not any(line.startswith("  hint:") for line in lines)
    monkeypatch.setattr(properties, "ROOT", Path("/handout"))
    assert properties.remedy("test_lab01.py::a") == []


def test_what_else_failed_is_shown_by_a_test_that_stands_alone(
        capsys: pytest.CaptureFixture[str]) -> None:
    names = ("test_lab01.py::x", "test_lab01_steps.py::y", "test_lab01_steps.py::z")
    grading = graded({})
    grading.tests = dict.fromkeys(names, COURSE.exercise("1.1"))
    for name in names:
        grading.add(CUMULATIVE, {"test": f"tests/{name}", **FAIL})
    print_failures(grading)
    told = capsys.readouterr().out
    assert "FAIL test_lab01_steps.py::y" in told
    assert "\n2 more failures, in full" in told and told.endswith("make why TEST='z'\n")
    del grading.tests[names[0]]
    print_failures(grading)
    assert "\n1 more failure, in full" in capsys.readouterr().out


def test_a_call_that_is_over_can_be_repeated() -> None:
    told = how_to_repeat("vgic_fold", 0x4020_0000, (0x4A00_7000, 1))
    assert "tbreak vgic_fold\n" in told
    assert "print/x ((unsigned long (*)())vgic_fold)(0x4a007000, 0x1)\n" in told
    assert "tbreak *0x50\n" in how_to_repeat("vgic_fold.part.0", 0x50, ())


def test_debug_takes_a_part_of_a_name() -> None:
    program = ("import sys; from grader.grading.debug_test import whole_name; "
               "print(whole_name(sys.argv[1]))")
    for wanted in ("-mmio_endian]", "lab02/test_lab02.py::test_a_guest_sees_the"):
        found = subprocess.run([sys.executable, "-c", program, wanted], cwd=ROOT, text=True,
                               capture_output=True, check=True).stdout
        assert found.startswith("grader/tests/lab02/test_lab02.py::test_a_guest_sees_the")
        assert wanted in found


def test_what_did_not_build_is_a_failing_test() -> None:
    """And the points that were to be had are 100, whether there was a test or not."""
    grading = Grading(COURSE, COURSE.lab(1), "labs", complete=True)
    grading.columns[CUMULATIVE] = Column(CUMULATIVE, build_error="x.c:1: error: ;\nmore")
    root = ElementTree.fromstring(formats.junit(grading))
    (failure,) = root.findall(".//failure")
    assert failure.get("message") == "x.c:1: error: ;" and "more" in (failure.text or "")
    assert root.findall("testsuite")[0].get("failures") == "1"
    scope = json.loads(formats.gradescope(grading))
    assert sum(test["max_score"] for test in scope["tests"]) == 100
    refused = Grading(COURSE, COURSE.lab(1), "labs", complete=True, refused=["x: a link"])
    assert "x: a link" in formats.junit(refused) and "<failure" in formats.junit(refused)
    broken = Grading(COURSE, COURSE.lab(1), "labs")
    broken.columns[CUMULATIVE] = Column(CUMULATIVE, broken=["no QEMU"])
    assert "<error" in formats.junit(broken) and "<failure" not in formats.junit(broken)


def test_a_run_that_was_cut_short_has_no_score() -> None:
    grading = graded({"a": PASS, "b": PASS})
    grading.columns[CUMULATIVE].broken = ["pytest ended with status -15"]
    out = io.StringIO()
    summary(grading, Console(file=out, width=80))
    assert "pytest ended with status -15" in out.getvalue()
    assert "the run is unfinished, so there is no score" in out.getvalue()
    assert "points" not in out.getvalue()
    assert next(formats.step_summary(grading)).endswith(": unfinished, so no score")
    assert grading.status == EXIT_INFRASTRUCTURE


@pytest.mark.parametrize("column", [CUMULATIVE, ISOLATED])
@pytest.mark.parametrize("passes", ["", "bde", "abcdefg", "acg"])
def test_points_of_gradescope_add_up(column: str, passes: str) -> None:
    """Thirds and sevenths of points do not, rounded one by one."""
    grading = Grading(COURSE, COURSE.lab(1), "labs", complete=True)
    for number, exercise in enumerate(COURSE.lab(1).exercises):
        for name in "abcdefg"[:7 - 4 * (number % 2)]:
            grading.tests[f"f::{number}{name}"] = exercise
    results = {name[3:]: PASS if name[-1] in passes else FAIL for name in grading.tests}
    fill(grading, column, results)
    tests = json.loads(formats.gradescope(grading))["tests"]
    assert round(sum(test["max_score"] for test in tests), 6) == 100
    assert round(sum(test["score"] for test in tests), 6) == round(float(grading.score), 2)
    assert all(test["score"] <= test["max_score"] for test in tests)
    if column == CUMULATIVE:
        assert all(test["score"] in (0, test["max_score"]) for test in tests)


def test_a_column_that_points_left_out_is_run_when_they_change() -> None:
    """Of a stored result: exercise 1.1 has tests a and b, and 10 points."""
    grading = graded({"a": PASS, "b": FAIL, "c": PASS})
    grading.columns[ISOLATED] = Column(ISOLATED, skipped="too few ...", cannot=["f::b"])
    values = json.loads(json.dumps(grading.values()))
    assert is_enough(restore(values)), "20 points are not less than 20 x 0.9"
    values["columns"][ISOLATED]["cannot"] = []
    assert not is_enough(restore(values)), "20 points are less than 25 x 0.9"
    values["columns"][ISOLATED]["cannot"] = None
    assert is_enough(restore(values)), "it was left out for another reason"


def test_outputs_hold_no_control_characters_and_agree() -> None:
    grading = graded({"a": {"verdict": "FAIL", "what": "\x1b[2J <b>|\x07", "observed": "\x00"},
                      "b": PASS, "c": PASS})
    root = ElementTree.fromstring(formats.junit(grading))
    assert len(root.findall(".//testcase")) == 3
    assert len(root.findall(".//failure")) == 1
    scope = json.loads(formats.gradescope(grading))
    assert scope["score"] == 17.5
    assert sum(test["score"] for test in scope["tests"]) == 17.5
    summary = "\n".join(formats.step_summary(grading))
    for text in (formats.junit(grading), json.dumps(scope, ensure_ascii=False), summary):
        assert not any(ord(c) < 32 and c not in "\n\t" for c in text)


# ---- symptoms ----


def test_every_symptom_can_be_asked_for() -> None:
    names = {"EL", "pc", "vectors", "image_start", "text_end"}
    facts = dict.fromkeys([*names, "ESR_EL2", "VBAR_EL2", "CNTHP_CTL_EL2", "HCR_EL2", "ESR_EL1",
                           "VBAR_EL1", "SPSR_EL2", "SCTLR_EL2", "SP_EL2", "vcpu",
                           *(f"crash_{name}" for name in ("kind", "esr", "far", "sp", "vector"))],
                          0)
    for symptom in symptoms.table():
        assert symptom.cause
        for condition in symptom.when:
            symptoms.holds(condition, facts)


@pytest.mark.parametrize(("facts", "verdict", "words"), [
    ({"EL": 2, "pc": 0x200, "ESR_EL2": 0x0200_0000, "VBAR_EL2": 0, "vectors": 0x4020_0800},
     "BUDGET", "VBAR_EL2 is not set"),
    ({"EL": 2, "pc": 0x4020_0A10, "ESR_EL2": 0x9600_0004, "VBAR_EL2": 0x4020_0800,
      "vectors": 0x4020_0800}, "BUDGET", "exception loop at VBAR_EL2 + 0x200"),
    ({"EL": 1, "pc": 0x1234, "HCR_EL2": 0x8000_0000, "VBAR_EL1": 5, "ESR_EL1": 0}, "BUDGET",
     "HCR_EL2.IMO is clear"),
    ({"EL": 1, "pc": 0x200, "VBAR_EL1": 0, "SPSR_EL2": 0, "SP_EL2": 0x1000, "vcpu": 0x2000}, "HANG",
     "entered with SP_EL2 elsewhere"),
    ({"EL": 1, "pc": 0x200, "VBAR_EL1": 0, "SPSR_EL2": 0, "SP_EL2": 0x2000, "vcpu": 0x2000}, "HANG",
     "as it does when nobody has written"),
    ({"crash_kind": 2, "crash_esr": 0x1E00_0000, "crash_vector": 0x200, "crash_sp": 0}, "CRASH",
     "closed before they had been saved"),
    ({}, "FAIL", ""),
])
def test_symptoms_are_recognised(facts: dict[str, int], verdict: str, words: str) -> None:
    cause = symptoms.explain(facts, verdict, "")
    assert words in cause if words else not cause


def test_el2_without_its_own_code_and_a_stack_that_ran_over_are_told() -> None:
    facts = {"EL": 2, "VBAR_EL2": 0x4020_0800, "vectors": 0x4020_0800, "pc": 0x4020_0A00,
             "SCTLR_EL2": 1}
    text = "its vector, VBAR_EL2 + 0x200 = 0x40200a00, cannot be executed (0x86000005 EC 0x21)"
    assert "Exercise 2.4" in symptoms.explain(facts, "HANG", text)
    guard = {"crash_kind": 2, "crash_esr": 0x9600_0047, "crash_sp": 0x4021_0000,
             "crash_far": 0x4020_FFF0, "crash_vector": 0x200}
    assert "ran over into the guard page" in symptoms.explain(guard, "CRASH", "")
    beyond = guard | {"crash_esr": 0x97DE_804F, "crash_far": 0x4020_4000,
                      "image_start": 0x4020_0000, "text_end": 0x4020_9000}
    assert "wrote into its own text" in symptoms.explain(beyond, "CRASH", "")


def test_a_table_at_address_0_is_told() -> None:
    text = "a structure of the hypervisor lies in RAM observed: physical address 0x8, 8 bytes"
    assert "walk->spare empty" in symptoms.explain({}, "FAIL", text)
    assert not symptoms.explain({}, "FAIL", text.replace("0x8", "0xdead0008"))


def test_an_interrupt_that_el2_does_not_get_is_told() -> None:
    text = ("all vCPUs asleep and no timer ahead: CPU 0 in WFI at EL2, "
            "0x4020487c cpu_switch+0x148; CNTHP expired but not delivered")
    assert "Exercise 3.1" in symptoms.explain({"EL": 2, "CNTHP_CTL_EL2": 5}, "HANG", text)


def test_a_cpu_that_sleeps_beside_its_queue_is_told() -> None:
    text = ("all vCPUs asleep and no timer ahead: CPU 0 in WFI at EL2, 0x4020487c; CNTHP off | "
            "CPU 1 in WFI at EL2, 0x4020487c; CNTHP off | "
            "a vCPU waits on the run queue of CPU 1, which sleeps")
    assert "exercise 6.3" in symptoms.explain({"EL": 2}, "HANG", text)


def test_a_wfi_that_is_not_skipped_is_told() -> None:
    text = ("CPU 0 in WFI at EL2, 0x4020488c cpu_switch+0x148; CNTHP off | "
            "VM 0 blocked at its WFI and not behind it, at 0x40081148")
    assert "Exercise 4.6" in symptoms.explain({"EL": 2, "CNTHP_CTL_EL2": 0}, "HANG", text)


def test_an_interrupt_without_end_is_told_by_any_frame() -> None:
    text = ("600000001 instructions used, at 0x4020a2c8 gic_v3_deactivate+0x8\n"
            "EL2 #1 0x40209d40 gic_irq at gic.c:85")
    told = symptoms.explain({"EL": 2}, "BUDGET", text)
    assert "gic_irq() takes one interrupt after the other" in told


def test_a_loop_in_the_vector_is_told_by_where_the_budget_ended() -> None:
    text = ("10000001 instructions used, at 0x40205200 vectors+0x200 "
            "(labs/lab01-el2-boot/vectors.S:92)")
    assert "An exception loop at VBAR_EL2 + 0x200" in symptoms.explain({"EL": 2}, "BUDGET", text)


@pytest.mark.parametrize(("exit_", "words"), [
    (str(Esr(0x5E00_0000)), "stays at the SMC"),
    (str(Esr(0x6232_E001)), "TRAP_SKIP_INSN"),
    (str(Esr(0x07E0_0000)), "WFI: 4.6"),
    (str(Esr(0x9380_8007)), "exercise 2.7"),
    (str(Esr(0x8200_0006)), "The same fetch"),
    (str(Esr(0x1FE0_0000)), "CPTR_EL2.TFP"),
    (str(Esr(0x5A00_0000)), "repeats one call"),
    ("an IRQ", "pending again"),
])
def test_an_exit_that_repeats_has_a_likely_cause(exit_: str, words: str) -> None:
    text = ("9 instructions used, at 0x0; the same exit again and again: of 12 in a row, "
            f"12 times {exit_} at ELR_EL2 0x8")
    assert words in symptoms.explain({"EL": 2}, "BUDGET", text)


def test_what_a_symptom_looks_for_is_said_somewhere() -> None:
    places = ("guests/probes/*.c", "guests/lib/*.c", "grader/*/*.py", "grader/tests/lab*/*.py",
              "solution/*/*.c", "kit/*.c")
    sources = [path for place in places for path in ROOT.glob(place)]
    said = "\n".join(path.read_text("utf-8") for path in sources)
    words = [part for symptom in symptoms.table() for part in symptom.text.split("|")
             if part.count(" ") > 3 and not set("[*") & set(part)]
    assert [part for part in words if part not in said] == []


def test_what_the_machine_printed_is_no_symptom() -> None:
    result = Result(Verdict.FAIL, what="a", where=["vm0: b", "console:", "| PASS: c"])
    assert result.message.splitlines() == ["a", "", "", "vm0: b"]


# ---- questions of the texts ----


def test_every_question_has_a_test_that_measures_it() -> None:
    for lab in COURSE.labs:
        name = f"lab{lab.number:02}"
        text = (ROOT / f"grader/tests/{name}/test_{name}_questions.py").read_text("utf-8")
        for question in lab.questions:
            assert f"def {question.test}(" in text, question.id


def answered(data: str, measured: dict[str, int], **unmeasured: str) -> Grading:
    lab = COURSE.lab(4)
    grading = Grading(COURSE, lab, "labs", answers=questions.parse(data.encode(), lab),
                      complete=True)
    grading.columns[CUMULATIVE] = Column(CUMULATIVE)
    for test, verdict in {"measured": "PASS", **unmeasured}.items():
        line = {"test": f"grader/tests/lab04/test_lab04_questions.py::{test}", "verdict": verdict,
                "what": "it runs", "instructions": 5_000,
                "measured": measured if test == "measured" else {}}
        assert grading.add(CUMULATIVE, line) == ""
    return grading


def test_answers_are_held_against_what_was_measured_and_earn_nothing() -> None:
    text = "second_vm_later_ticks = 7888\nslice_ticks = 0x989680\nslice_ticks_icount = 10\n"
    grading = answered(text, {"second_vm_later_ticks": 7927, "slice_ticks": 625000},
                       test_ticks_of_a_slice="TODO")
    assert [row.state for row in grading.questions] == ["right", "not measured", "wrong"]
    assert grading.score == 0 and grading.maximum == 100
    lines = text_lines(grading)
    assert ("question 3, slice_ticks: you say 10000000 (0x989680), on your image "
            "test_ticks_of_a_slice measures another number") in lines
    assert "625000" not in lines
    assert "question 3, slice_ticks_icount: not measured: TODO: it runs" in lines
    assert "1 of 3 right, 1 wrong, 1 not measured" in lines
    entry = json.loads(formats.gradescope(grading))["tests"][-1]
    assert (entry["score"], entry["max_score"], entry["status"]) == (0.0, 0.0, "failed")
    assert any("1 of 3 right" in line for line in formats.step_summary(grading))


def text_lines(grading: Grading) -> str:
    out = io.StringIO()
    summary(grading, Console(file=out, width=200, soft_wrap=True))
    return out.getvalue()


def test_an_open_question_is_not_measured_and_tells_nothing() -> None:
    grading = answered('slice_ticks = ""\n', {"slice_ticks": 625000})
    assert not grading.asks and "question" not in text_lines(grading)
    entry = next(entry for entry in grading.values()["questions"] if entry["id"] == "slice_ticks")
    assert (entry["state"], entry["measured"]) == ("open", None)
    assert question_patterns(COURSE.lab(4))


@pytest.mark.parametrize(("data", "says"), [
    (b"slice_ticks = \n", "Invalid value (at line 1"),
    (b"\xff\xfe", "codec can't decode"),
    (b"slice_ticks = 1.5\n", "line 1: slice_ticks = '1.5': an answer is a whole number"),
    (b"slice_ticks = -1\n", "a whole number below 2^64"),
    (b'slice_ticks = "625000"\n', "without quotes"),
    (b"slice_ticks = true\n", "a whole number"),
    (b"[slice_ticks]\nx = 1\n", "a whole number"),
    (b"slice = 1\n", "'slice' is none of the lab's questions: second_vm_later_ticks, "),
    (b"x = " + b"[" * 100000, "answers.toml: "),
])
def test_answers_that_cannot_be_read_are_one_line(data: bytes, says: str) -> None:
    answers = questions.parse(data, COURSE.lab(4))
    assert says in answers.error and "\n" not in answers.error and not answers.values
    assert answers.error.startswith("labs/lab04-vtimer/answers.toml: ")


def test_what_a_finding_says_has_an_end() -> None:
    """A symbol's name is as long as its author likes, and stands in each backtrace."""
    long = "y" * 200_000
    told = plugin.cut({"seed": 1, "what": long, "where": ["short", long]})
    assert told["seed"] == 1 and told["where"][0] == "short"
    assert max(map(len, (told["what"], told["where"][1]))) < 4000
