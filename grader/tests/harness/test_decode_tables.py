# SPDX-License-Identifier: MIT
"""Translation tables built by hand in a dictionary, and the registers that describe them."""

from __future__ import annotations

import pytest

from grader.oracle.decode import stage1
from grader.oracle.decode.stage2 import Leaf, Stage2, Vtcr, Vttbr
from grader.oracle.decode.table import Table

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

# VTCR_EL2 of a 32-bit IPA space: T0SZ=32, SL0=0 (level 2), walks write-back and inner shareable,
# 4 KiB granule, PS=40 bits.
VTCR_32 = 1 << 31 | 2 << 16 | 0 << 14 | 3 << 12 | 1 << 10 | 1 << 8 | 0 << 6 | 32

# Attributes of an ordinary page of a guest: AF, SH=inner, S2AP=rw, MemAttr=1111.
RAM = 1 << 10 | 3 << 8 | 3 << 6 | 0b1111 << 2
TABLE, PAGE, BLOCK = 3, 3, 1


class Memory(dict[int, int]):
    """Physical memory that is zero where nothing was written."""

    def __missing__(self, key: int) -> int:
        return 0

    def read(self, address: int, count: int) -> list[int]:
        assert address % 8 == 0
        return [self[address + 8 * index] for index in range(count)]


def test_vtcr_fields() -> None:
    vtcr = Vtcr(VTCR_32)
    assert vtcr.input_bits == 32
    assert vtcr.start_level == 2
    assert vtcr.root_tables == 4  # 2^32 / 2 MiB = 2048 entries
    assert vtcr.granule_kib == 4
    assert vtcr.output_bits == 40
    assert vtcr.vmid_bits == 8
    assert vtcr.problem == ""


@pytest.mark.parametrize(
    ("t0sz", "sl0", "start", "roots"),
    [
        (25, 1, 1, 1),
        (24, 1, 1, 2),
        (21, 1, 1, 16),
        (20, 2, 0, 1),
        (16, 2, 0, 1),
        (34, 0, 2, 1),
        (30, 0, 2, 16),
    ],
)
def test_start_level_and_concatenation(t0sz: int, sl0: int, start: int, roots: int) -> None:
    vtcr = Vtcr(VTCR_32 & ~0xFF | sl0 << 6 | t0sz)
    assert (vtcr.start_level, vtcr.root_tables, vtcr.problem) == (start, roots, "")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (VTCR_32 & ~0xFF | 0 << 6 | 25, "cannot start at level 2"),  # 39 bits need 262144 entries
        (VTCR_32 & ~0xFF | 2 << 6 | 25, "cannot start at level 0"),  # nothing left to look up
        (VTCR_32 & ~(1 << 31), "RES1"),
        (VTCR_32 | 1 << 14, "granule 64"),
        (VTCR_32 | 3 << 6, "SL0"),
    ],
)
def test_impossible_configurations_are_named(value: int, problem: str) -> None:
    assert problem in Vtcr(value).problem


def test_vttbr_fields() -> None:
    vttbr = Vttbr(0x0123 << 48 | 0x4567_8000 | 1)
    assert vttbr.vmid == 0x123
    assert vttbr.root == 0x4567_8000  # bit 0 is CnP


def test_page_block_and_fault() -> None:
    memory = Memory()
    root, level3 = 0x5000_0000, 0x5000_8000
    memory[root + 8 * 512] = 0x8020_0000 | RAM | BLOCK  # IPA 0x40000000, 2 MiB
    memory[root + 8 * 513] = level3 | TABLE  # IPA 0x40200000
    memory[level3 + 8 * 5] = 0x9000_7000 | RAM | PAGE  # IPA 0x40205000
    space = Stage2(VTCR_32, 7 << 48 | root, memory.read)

    block = space.walk(0x4000_1234)
    assert (block.output, block.level, block.size) == (0x8020_1234, 2, 2 * MIB)
    page = space.walk(0x4020_5FFF)
    assert (page.output, page.level, page.size) == (0x9000_7FFF, 3, 4 * KIB)
    hole = space.walk(0x4020_6000)
    assert (hole.output, hole.fault, hole.level) == (None, "translation fault", 3)
    assert space.walk(0x0).level == 2
    assert space.walk(1 << 32).fault == "address beyond the input size"
    assert [str(walk) for walk, _ in space.leaves()] == [
        "0x40000000 -> 0x80200000, 2 MiB block at level 2",
        "0x40205000 -> 0x90007000, 4 KiB page at level 3",
    ]
    assert list(space.table.tables()) == [root, root + 4096, root + 8192, root + 12288, level3]


