# SPDX-License-Identifier: MIT
"""The pytest plugin of a graded run: `-p grader.grading.plugin`.

It picks the lab's tests, runs each on every seed until one fails, and adds to a finding what the
symptom table asks for. Tests of an exercise of which nothing is written are not run: TODO. Each
result is passed on at once, one JSON object a line, so that nothing is lost when the run is cut
short. With --workers several processes share the tests (workers.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any

import pytest

from course.registry import load_course
from grader.grading import budgets
from grader.grading.findings import MACHINES, finding_of
from grader.grading.lab import Lab
from grader.grading.plan import assign, selects, short, stands_alone
from grader.grading.workers import Workers
from grader.machine import options
from grader.machine.gdb_client import GdbError
from grader.machine.machine import Machine, Stop
from grader.machine.options import Options
from grader.machine.verdict import Finding, Verdict
from grader.oracle import crash, exits, quiescence
from grader.oracle.objects import Objects
from grader.oracle.probe import varies
from grader.oracle.strata import ORACLE

# What the conditions of grader/grading/symptoms.toml can speak about, besides the crash mailbox.
FACTS = ("pc", "sp", "PSTATE", "ESR_EL2", "ELR_EL2", "FAR_EL2", "HPFAR_EL2", "SPSR_EL2", "HCR_EL2",
         "VBAR_EL2", "VTTBR_EL2", "VTCR_EL2", "SCTLR_EL2", "CNTHCTL_EL2", "CNTHP_CTL_EL2",
         "CNTV_CTL_EL0", "ESR_EL1", "ELR_EL1", "FAR_EL1", "VBAR_EL1", "SP_EL2")  # fmt: skip

LINE_MAX = 2000  # of what a finding says; those of ours have some hundred

RUN = pytest.StashKey[dict[str, Any]]()


class Worker:
    """How tests run."""

    def __init__(self, told: Options) -> None:
        self.told = told
        self.current: pytest.Item | None = None
        self.looking = False  # beyond the budget, at what used it up
        probe = Lab.probe

        def remember(lab: Lab, *vms: Any, **options: Any) -> Any:
            """Where no probe computes with the seed, a second one would change nothing."""
            probes = [vm if isinstance(vm, str) else vm.probe for vm in vms]
            if self.current is not None and any(map(varies, probes)):
                self.current.stash[RUN]["uses_seed"] = True
            machine, reports = probe(lab, *vms, **options)
            if self.current is not None:
                self.current.stash[RUN]["properties"] += [report.digest for report in reports]
            return machine, reports

        setattr(Lab, "probe", remember)
        self._cap_instructions()

    def _cap_instructions(self) -> None:
        """No machine of a test runs for longer than many times what the solution takes."""
        if self.told.measure:
            return  # what it takes is about to be known
        go = Machine._go

        def capped(machine: Machine, command: str, budget: int) -> Stop:
            most = budgets.most(self.current.nodeid) if self.current and not self.looking else 0
            left = max(0, most - machine.budget.retired) if most else budget
            return go(machine, command, min(budget, left))

        setattr(Machine, "_go", capped)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.told.select:
            items[:] = [item for item in items if selects(self.told.select, item.nodeid)]
        # What shows an exercise by itself comes first: other tests fail for the same cause.
        items.sort(key=lambda item: not stands_alone(item.nodeid))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        from _pytest.runner import runtestprotocol

        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self.current = item
        for position, seed in enumerate(self.told.seeds):
            options.use(replace(self.told, seeds=(seed,)))
            item.stash[RUN] = {"seed": seed, "uses_seed": False, "properties": []}
            if position:
                item._initrequest()  # type: ignore[attr-defined]
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            if not all(report.passed for report in reports) or not wants_more(item):
                break
        for report in reports:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        self.current = None
        return True

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item,
                                  call: pytest.CallInfo[None]) -> Iterator[None]:
        """After conftest.py has put the finding into words, with the machine still standing."""
        outcome = yield
        report = outcome.get_result()  # type: ignore[attr-defined]
        machines: list[Machine] = item.stash.get(MACHINES, [])
        if call.when == "call" and machines:
            found = sorted(set(item.stash[RUN]["properties"]))
            report.user_properties = [*report.user_properties, ("properties", found)]
        if report.passed:
            return
        finding, error = finding_of(item, call), call.excinfo.value if call.excinfo else None
        details: dict[str, Any] = {"seed": item.stash[RUN]["seed"]}
        if finding is not None:
            details |= {"verdict": finding.verdict.value, "what": finding.what,
                        "observed": finding.observed, "expected": finding.expected,
                        "where": finding.where}  # fmt: skip
        elif isinstance(error, AssertionError):
            details |= {"verdict": Verdict.FAIL.value, "what": str(error).splitlines()[0]}
        else:
            details |= {"verdict": Verdict.ERROR.value, "what": f"{error!r}",
                        "where": report.longreprtext.splitlines()[-30:]}  # fmt: skip
        if machines and call.when == "call" and details["verdict"] == Verdict.FAIL.value:
            details |= came_to_todo(machines[-1])
        if machines and call.when == "call":
            details["facts"] = facts(machines[-1])
            if details["verdict"] == Verdict.BUDGET.value:
                self.looking = True
                slept = quiescence.beside_a_queue(machines[-1])
                words = (details["observed"], exits.repeated(machines[-1]))
                # A kick may have been under way; by now it would have arrived.
                still = [text for text in quiescence.beside_a_queue(machines[-1]) if text in slept]
                details["observed"] = "; ".join(filter(None, (*words, *still)))
                self.looking = False
        report.user_properties = [*report.user_properties, ("finding", cut(details))]


def cut(details: dict[str, Any]) -> dict[str, Any]:
    """The same with an end to each line: a symbol's name may be as long as its file."""
    def end(text: str) -> str:
        return text if len(text) <= LINE_MAX else text[:LINE_MAX] + "…"

    return {key: end(value) if isinstance(value, str) else
            [end(line) for line in value] if key == "where" else value
            for key, value in details.items()}


