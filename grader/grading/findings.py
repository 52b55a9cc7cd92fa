# SPDX-License-Identifier: MIT
"""What the end of a test says: about the machine, or about the grader alone."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from grader.machine.gdb_client import GdbError
from grader.machine.machine import Machine
from grader.machine.verdict import Finding, Verdict

MACHINES = pytest.StashKey[list[Machine]]()  # of a test, in the order in which they were started

# What reading a machine in a state that the test did not think of may raise.
UNREADABLE = (LookupError, ArithmeticError, ValueError, TypeError, AttributeError,
              struct.error, GdbError)


def finding_of(item: pytest.Item, call: pytest.CallInfo[None]) -> Finding | None:
    """What a test's exception says about the machine; None when it speaks about the grader alone.

    The tests pass on the solution: one that stumbles does so over what it found in the machine.
    """
    error = call.excinfo.value if call.excinfo else None
    machines: list[Machine] = item.stash.get(MACHINES, [])
    if error is None or (isinstance(error, Finding) and error.verdict is not Verdict.ERROR):
        return error
    if isinstance(error, (Finding, *UNREADABLE)) and call.when == "call" and machines:
        failure = machines[-1].emulator_failure()
        if failure is not None:
            return failure
    if isinstance(error, UNREADABLE) and call.when == "call" and machines:
        assert call.excinfo is not None
        last = call.excinfo.traceback[-1]
        return Finding(
            Verdict.FAIL,
            "the machine is in a state that the test can make sense of",
            observed=f"{type(error).__name__}: {error}",
            where=[f"{Path(last.path).name}:{last.lineno + 1} stumbled", *machines[-1].where()],
        )
    return error if isinstance(error, Finding) else None


def retired(machine: Machine) -> int:
    """Instructions of a machine; 0 when the test has ended it."""
    try:
        return machine.budget.retired
    except ValueError:
        return 0
