# SPDX-License-Identifier: MIT
"""The lines "RESULT name n=... med=..." that a measured guest prints (guests/lib/bench_rows.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.bars import Bar, Result
from bench.run import Outcome
from tools.errors import UserError

ROW = re.compile(r"RESULT (\w+) n=(\d+) min=(-?\d+) med=(-?\d+) "
                 r"mean=(-?[\d.]+) p99=(-?\d+) max=(-?\d+)")


@dataclass(frozen=True)
class Row:
    """What many samples of one quantity were, the empty cost subtracted."""

    samples: int
    minimum: int
    median: int
    mean: float
    p99: int
    maximum: int

    def against(self, bar: Bar, machine: str) -> Result:
        return Result(bar, machine, self.median, {
            "samples": self.samples, "min": self.minimum, "mean": self.mean, "p99": self.p99,
            "max": self.maximum})


SUM = re.compile(r"SUM (\w+) (sent|received) n=(\d+) sum=(\d+)")


def rows_of(console: str, who: str) -> dict[str, Row]:
    """All rows of a console by name, those among them that two machines' sums make together."""
    rows = {}
    for name, count, low, median, mean, p99, high in ROW.findall(console):
        rows[name] = Row(int(count), int(low), int(median), float(mean), int(p99), int(high))
    sums = {(name, side): (int(count), int(total))
            for name, side, count, total in SUM.findall(console)}
    for (name, side), (count, sent) in sums.items():
        if side == "sent" and (name, "received") in sums:
            mean = (sums[name, "received"][1] - sent) / count
            whole = round(mean)  # of sums nothing but the mean is known
            rows[name] = Row(count, whole, whole, round(mean, 1), whole, whole)
    if not rows:
        raise UserError(f"{who}: the payload gave no row: {console[-400:]}")
    return rows


def read_rows(outcome: Outcome, *needed: str) -> dict[str, Row]:
    """The rows by name; each of `needed` is there."""
    rows = {}
    for name, count, low, median, mean, p99, high in ROW.findall(outcome.console):
        rows[name] = Row(int(count), int(low), int(median), float(mean), int(p99), int(high))
    for name in needed:
        if name not in rows:
            raise UserError(f"the measured guest gave no row {name}: {outcome.console[-400:]}")
    return rows
