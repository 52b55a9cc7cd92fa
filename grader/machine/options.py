# SPDX-License-Identifier: MIT
"""What a run of tests is told: the options of pytest that are ours, in one object.

    python3 -m pytest grader/tests/lab02 --impl=labs --qemu=/opt/qemu/bin/qemu-system-aarch64

`make test` and `make debug TEST=` give those that make has variables for, grading/run.py gives a
graded run its own. No environment variable means anything to a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Options:
    """Each field is an option: gdb_log is --gdb-log, seeds=(1, 2) is --seeds=1 --seeds=2."""

    build: str = _option("build", "directory in which images are built")
    impl: str = _option("solution", "whose layers are tested: solution or labs")
    base: str = _option("own", "reference: the layers below are the solution's")
    qemu: str = _option("qemu-system-aarch64", "the emulator, as QEMU= of make")
    seeds: tuple[int, ...] = _option(
        (1,), "numbers that probes compute with; a graded test is as good as on its worst seed")
    full: bool = _option(False, "test on all machines what is tested on some otherwise")
    gdb_log: bool = _option(False, "keep the talk with GDB as gdb.log in the test's directory")
    # Of a graded run.
    prebuilt: bool = _option(
        False, "build nothing: a submission is never built by the process that judges it")
    select: tuple[str, ...] = _option(
        (), "tests that are run (patterns as in grading/plan.py); none: all")
    unwritten: tuple[str, ...] = _option(
        (), "exercises of which nothing is written: their tests are not run, and end in TODO")
    results: str = _option("", "file descriptor or path that results go to, one JSON object a line")
    patience: int = _option(
        0, "how many times the solution's instructions a machine may take; 0: grading/budgets.py")
    workers: int = _option(0, "processes that share the tests; 0: the first runs them all")
    measure: bool = _option(
        False, "whatever properties the probes have, they are right, and are noted")

    @property
    def seed(self) -> int:
        return self.seeds[0]

    def arguments(self) -> Iterator[str]:
        """The words of pytest's command line that say this."""
        for option in fields(self):
            value = getattr(self, option.name)
            if value == option.default:
                continue
            name = _name(option.name)
            if value is True:
                yield name
            else:
                values = value if isinstance(value, tuple) else (value,)
                yield from (f"{name}={one}" for one in values)

    @classmethod
    def of(cls, config: pytest.Config) -> Options:
        given: dict[str, Any] = {}
        for option in fields(cls):
            value = config.getoption(_dest(option.name))
            if value is not None:
                given[option.name] = tuple(value) if isinstance(value, list) else value
        return cls(**given)


def _name(field_name: str) -> str:
    return "--" + field_name.replace("_", "-")


def _dest(field_name: str) -> str:
    return f"strata_{field_name}"


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("strata", "the machine under test")
    for option in fields(Options):
        kind: dict[str, Any] = {"type": type(option.default)}
        if isinstance(option.default, bool):
            kind = {"action": "store_true", "default": None}
        elif isinstance(option.default, tuple):
            kind = {"action": "append", "type": int if option.default else str}
        group.addoption(_name(option.name), dest=_dest(option.name), help=option.metadata["help"],
                        **kind)


_current = Options()


def current() -> Options:
    """What this process was told."""
    return _current


def use(told: Options) -> None:
    global _current
    _current = told
