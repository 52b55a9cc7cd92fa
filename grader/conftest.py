# SPDX-License-Identifier: MIT
"""Fixtures of all tests, and what a failing one prints."""

from __future__ import annotations

import shlex
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from course import questions  # noqa: E402
from course.registry import ROOT, load_course  # noqa: E402
from grader.grading import drift  # noqa: E402
from grader.grading.findings import MACHINES, finding_of, retired  # noqa: E402
from grader.grading.lab import Lab  # noqa: E402
from grader.machine import images, options  # noqa: E402
from grader.machine.launch import MachineConfig  # noqa: E402
from grader.machine.machine import DEFAULT_BUDGET, Machine  # noqa: E402
from grader.machine.verdict import Verdict  # noqa: E402
from grader.oracle.strata import ORACLE  # noqa: E402


@pytest.fixture(scope="session")
def qemu() -> str:
    return options.current().qemu


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number that differs from test to test and with --seeds; the same for the same run."""
    words = f"{options.current().seed} {request.node.name}"
    return zlib.crc32(words.encode()) << 20 | 1


@pytest.fixture
def start(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[MachineConfig], Machine]]:
    """Starts machines that end with the test."""
    machines = request.node.stash.setdefault(MACHINES, [])
    log = tmp_path / "gdb.log" if options.current().gdb_log else None
    with ExitStack() as stack:

        def run(config: MachineConfig) -> Machine:
            machine = stack.enter_context(Machine(config, ORACLE, log))
            machines.append(machine)
            return machine

        yield run
    machines.clear()


@pytest.fixture
def start_selftest(start: Callable[[MachineConfig], Machine], qemu: str) -> Callable[..., Machine]:
    """Starts one of the grader's own images by name."""

    def run(name: str, **options: object) -> Machine:
        image = images.selftest(name)
        settings = {"memory_mib": 256, "build": images.build_directory(), "qemu": qemu, **options}
        return start(MachineConfig(image=image.binary, elf=image.elf,
                                   **settings))  # type: ignore[arg-type]

    return run


MakeLab = Callable[..., Lab]
LABS = tuple(lab.number for lab in load_course().labs)
WHOLE = LABS[-1]  # the image with every layer


@pytest.fixture(params=[3, 2], ids=["gicv3", "gicv2"])
def gic(request: pytest.FixtureRequest) -> int:
    """Both interrupt controllers, for tests in which it can matter."""
    return int(request.param)


def on_gics(probes: Sequence[str], both: Sequence[str]) -> list[ParameterSet]:
    """Values of (gic, probe): all probes on GICv3, and on GICv2 those to which it can matter."""
    return [
        pytest.param(gic, probe, id=f"gicv{gic}-{probe}")
        for gic in (3, 2)
        for probe in (probes if gic == 3 else both)
    ]


@pytest.fixture
def make_lab(
    start: Callable[[MachineConfig], Machine],
    tmp_path: Path,
    qemu: str,
    seed: int,
    request: pytest.FixtureRequest,
) -> MakeLab:
    def make(number: int, gic: int = 3) -> Lab:
        return Lab(start, tmp_path, qemu, seed, gic, number, request.node.nodeid)

    return make


@pytest.fixture
def lab(request: pytest.FixtureRequest, make_lab: MakeLab) -> Lab:
    """The lab of the module (`LAB = n` in it), on the GIC of the `gic` fixture if it is used."""
    gic_version = request.getfixturevalue("gic") if "gic" in request.fixturenames else 3
    return make_lab(request.module.LAB, gic_version)


Measured = Callable[..., None]


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Notes numbers that the lab's questions ask for; the solution's answers must be these."""
    number = request.module.LAB

    def note(**values: int) -> None:
        request.node.user_properties += [("measured", (name, value))
                                         for name, value in values.items()]
        run = options.current()
        if not run.results and run.impl == "solution":
            lab = load_course().lab(number)
            answers = questions.read_file(ROOT / "solution" / lab.directory / questions.FILE, lab)
            assert not answers.error
            for question in lab.questions:
                if question.id in values:
                    told, found = answers.values[question.id], values[question.id]
                    assert questions.is_right(question, told, found), (question.id, told, values)

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    options.use(options.Options.of(config))
    # Debian 13's libfdt, made by a SWIG that its Python does not like.
    config.addinivalue_line("filterwarnings",
                            "ignore:builtin type .* has no __module__ attribute:DeprecationWarning")
    config.addinivalue_line("markers", "seed_of_its_own: the same test runs on other machines, on"
                            " each of them with another seed: a graded run gives it no second one")
    if not hasattr(config, "workerinput") and drift.applies():
        config.pluginmanager.register(drift.Drift(), "strata-drift")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A Finding is printed as what it says, without a traceback, and with a way to see it."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    finding = finding_of(item, call)
    if report.when == "call":
        verdict = Verdict.PASS if report.passed else Verdict.FAIL
        report.user_properties.append(("verdict", verdict.value))
        machines: list[Machine] = item.stash.get(MACHINES, [])
        if machines:
            report.user_properties.append(("instructions", max(map(retired, machines))))
    if finding is None:
        return
    kept = [pair for pair in report.user_properties if pair[0] != "verdict"]
    report.user_properties = [*kept, ("verdict", finding.verdict.value)]
    machines = item.stash.get(MACHINES, [])
    if not finding.where and machines:
        finding.where = machines[-1].where()
    variables = [f"SEED={options.current().seed}"] if options.current().seed != 1 else []
    nodeid = item.nodeid if item.nodeid.startswith("grader/") else f"grader/{item.nodeid}"
    line = " ".join(["make debug", f"TEST={shlex.quote(nodeid)}", *variables])
    report.longrepr = f"{finding}\n  reproduce: {line}"


__all__ = ["DEFAULT_BUDGET", "LABS", "WHOLE", "Lab", "MakeLab", "Measured"]
