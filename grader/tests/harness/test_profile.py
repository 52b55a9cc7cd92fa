# SPDX-License-Identifier: MIT
"""Where the instructions of an exit go: calls followed from outside, nothing lost or told twice."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.profile import Flame, Profile, counterpart, profile, read_profile
from bench.run import Setup
from grader.machine import images
from grader.machine.symbols import Symbols

CALL = 2  # of the guest's own: mov and hvc


def image(lab: int = 6) -> Path:
    return images.build_directory() / f"solution-lab0{lab}" / "strata.bin"


@pytest.fixture(scope="module")
def hypercalls(tmp_path_factory: pytest.TempPathFactory, qemu: str) -> list[Profile]:
    build = tmp_path_factory.mktemp("build")
    (build / "guests").symlink_to(images.build_directory().resolve() / "guests")
    return profile(Setup(build, image(), qemu), "cortex-a76", "hypercall")


def test_all_instructions_of_an_exit_are_told(hypercalls: list[Profile]) -> None:
    """What the guest's clock counts is what the functions' instructions add up to."""
    for one in hypercalls:
        exits, = one.exits
        assert exits.reason == "HVC"
        assert exits.insns + CALL == one.median
        assert sum(exits.addresses.values()) == sum(exits.by_function().values())


def test_calls_lead_from_the_vector_to_the_handler(hypercalls: list[Profile]) -> None:
    found = {one.row.name: {path for path in one.exits[0].paths} for one in hypercalls}
    for name, handler in (("hypercall", "smccc_version"), ("hypercall_psci", "psci_version")):
        path = next(path for path in found[name] if path[-1] == handler)
        assert path[0] == "vectors" and path[1] == "trap_dispatch"
    assert ("vectors", "guest_return") in found["hypercall"]  # behind the call, not inside it


def test_an_image_is_compared_with_another(hypercalls: list[Profile]) -> None:
    exits = hypercalls[0].exits
    assert counterpart(exits[0], exits) is exits[0]
    assert counterpart(exits[0], []) is None


@pytest.fixture
def sections() -> Iterator[list[list[object]]]:
    symbols = Symbols(image().with_suffix(".elf"))
    vector, trap = symbols["vectors"] + 0x400, symbols["trap_dispatch"]
    text = (f"exit 0 0x400 {0x16 << 26:#x} 0 2 14\ncall 0 0 0x0\ncall 1 0 {trap:#x}\n"
            f"block 0 0 {vector:#x} 3 2\nblock 0 1 {trap:#x} 4 2\nrow\n"
            f"exit 0 0x480 0x0 1 0 5\nblock 0 0 {vector:#x} 5 1\nrow\n")
    yield [list(row) for row in read_profile(text, symbols)]


def test_rows_are_read_apart(sections: list[list[object]]) -> None:
    """An exit that had not ended when its row did is no exit of it."""
    first, second = sections
    exits, = first
    assert getattr(exits, "paths") == {("vectors",): 6, ("vectors", "trap_dispatch"): 8}
    assert getattr(exits, "insns") == 7
    assert not second


def test_a_flame_is_as_wide_as_its_instructions(hypercalls: list[Profile]) -> None:
    flame = Flame("<title>")
    flame.add("one row", hypercalls[0].exits[0])
    drawn = flame.draw()
    assert "&lt;title&gt;" in drawn and "<script" not in drawn
    widths = {name: float(width) for name, width in re.findall(
        r'<title>([\w ,.]+): [\d.]+ instructions</title><rect [^>]*?width="([\d.]+)"', drawn)}
    whole = hypercalls[0].exits[0].insns
    own = sum(insns for path, insns in hypercalls[0].exits[0].paths.items()
              if "trap_dispatch" in path) / hypercalls[0].exits[0].times
    assert widths["one row"] == widths["HVC, CPU 0"] == pytest.approx(Flame.WIDTH, abs=1)
    assert widths["trap_dispatch"] == pytest.approx(Flame.WIDTH * own / whole, abs=1)
    assert f">trap_dispatch: {own:,.0f}<" in drawn


def test_exits_of_two_rows_stand_side_by_side(hypercalls: list[Profile]) -> None:
    flame = Flame("title")
    for row in ("one row", "another"):
        flame.add(row, hypercalls[0].exits[0])
    frames = re.findall(r'<title>HVC, CPU 0: [^<]*</title><rect [^>]*?width="([\d.]+)"',
                        flame.draw())
    assert [float(width) for width in frames] == pytest.approx(2 * [Flame.WIDTH / 2], abs=1)


def test_a_benchmark_must_be_named(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "bench.profile", "--image", str(image())],
                          capture_output=True, text=True)
    assert done.returncode == 2 and "--benchmark" in done.stderr