def wants_more(item: pytest.Item) -> bool:
    """Whether a passed test is worth running on another seed."""
    return item.stash[RUN]["uses_seed"] and item.get_closest_marker("seed_of_its_own") is None


def came_to_todo(machine: Machine) -> dict[str, str]:
    """Whatever a test has missed, at an unwritten exercise the machine had come to its end."""
    try:
        crashed = ORACLE.crash(machine)
    except (GdbError, Finding, LookupError, ValueError):
        return {}
    if crashed is None or crashed[0] is not Verdict.TODO:
        return {}
    return {"verdict": crashed[0].value, "observed": crashed[1], "expected": ""}


def facts(machine: Machine) -> dict[str, int]:
    """Numbers of the standing machine; what cannot be read is not there."""
    found: dict[str, int] = {}
    for name in FACTS:
        try:
            found[name] = machine.register(name)
        except (GdbError, Finding, ValueError):  # ValueError: the test has ended its machine
            continue
    if "PSTATE" in found:
        found["EL"] = found["PSTATE"] >> 2 & 3
    for name in ("image_start", "image_end", "text_end", "vectors"):
        if name in machine.symbols:
            found[name] = machine.symbols[name]
    try:
        found["vcpu"] = Objects(machine).cpu(0).get("vcpu")
    except (GdbError, Finding, LookupError, ValueError):
        pass
    try:
        report = crash.read(machine)
    except ValueError:
        report = None
    if report is not None:
        found |= {"crash_kind": int(report.kind), "crash_esr": report.esr, "crash_elr": report.elr,
                  "crash_far": report.far, "crash_sp": report.sp, "crash_vector": report.vector}
    return found


class Reporter:
    """Where results arrive: writes each as a line."""

    def __init__(self, told: Options) -> None:
        self.told = told
        target = told.results
        self.out: IO[str] = (os.fdopen(int(target), "w") if target.isdigit()
                             else open(target, "a", encoding="utf-8"))
        self.turn = tempfile.TemporaryFile()
        self.spent: dict[str, float] = {}
        self.collected: list[str] = []
        self.todo: list[str] = []  # what would end in TODO, whatever its machine does

    def write(self, **values: Any) -> None:
        """A whole line, whoever else writes: a pipe takes a long one in pieces."""
        fcntl.lockf(self.turn, fcntl.LOCK_EX)
        self.out.write(json.dumps(values) + "\n")
        self.out.flush()
        fcntl.lockf(self.turn, fcntl.LOCK_UN)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Of what the worker has picked."""
        self.collected = [item.nodeid for item in items]
        self.todo = unwritten_tests(self.collected, self.told.unwritten)
        items[:] = [item for item in items if item.nodeid not in self.todo]

    def pytest_collection_finish(self) -> None:
        if self.collected:
            self.write(kind="collected", tests=self.collected)
        for test in self.todo:
            self.write(kind="result", test=test, verdict=Verdict.TODO.value)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.write(kind="broken", what=f"{report.nodeid} cannot be read",
                       text=report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        seconds = self.spent.get(report.nodeid, 0.0) + report.duration
        self.spent[report.nodeid] = seconds
        found = dict(report.user_properties).get("finding")
        if report.when == "call" or report.failed:
            details = found if isinstance(found, dict) else {}
            plain = Verdict.PASS if report.passed else Verdict.ERROR
            verdict = details.pop("verdict", plain.value)
            known = dict(report.user_properties)
            measured = {str(pair[0]): pair[1] for key, pair in report.user_properties
                        if key == "measured" and isinstance(pair, (list, tuple))}
            if measured:
                details["measured"] = measured
            if self.told.measure:
                details["properties"] = known.get("properties", [])
            self.write(kind="result", test=report.nodeid, verdict=verdict,
                       seconds=round(seconds, 3),
                       instructions=known.get("instructions", 0), **details)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        nothing_left = self.todo and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        self.write(kind="end", status=0 if nothing_left else int(exitstatus))


def unwritten_tests(nodeids: list[str], unwritten: tuple[str, ...]) -> list[str]:
    """Which of these tests prove one of these exercises, of which nothing is written."""
    if not unwritten:
        return []
    course = load_course()
    proves = assign(course.lab(course.exercise(unwritten[0]).lab), nodeids)
    return [nodeid for nodeid in nodeids
            if (exercise := proves.get(short(nodeid))) and exercise.id in unwritten]


def pytest_configure(config: pytest.Config) -> None:
    told = Options.of(config)
    config.pluginmanager.register(Worker(told), "strata-worker")
    config.pluginmanager.register(Reporter(told), "strata-reporter")
    config.pluginmanager.register(Workers(told.workers), "strata-workers")
