# SPDX-License-Identifier: MIT
"""Stage 2: VTCR_EL2, VTTBR_EL2 and what its leaf descriptors say (4 KiB granule)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from grader.oracle.decode.fields import bit, bits
from grader.oracle.decode.table import ReadWords, Table, Walk, level_shift

PA_SIZES = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48, 6: 52}
CACHEABILITY = {
    0: "non-cacheable",
    1: "write-back",
    2: "write-through",
    3: "write-back no write-alloc",
}
SHAREABILITY = {0: "non-shareable", 1: "reserved", 2: "outer shareable", 3: "inner shareable"}
GRANULES = {0: 4, 1: 64, 2: 16}

_DEVICE = {0: "Device-nGnRnE", 1: "Device-nGnRE", 2: "Device-nGRE", 3: "Device-GRE"}
_CACHE = {1: "non-cacheable", 2: "write-through", 3: "write-back"}
_FORCED = {5: "Normal, forced non-cacheable", 6: "Normal, forced write-back", 7: "as stage 1 says"}


@dataclass(frozen=True)
class Vtcr:
    """VTCR_EL2, Virtualization Translation Control Register."""

    value: int

    @property
    def t0sz(self) -> int:
        return bits(self.value, 5, 0)

    @property
    def input_bits(self) -> int:
        """Width of the guest-physical address space."""
        return 64 - self.t0sz

    @property
    def start_level(self) -> int:
        """SL0 for the 4 KiB granule: 0 -> level 2, 1 -> level 1, 2 -> level 0."""
        return 2 - bits(self.value, 7, 6)

    @property
    def inner(self) -> int:
        return bits(self.value, 9, 8)

    @property
    def outer(self) -> int:
        return bits(self.value, 11, 10)

    @property
    def shareability(self) -> int:
        return bits(self.value, 13, 12)

    @property
    def granule_kib(self) -> int:
        return GRANULES.get(bits(self.value, 15, 14), 0)

    @property
    def output_bits(self) -> int:
        return PA_SIZES.get(bits(self.value, 18, 16), 0)

    @property
    def vmid_bits(self) -> int:
        return 16 if bit(self.value, 19) else 8

    @property
    def root_tables(self) -> int:
        """How many concatenated tables the root is: 1 to 16."""
        return 1 << max(0, self.input_bits - level_shift(self.start_level) - 9)

    @property
    def problem(self) -> str:
        """Why hardware could not use this configuration; empty when it can.

        Arm ARM, "Concatenated translation tables" and "Stage 2 start level": the first lookup
        resolves at least one bit and at most four more than a table of 512 entries does.
        """
        if self.granule_kib != 4:
            return f"granule {self.granule_kib or 'reserved'} KiB, 4 expected"
        if self.start_level < 0:
            return "SL0 is reserved"
        if not bit(self.value, 31):
            return "RES1 bit 31 is clear"
        index_bits = self.input_bits - level_shift(self.start_level)
        if not 1 <= index_bits <= 13:
            return f"T0SZ {self.t0sz} cannot start at level {self.start_level}"
        if self.output_bits == 0:
            return "PS is reserved"
        return ""

    def __str__(self) -> str:
        return (
            f"{self.value:#x} T0SZ={self.t0sz} ({self.input_bits}-bit IPA),"
            f" start level {self.start_level}, {self.root_tables} root tables,"
            f" walks {CACHEABILITY[self.inner]}/{CACHEABILITY[self.outer]}"
            f" {SHAREABILITY[self.shareability]}, {self.granule_kib} KiB granule,"
            f" {self.output_bits}-bit PA, {self.vmid_bits}-bit VMID"
            + (f"; PROBLEM: {self.problem}" if self.problem else "")
        )


@dataclass(frozen=True)
class Vttbr:
    """VTTBR_EL2, Virtualization Translation Table Base Register."""

    value: int

    @property
    def vmid(self) -> int:
        return bits(self.value, 63, 48)

    @property
    def root(self) -> int:
        return bits(self.value, 47, 1) << 1

    def __str__(self) -> str:
        return f"{self.value:#x} VMID={self.vmid}, root {self.root:#x}"


def memory_type(attributes: int, fwb: bool = False) -> str:
    """MemAttr[3:0]; `fwb`: as HCR_EL2.FWB (FEAT_S2FWB) has it."""
    if fwb:
        return {**_DEVICE, **_FORCED}.get(attributes, "reserved")
    outer, inner = bits(attributes, 3, 2), bits(attributes, 1, 0)
    if outer == 0:
        return _DEVICE[inner]
    if inner == 0:
        return "reserved"
    return f"Normal, inner {_CACHE[inner]}, outer {_CACHE[outer]}"


@dataclass(frozen=True)
class Leaf:
    """Attributes of a stage-2 block or page descriptor; `fwb`: HCR_EL2.FWB is set for the guest."""

    descriptor: int
    fwb: bool = False

    @property
    def attributes(self) -> int:
        return bits(self.descriptor, 5, 2)

    @property
    def readable(self) -> bool:
        return bool(bit(self.descriptor, 6))

    @property
    def writable(self) -> bool:
        return bool(bit(self.descriptor, 7))

    @property
    def shareability(self) -> int:
        return bits(self.descriptor, 9, 8)

    @property
    def access_flag(self) -> bool:
        return bool(bit(self.descriptor, 10))

    @property
    def execute_never(self) -> int:
        """XN[1:0]; XN[0] (bit 53) is RES0 without FEAT_XNX."""
        return bits(self.descriptor, 54, 53)

    @property
    def executable(self) -> bool:
        """At EL1 or EL0 or both."""
        return self.execute_never != 0b10

    @property
    def is_device(self) -> bool:
        return self.attributes in _DEVICE if self.fwb else bits(self.attributes, 3, 2) == 0

    @property
    def type(self) -> str:
        return memory_type(self.attributes, self.fwb)

    def __str__(self) -> str:
        rights = "".join(
            letter if allowed else "-"
            for letter, allowed in (
                ("r", self.readable),
                ("w", self.writable),
                ("x", self.executable),
            )
        )
        flag = "" if self.access_flag else ", ACCESS FLAG CLEAR"
        return f"{rights} {self.type}, {SHAREABILITY[self.shareability]}{flag}"


class Stage2:
    """A VM's guest-physical address space, from its registers; `fwb`: HCR_EL2.FWB."""

    def __init__(self, vtcr: int, vttbr: int, read: ReadWords, fwb: bool = False) -> None:
        self.fwb = fwb
        self.vtcr = Vtcr(vtcr)
        self.vttbr = Vttbr(vttbr)
        if self.vtcr.start_level < 0 or self.vtcr.granule_kib != 4:
            raise ValueError(f"VTCR_EL2 cannot be walked: {self.vtcr}")
        self.table = Table(self.vttbr.root, self.vtcr.start_level, self.vtcr.input_bits, read)

    def walk(self, ipa: int) -> Walk:
        return self.table.walk(ipa)

    def leaf(self, walk: Walk) -> Leaf:
        """Attributes of what a walk has found."""
        return Leaf(walk.descriptor, self.fwb)

    def leaves(self) -> Iterator[tuple[Walk, Leaf]]:
        for walk in self.table.leaves():
            yield walk, self.leaf(walk)
