# SPDX-License-Identifier: MIT
"""Which locks EL2 takes while it holds which, and the order that docs/architecture.md gives them.

Two CPUs that take the same two locks in different orders wait for each other for ever, if they do
it at the same time, which no test can wait for. But each of the two orders shows by itself: a
plugin of the emulator writes down every lock that is taken while its CPU holds another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grader.machine import images
from grader.machine.budget import build_plugin
from grader.machine.symbols import Symbols, symbols_of
from grader.machine.verdict import Finding, Verdict
from tools.qemu import option_value

# docs/architecture.md, "Lock order", by the names in struct spinlock: the locks that may be taken
# while one is held, and so may what stands inside those.
INSIDE = {
    "power": ("vtimer", "device"),
    "vtimer": ("vgic",),
    "device": ("vgic", "stage2", "smmu", "console"),
    "vgic": ("run queue", "pci"),
    "stage2": ("page_alloc", "VMID"),
    "smmu": ("pci", "console"),
    "pci": ("deadlines",),
    "console": ("deadlines",),
    "run queue": ("deadlines",),
    "page_alloc": ("deadlines",),
    "deadlines": (),
    "VMID": (),
}


@dataclass(frozen=True)
class Pair:
    """The lock `inner` was taken at `pc` while its CPU held `outer`."""

    outer: str
    inner: str
    pc: int


def may_be_inside(outer: str) -> set[str]:
    """The locks that may be taken while this one is held."""
    found: set[str] = set()
    new = set(INSIDE.get(outer, ()))
    while new:
        found |= new
        new = {inner for lock in new for inner in INSIDE[lock]} - found
    return found


def plugin_arguments(qemu: str, elf: Path, ram_bytes: int, out: Path) -> tuple[str, ...]:
    """QEMU's arguments that have the pairs of this image's locks written to `out`."""
    symbols = symbols_of(elf)
    plugin = build_plugin(qemu, images.build_directory() / "grader", "locks")
    return ("-plugin", f"{option_value(plugin)},out={option_value(out)},ram={ram_bytes:#x}"
            + "".join(f",{name}={symbols[name]:#x}" for name in ("image_start", "image_end")))


def read_pairs(out: Path) -> list[Pair]:
    lines = (line.split("\t") for line in out.read_text("utf-8").splitlines())
    return [Pair(outer, inner, int(pc, 0)) for outer, inner, pc in lines]


def expect_order(pairs: list[Pair], symbols: Symbols) -> None:
    """FAIL when one of these pairs is not in the order, or is twice the same kind of lock."""
    for pair in pairs:
        if pair.inner not in may_be_inside(pair.outer):
            raise Finding(
                Verdict.FAIL,
                "locks are taken in the order of docs/architecture.md",
                observed=f"{pair.inner} is taken while {pair.outer} is held, "
                         f"at {symbols.place(pair.pc) or hex(pair.pc)}",
                expected=f"inside {pair.outer} only "
                         + (", ".join(sorted(may_be_inside(pair.outer))) or "nothing"),
            )