def test_concatenated_root_is_indexed_across_its_tables() -> None:
    memory = Memory()
    root = 0x5000_0000
    memory[root + 3 * 4096 + 8 * 511] = 0x1_0000_0000 | RAM | BLOCK  # the last of 2048 entries
    space = Stage2(VTCR_32, root, memory.read)
    assert space.walk((1 << 32) - 1).output == 0x1_0000_0000 + 2 * MIB - 1


def test_four_levels() -> None:
    memory = Memory()
    vtcr = VTCR_32 & ~0xFF | 2 << 6 | 16  # 48 bits from level 0
    address = 0x1234_5678_9ABC
    tables = [0x5000_0000, 0x5001_0000, 0x5002_0000, 0x5003_0000]
    for level, table in enumerate(tables):
        index = address >> 39 - 9 * level & 511
        below = 0x7777_7000 | RAM | PAGE if level == 3 else tables[level + 1] | TABLE
        memory[table + 8 * index] = below
    walk = Stage2(vtcr, tables[0], memory.read).walk(address)
    assert walk.output == 0x7777_7ABC
    assert [step.level for step in walk.steps] == [0, 1, 2, 3]


def test_reserved_descriptors_do_not_translate() -> None:
    memory = Memory({0x5000_0000: 0x4000_0000 | RAM | BLOCK})  # block at level 0
    assert Table(0x5000_0000, 0, 48, memory.read).walk(0).output is None
    memory = Memory({0x5000_0000: 0x4000_0000 | RAM | BLOCK})  # "block" at level 3
    assert Table(0x5000_0000, 3, 21, memory.read).walk(0).output is None


def test_stage2_attributes() -> None:
    leaf = Leaf(0x8000_0000 | RAM | BLOCK)
    assert leaf.readable and leaf.writable and leaf.executable and leaf.access_flag
    assert not leaf.is_device
    assert leaf.type == "Normal, inner write-back, outer write-back"
    assert str(leaf) == "rwx Normal, inner write-back, outer write-back, inner shareable"
    device = Leaf(1 << 54 | 1 << 10 | 3 << 6 | 0b0001 << 2 | PAGE)
    assert device.is_device and not device.executable
    assert device.type == "Device-nGnRE"
    forced = Leaf(device.descriptor & ~(15 << 2) | 6 << 2, fwb=True)
    assert (forced.type, forced.is_device) == ("Normal, forced write-back", False)
    assert (Leaf(device.descriptor, fwb=True).type, device.is_device) == ("Device-nGnRE", True)
    assert Leaf(RAM | PAGE, fwb=True).type == "reserved"  # 0b1111
    read_only = Leaf(RAM & ~(1 << 7) | PAGE)
    assert read_only.readable and not read_only.writable
    assert "ACCESS FLAG CLEAR" in str(Leaf(RAM & ~(1 << 10) | PAGE))


def test_el2_stage1_start_level_follows_from_its_size() -> None:
    assert [stage1.Tcr(t0sz).start_level for t0sz in (16, 24, 25, 33, 34)] == [0, 0, 1, 1, 2]


def test_el2_stage1_attributes() -> None:
    mair = 0xFF_44_00_04  # 0: Device-nGnRE, 1: Device-nGnRnE, 2: Normal NC, 3: Normal WB
    memory = Memory()
    memory[0x5000_0000 + 8] = 0x4000_0000 | 1 << 54 | 1 << 10 | 3 << 8 | 3 << 2 | BLOCK
    space = stage1.Stage1(2 << 16 | 25, 0x5000_0000, mair, memory.read)
    walk = space.walk(0x4012_3456)
    assert (walk.output, walk.size) == (0x4012_3456, GIB)
    leaf = space.leaf(walk)
    assert leaf.writable and not leaf.executable and leaf.access_flag and not leaf.is_device
    assert leaf.type == "Normal, inner write-back, outer write-back"
    assert stage1.mair_attribute(mair, 0) == "Device-nGnRE"
    assert stage1.mair_attribute(mair, 1) == "Device-nGnRnE"
    assert stage1.mair_attribute(mair, 2) == "Normal, inner non-cacheable, outer non-cacheable"
    assert not stage1.Leaf(1 << 7 | PAGE).writable
