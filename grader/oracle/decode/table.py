# SPDX-License-Identifier: MIT
"""VMSAv8-64 translation tables, 4 KiB granule (Arm ARM, "The VMSAv8-64 translation table format").

One walker for both regimes that EL2 sets up; what differs (which bits of a leaf say what) is in
stage1.py and stage2.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from grader.oracle.decode.fields import bits

ReadWords = Callable[[int, int], Sequence[int]]  # so many 64-bit words from an address on

ENTRIES = 512
PAGE = 4096
TABLES_MAX = 16384  # of one root: more than any machine here needs
# OA[47:12] of a descriptor.
ADDRESS_MASK = 0x0000_FFFF_FFFF_F000


def level_shift(level: int) -> int:
    """Position of the first input address bit that an entry of this level maps as offset."""
    return 39 - 9 * level


def level_size(level: int) -> int:
    """Bytes that one entry of this level covers."""
    return 1 << level_shift(level)


@dataclass(frozen=True)
class Step:
    """One descriptor read on the way."""

    level: int
    entry_address: int
    descriptor: int

    def __str__(self) -> str:
        return f"level {self.level} [{self.entry_address:#x}] = {self.descriptor:#018x}"


@dataclass(frozen=True)
class Walk:
    """Result of a walk: the way, and the leaf or the reason why there is none."""

    input: int
    steps: tuple[Step, ...]
    output: int | None
    level: int
    fault: str = ""

    @property
    def descriptor(self) -> int:
        """The last descriptor read: of the leaf when output is not None."""
        return self.steps[-1].descriptor if self.steps else 0

    @property
    def size(self) -> int:
        return level_size(self.level)

    def __str__(self) -> str:
        if self.output is None:
            return f"{self.input:#x}: {self.fault} at level {self.level}"
        return f"{self.input:#x} -> {self.output:#x}, {size_name(self.size)} at level {self.level}"


def size_name(size: int) -> str:
    return {1 << 39: "512 GiB", 1 << 30: "1 GiB block", 1 << 21: "2 MiB block"}.get(
        size, "4 KiB page"
    )


@dataclass(frozen=True)
class Table:
    """A root: its address, the level it stands at, the width of the input address.

    The root of a stage-2 table may be several concatenated tables: the index of the first lookup
    then has more than 9 bits, which needs no other arithmetic than not masking it.
    """

    root: int
    start_level: int
    input_bits: int
    read: ReadWords

    def walk(self, address: int) -> Walk:
        """Translate one input address."""
        if address >> self.input_bits:
            return Walk(address, (), None, self.start_level, "address beyond the input size")
        steps: list[Step] = []
        table = self.root
        for level in range(self.start_level, 4):
            shift = level_shift(level)
            index = address >> shift
            if level > self.start_level:
                index &= ENTRIES - 1
            entry = table + 8 * index
            descriptor = self.read(entry, 1)[0]
            steps.append(Step(level, entry, descriptor))
            kind = bits(descriptor, 1, 0)
            if kind in (0, 2):
                return Walk(address, tuple(steps), None, level, "translation fault")
            if level == 3 or kind == 1:
                return self._leaf(address, tuple(steps), level, kind)
            table = descriptor & ADDRESS_MASK
        raise AssertionError("level 3 always ends a walk")

    def _leaf(self, address: int, steps: tuple[Step, ...], level: int, kind: int) -> Walk:
        if (level == 3) != (kind == 3) or level == 0:
            return Walk(address, steps, None, level, "translation fault (reserved descriptor)")
        size = level_size(level)
        base = steps[-1].descriptor & ADDRESS_MASK & ~(size - 1)
        return Walk(address, steps, base | address & size - 1, level)

    def leaves(self) -> Iterator[Walk]:
        """Every leaf, in ascending order of input address; ValueError when a table holds itself."""
        for _ in self.tables():
            pass
        count = 1 << self.input_bits - level_shift(self.start_level)
        yield from self._leaves(self.root, self.start_level, 0, count, ())

    def _leaves(
        self, table: int, level: int, base: int, count: int, way: tuple[Step, ...]
    ) -> Iterator[Walk]:
        for index, descriptor in self._valid(table, count):
            address = base + (index << level_shift(level))
            steps = (*way, Step(level, table + 8 * index, descriptor))
            if level == 3 or descriptor & 3 == 1:
                yield self._leaf(address, steps, level, descriptor & 3)
            else:
                below = descriptor & ADDRESS_MASK
                yield from self._leaves(below, level + 1, address, ENTRIES, steps)

    def _valid(self, table: int, count: int) -> list[tuple[int, int]]:
        """Index and descriptor of the entries that lead somewhere."""
        return [(index, descriptor) for index, descriptor in enumerate(self.read(table, count))
                if descriptor & 1]

    def tables(self) -> Iterator[int]:
        """Physical address of every 4 KiB table, the root's first; ValueError as leaves()."""
        count = 1 << self.input_bits - level_shift(self.start_level)
        for page in range(max(1, count * 8 // PAGE)):
            yield self.root + page * PAGE
        below = self._tables(self.root, self.start_level, count)
        yield from itertools.islice(below, TABLES_MAX)
        if next(below, None) is not None:
            raise ValueError(f"more than {TABLES_MAX} tables below {self.root:#x}: "
                             "one of them leads back to itself")

    def _tables(self, table: int, level: int, count: int) -> Iterator[int]:
        if level == 3:
            return
        for _, descriptor in self._valid(table, count):
            if descriptor & 3 == 3:
                below = descriptor & ADDRESS_MASK
                yield below
                yield from self._tables(below, level + 1, ENTRIES)
