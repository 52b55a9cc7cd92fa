# SPDX-License-Identifier: MIT
"""What exits, switches and interrupts cost, against what is recorded (bench/counts.json)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import gate
from bench.run import Setup
from grader.machine import images, options


def test_no_row_costs_more_than_recorded() -> None:
    """Counts are exact, so 2 % is not noise: it is a longer path. Who wants it records it."""
    before = gate.recorded().get(gate.compiler())
    if before is None:
        pytest.skip(f"nothing is recorded for {gate.compiler()}; {gate.COMMAND} does it")
    image = images.hypervisor(6, "solution").binary
    for name in ("bench", "payload"):
        images.guest(name)
    setup = Setup(images.build_directory(), image, options.current().qemu, "bench")
    risen = gate.risen(before, gate.measure(setup))
    assert not risen, "\n".join([*risen, f"if that is meant to be: {gate.COMMAND}"])


@pytest.mark.parametrize(("now", "lines"), [
    ({"a": 102, "b": 7}, []), ({"a": 90, "b": 7}, []),
    ({"a": 103, "b": 7}, ["a: 100 before, 103 now (+3.0 %)"]),
    ({"a": 100}, ["b: no longer measured"]),
    ({"a": 100, "b": 7, "c": 1}, ["c: not in the record"])])
def test_a_risen_cost_is_named_with_before_and_after(now: dict[str, int], lines: list[str]) -> None:
    assert gate.risen({"a": 100, "b": 7}, now) == lines


def test_the_record_is_where_the_gate_looks() -> None:
    assert gate.RECORD == Path(gate.__file__).parent / "counts.json"
    assert all(counts for counts in gate.recorded().values())
