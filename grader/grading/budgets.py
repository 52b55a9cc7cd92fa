# SPDX-License-Identifier: MIT
"""Instruction budgets: how long the solution takes for each test, and how long others may take.

grader/grading/budgets.json is generated (`python3 -m grader.grading.grade --lab n --impl solution
--measure`); a test checks that the solution still takes about as many instructions. A test that the
file does not list has the budget that it asks for itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from grader.grading.plan import short
from grader.machine import options
from tools.files import write_atomically

FILE = Path(__file__).resolve().parent / "budgets.json"
TIMES = 20
LEAST = 250_000  # in place of a smaller count: a test that ends at once may be failed with some ado
# So far a count may move before the file is to be made anew: a fifth of what a test may take.
# Emulators differ by 1.6; when one of several CPUs has its turn, and how long one that only waits
# spins until then, is the emulator's choice.
DRIFT = TIMES / 5


@cache
def measured() -> dict[str, int]:
    return dict(json.loads(FILE.read_text("utf-8"))) if FILE.exists() else {}


def most(nodeid: str) -> int:
    """Instructions that a machine of this test may run for; 0 when nothing was measured."""
    count = measured().get(short(nodeid), 0)
    return max(LEAST, count) * (options.current().patience or TIMES) if count else 0


def rounded(count: int) -> int:
    """Two significant digits: the file changes when a cost does, not with every instruction."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit


def write(counts: Mapping[str, int]) -> None:
    """Replace what is known of these tests; those of the same files that are gone leave it."""
    files = {name.split("::")[0] for name in counts}
    kept = {name: count for name, count in measured().items() if name.split("::")[0] not in files}
    known = {**kept, **{name: rounded(count) for name, count in counts.items()}}
    write_atomically(FILE, json.dumps(known, indent=1, sort_keys=True) + "\n")
    measured.cache_clear()


def drifted(counts: Mapping[str, int]) -> list[str]:
    """Where the solution takes clearly more or less than the file says, or a test is not in it."""
    known = measured()
    return sorted(f"{name}: {count} instructions, budgets.json says {known.get(name, 0)}"
                  for name, count in counts.items() if count > 1_000_000
                  and not known.get(name, 0) / DRIFT <= count <= known.get(name, 0) * DRIFT)
