# SPDX-License-Identifier: MIT
"""EL2's own stage 1 with HCR_EL2.E2H = 0: TCR_EL2, MAIR_EL2, leaf descriptors (4 KiB granule)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from grader.oracle.decode.fields import bit, bits
from grader.oracle.decode.stage2 import GRANULES, PA_SIZES, SHAREABILITY
from grader.oracle.decode.table import ReadWords, Table, Walk

SCTLR_M, SCTLR_C, SCTLR_I, SCTLR_WXN = 0, 2, 12, 19


@dataclass(frozen=True)
class Tcr:
    """TCR_EL2, Translation Control Register, E2H = 0 layout."""

    value: int

    @property
    def t0sz(self) -> int:
        return bits(self.value, 5, 0)

    @property
    def input_bits(self) -> int:
        return 64 - self.t0sz

    @property
    def start_level(self) -> int:
        """Stage 1 has no SL0: the level follows from the width of the input address."""
        return 4 - -(-(self.input_bits - 12) // 9)

    @property
    def granule_kib(self) -> int:
        return GRANULES.get(bits(self.value, 15, 14), 0)

    @property
    def output_bits(self) -> int:
        return PA_SIZES.get(bits(self.value, 18, 16), 0)

    def __str__(self) -> str:
        return (
            f"{self.value:#x} T0SZ={self.t0sz} ({self.input_bits}-bit VA),"
            f" start level {self.start_level}, {self.granule_kib} KiB granule,"
            f" {self.output_bits}-bit PA"
        )


def mair_attribute(mair: int, index: int) -> str:
    """Attribute `index` of MAIR_ELx in words."""
    value = mair >> 8 * index & 0xFF
    outer, inner = value >> 4, value & 15
    if outer == 0:
        device = {0: "nGnRnE", 4: "nGnRE", 8: "nGRE", 12: "GRE"}.get(inner & 0b1100, "?")
        return f"Device-{device}"
    return f"Normal, inner {_cache(inner)}, outer {_cache(outer)}"


def _cache(nibble: int) -> str:
    if nibble == 0b0100:
        return "non-cacheable"
    kind = "write-back" if nibble & 0b0100 else "write-through"
    transient = "" if nibble & 0b1000 else " transient"
    return kind + transient


@dataclass(frozen=True)
class Leaf:
    """Attributes of an EL2 stage-1 block or page descriptor."""

    descriptor: int
    mair: int = 0

    @property
    def attribute_index(self) -> int:
        return bits(self.descriptor, 4, 2)

    @property
    def writable(self) -> bool:
        """AP[2] = 0; AP[1] is RES1 in a regime with one privilege level."""
        return not bit(self.descriptor, 7)

    @property
    def access_flag(self) -> bool:
        return bool(bit(self.descriptor, 10))

    @property
    def executable(self) -> bool:
        """XN is bit 54."""
        return not bit(self.descriptor, 54)

    @property
    def shareability(self) -> int:
        return bits(self.descriptor, 9, 8)

    @property
    def type(self) -> str:
        return mair_attribute(self.mair, self.attribute_index)

    @property
    def is_device(self) -> bool:
        return self.type.startswith("Device")

    def __str__(self) -> str:
        rights = f"r{'w' if self.writable else '-'}{'x' if self.executable else '-'}"
        flag = "" if self.access_flag else ", ACCESS FLAG CLEAR"
        return f"{rights} {self.type}, {SHAREABILITY[self.shareability]}{flag}"


class Stage1:
    """EL2's virtual address space, from the registers that define it."""

    def __init__(self, tcr: int, ttbr: int, mair: int, read: ReadWords) -> None:
        self.tcr = Tcr(tcr)
        self.mair = mair
        root = bits(ttbr, 47, 1) << 1
        self.table = Table(root, self.tcr.start_level, self.tcr.input_bits, read)

    def walk(self, address: int) -> Walk:
        return self.table.walk(address)

    def leaf(self, walk: Walk) -> Leaf:
        return Leaf(walk.descriptor, self.mair)

    def leaves(self) -> Iterator[tuple[Walk, Leaf]]:
        for walk in self.table.leaves():
            yield walk, self.leaf(walk)
