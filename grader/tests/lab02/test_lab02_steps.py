# SPDX-License-Identifier: MIT
"""Lab 2, each exercise by itself: its functions on the workbench, whatever comes after it.

Tables are made and walked by the grader; what allocates, frees and invalidates is a stand-in that
looks at the table in that moment.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from grader.conftest import Lab
from grader.machine.verdict import expect, expect_that
from grader.oracle.calls import Bench, Stub, hook_of, trap_result
from grader.oracle.decode import stage1, stage2
from grader.oracle.decode.esr import Esr
from grader.oracle.decode.table import PAGE, Table
from grader.oracle.objects import Object, Objects

LAB = 2

MIB, GIB = 1 << 20, 1 << 30
BLOCK = 2 * MIB
READ, WRITE, EXEC, DEVICE = 1, 2, 4, 8
ENOENT, ENOMEM, EEXIST, EINVAL, ERANGE = 2, 12, 17, 22, 34
PAGE_NONE = (1 << 64) - 1
VMID_NONE = 0
MAIR = 0xFF04
IL, ISV = 1 << 25, 1 << 24
RESUME, SKIP_INSN, REFLECT = range(3)


def cold(lab: Lab, seed: int) -> Bench:
    return Bench.cold(lab.start("hypercalls"), seed)


ERRORS = {ENOENT: "ENOENT", ENOMEM: "ENOMEM", EEXIST: "EEXIST", EINVAL: "EINVAL", ERANGE: "ERANGE"}


def code(result: int) -> int:
    """The value of an int in X0: 0 or minus the error."""
    return result & 0xFFFF_FFFF if result & 0x8000_0000 == 0 else (result & 0xFFFF_FFFF) - (1 << 32)


def named(result: int) -> str:
    """A result of code(), as C and GDB have it: -EEXIST (-17)."""
    name = ERRORS.get(-result)
    return f"-{name} ({result})" if name else str(result)


def expect_code(what: str, result: int, wanted: int) -> None:
    """A function returns 0 or the error that it must."""
    expect(what, named(result), named(wanted))


# 2.1 The walk.


def rights(prot: int) -> str:
    names = ("READ", "WRITE", "EXEC", "DEVICE")
    return " | ".join(name for at, name in enumerate(names) if prot >> at & 1) or "0"


def test_leaves_of_el2_say_what_is_allowed(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    for prot in (READ, READ | WRITE, READ | EXEC, READ | WRITE | DEVICE, READ | EXEC | DEVICE):
        leaf = stage1.Leaf(bench.call("pgtable_stage1_leaf", prot), MAIR)
        what = f"pgtable_stage1_leaf({rights(prot)})"
        expect_that(f"{what}: AP[1] is RES1", bool(leaf.descriptor & 1 << 6), leaf)
        same_leaf(what, prot, leaf)


def test_leaves_of_stage_2_say_what_is_allowed(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    for prot in (0, READ, WRITE, READ | WRITE | EXEC, READ | WRITE | DEVICE, READ | EXEC | DEVICE):
        leaf = stage2.Leaf(bench.call("pgtable_stage2_leaf", prot))
        what = f"pgtable_stage2_leaf({rights(prot)})"
        expect_that(f"{what}: readable as asked for", leaf.readable == bool(prot & READ), leaf)
        expect_that(f"{what}: bit 53 is RES0 without FEAT_XNX", not leaf.execute_never & 1, leaf)
        if prot & DEVICE:
            expect(f"{what}: the kind of Device memory", leaf.type, "Device-nGnRE")
        same_leaf(what, prot, leaf)


def same_leaf(what: str, prot: int, leaf: stage1.Leaf | stage2.Leaf) -> None:
    """What both formats have in common."""
    expect_that(f"{what}: the access flag is set", leaf.access_flag, leaf)
    expect_that(f"{what}: type and address bits are left to others",
                not leaf.descriptor & 0xFFFF_FFFF_F003, leaf)
    expect_that(f"{what}: the memory type is the one asked for",
                leaf.is_device == bool(prot & DEVICE), leaf)
    expect_that(f"{what}: writable as asked for", leaf.writable == bool(prot & WRITE), leaf)
    executable = prot & (EXEC | DEVICE) == EXEC  # Device memory never is
    expect_that(f"{what}: executable as asked for, Device memory never",
                leaf.executable == executable, leaf)
    if not prot & DEVICE:
        expect_that(f"{what}: Normal memory is write-back", "write-back" in leaf.type, leaf)
        expect_that(f"{what}: inner shareable", leaf.shareability == 3, leaf)


@dataclass
class Shop:
    """A struct pgtable whose tables come from the grader, and what was asked of its format."""

    bench: Bench
    input_bits: int = 39
    concatenate: bool = False
    events: list[str] = field(default_factory=list)
    freed: list[int] = field(default_factory=list)
    supply: int = 1 << 30  # how many tables there are
    tables: set[int] = field(default_factory=set)
    on_invalidate: Callable[[int, int], None] = lambda address, count: None
    visited: list[tuple[int, int, int]] = field(default_factory=list)
    visit_result: int = 0

    def __post_init__(self) -> None:
        bench, symbols = self.bench, self.bench.machine.symbols
        self.visitor = bench.function("visit")
        self.functions = {name: bench.function(name)
                          for name in ("publish", "invalidate", "table_alloc", "table_free")}
        made = bench.make(
            "struct pgtable_format", leaf=symbols["pgtable_stage2_leaf"],
            prot=symbols["pgtable_stage2_prot"], **self.functions,
        )  # fmt: skip
        self.struct = bench.make("struct pgtable")
        made_it = self.call("pgtable_init", made.address, self.input_bits, int(self.concatenate))
        expect_code("pgtable_init()", made_it, 0)

    @property
    def stubs(self) -> dict[str | int, Stub]:
        """What answers for the functions of its format."""
        answers: dict[str, Stub] = {"publish": self._publish, "invalidate": self._invalidate,
                                    "table_alloc": self._alloc, "table_free": self._free}
        return {self.functions[name]: answer for name, answer in answers.items()}

    def call(self, function: str, *arguments: int) -> int:
        """An operation on the table."""
        stubs = self.stubs
        stubs[self.visitor] = self._visit
        return code(self.bench.call(function, self.struct.address, *arguments, stubs=stubs))

    def move_to(self, address: int) -> None:
        """The struct pgtable stands there from now on: inside of another object."""
        memory = self.bench.machine.memory
        size = self.bench.size("struct pgtable")
        memory.write(address, memory.read(self.struct.address, size))
        self.struct = Object(self.bench.objects, "struct pgtable", address)

    def get(self, member: str) -> int:
        return self.struct.get(member)

    @property
    def table(self) -> Table:
        return Table(self.get("root.pa"), self.get("start_level"), self.input_bits, self._words)

    def leaves(self) -> list[tuple[int, int, int]]:
        """(input, output, size) of all that is mapped."""
        return [(walk.input, walk.output or 0, walk.size) for walk in self.table.leaves()]

    def check(self, what: str) -> None:
        """The table and its accounting agree, and no table is lost or left empty."""
        used = list(self.table.tables())
        expect(f"{what}: tables in use, of those that were allocated", len(used), len(self.tables))
        expect(f"{what}: table_bytes", self.get("table_bytes"), PAGE * len(used))
        expect(f"{what}: mapped_bytes", self.get("mapped_bytes"),
               sum(size for _, _, size in self.leaves()))
        below = used[1 << self.get("root_order"):]
        empty = [hex(at) for at in below if not any(self.bench.machine.memory.read(at, PAGE))]
        expect(f"{what}: no table but the root is empty", empty, [])

    def _words(self, address: int, count: int) -> Sequence[int]:
        """Entries of a table. list_pop() of an empty list, as walk->spare may be, returns 0."""
        expect_that("commit takes no table that prepare had not counted", address >= PAGE,
                    "walk->spare was empty: a descriptor leads to a table at physical address 0")
        return self.bench.machine.memory.words(address, count)

    def _visit(self, context: int, address: int, leaf: int, *_: int) -> int:
        expect("the visitor gets its context", context, 0x77)
        pa, size = (Object(self.bench.objects, "struct pgtable_leaf", leaf).get(member)
                    for member in ("pa.pa", "size"))
        self.visited.append((address, pa, size))
        return self.visit_result

    def _publish(self, *_: int) -> int:
        self.events.append("publish")
        return 0

    def _invalidate(self, _table: int, address: int, count: int, *_: int) -> int:
        self.events.append("invalidate")
        self.on_invalidate(address, count)
        return 0

    def _alloc(self, order: int, *_: int) -> int:
        if self.supply == 0:
            return PAGE_NONE
        self.supply -= 1
        at = self.bench.room(PAGE << order, PAGE << order)
        self.tables.update(range(at, at + (PAGE << order), PAGE))
        return at

    def _free(self, at: int, order: int, *_: int) -> int:
        self.events.append("free")
        self.freed.append(at)
        self.tables -= set(range(at, at + (PAGE << order), PAGE))
        return 0


def put(shop: Shop, table: int, index: int, descriptor: int) -> None:
    shop.bench.write_u64(table + 8 * index, descriptor)


def new_table(shop: Shop) -> int:
    at = shop.bench.room(PAGE)
    shop.tables.add(at)
    return at


RWX_NORMAL = 0x7FC


def by_hand(shop: Shop) -> tuple[int, int, int]:
    """A 39-bit table: 1 GiB block at 1 GiB; then a 2 MiB block, three pages, a reserved entry.

    Returns its tables, the root first.
    """
    root, level2, level3 = shop.get("root.pa"), new_table(shop), new_table(shop)
    put(shop, root, 1, 0x8000_0000 | RWX_NORMAL | 1)
    put(shop, root, 2, level2 | 3)
    put(shop, level2, 0, 0x1_4000_0000 | RWX_NORMAL | 1)
    put(shop, level2, 1, level3 | 3)
    put(shop, level3, 0, 0x5000_1000 | RWX_NORMAL | 3)
    put(shop, level3, 1, 0x5000_9000 | 0x400 | 0x3C << 0 | 0x40 | 3)
    # Bit 0 is clear: invalid, whatever else is set.
    put(shop, level3, 2, 0xFFFF_F000 | RWX_NORMAL | 2)
    put(shop, level3, 511, 0x6000_0000 | RWX_NORMAL | 3)
    shop.struct.set("table_bytes", 3 * PAGE)
    return root, level2, level3


def test_lookup_finds_what_hardware_finds(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed))
    by_hand(shop)
    bench = shop.bench
    leaf = bench.make("struct pgtable_leaf")
    two = 2 * GIB
    for address in (GIB, GIB + 0x1234_5678, 2 * GIB - 1, two, two + BLOCK - 1, two + BLOCK + 0x123,
                    two + BLOCK + PAGE + 8, two + BLOCK + 511 * PAGE):  # fmt: skip
        walk = shop.table.walk(address)
        what = f"pgtable_lookup() of {walk}"
        expect_code(what, shop.call("pgtable_lookup", address, leaf.address), 0)
        found = {name: leaf.get(name) for name in ("pa.pa", "size", "level", "descriptor")}
        wanted = {"pa.pa": walk.output, "size": walk.size, "level": walk.level,
                  "descriptor": walk.descriptor}
        expect(what, {k: hex(v) for k, v in found.items()},
               {k: hex(v or 0) for k, v in wanted.items()})
        kind = stage2.Leaf(walk.descriptor)
        prot = (READ * kind.readable | WRITE * kind.writable | EXEC * kind.executable |
                DEVICE * kind.is_device)
        expect(f"{what}: prot", leaf.get("prot"), prot)
    for what, address, size in (("nothing at level 1", 5 * PAGE, GIB),
                                ("nothing at level 2", two + 2 * BLOCK + 8, BLOCK),
                                ("bit 0 clear at level 3", two + BLOCK + 2 * PAGE, PAGE)):
        what = f"pgtable_lookup({address:#x}), {what}"
        expect_code(f"{what}: -ENOENT", shop.call("pgtable_lookup", address, leaf.address), -ENOENT)
        expect(f"{what}: leaf->size, which is the hole's", hex(leaf.get("size")), hex(size))
    for what, address in (("behind the input space", 1 << 39), ("far behind", 2 * GIB | 1 << 63)):
        expect_code(f"pgtable_lookup({address:#x}), {what}: -ENOENT",
                    shop.call("pgtable_lookup", address, leaf.address), -ENOENT)


def test_lookup_knows_concatenated_roots(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed), input_bits=32, concatenate=True)
    root = shop.get("root.pa")
    put(shop, root, 3 * 512 + 5, 0x4000_0000 | RWX_NORMAL | 1)
    leaf = shop.bench.make("struct pgtable_leaf")
    address = 3 * GIB + 5 * BLOCK + 0x77
    expect_code(f"pgtable_lookup({address:#x}), in the fourth root table",
                shop.call("pgtable_lookup", address, leaf.address), 0)
    expect(f"pgtable_lookup({address:#x}): leaf->pa", leaf.get("pa.pa"), 0x4000_0077)
    missing = address - GIB
    expect_code(f"pgtable_lookup({missing:#x}), in the third",
                shop.call("pgtable_lookup", missing, leaf.address), -ENOENT)


def leaves_met(shop: Shop, start: int, end: int, *, answer: int = 0) -> list[tuple[int, ...]]:
    """The leaves that walk_range() meets, as (address, end, descriptor); `pre` answers there."""
    bench = shop.bench
    met: list[tuple[int, ...]] = []

    def pre(_walk: int, address: int, *_: int) -> int:
        step = Object(bench.objects, "struct step", address)
        descriptor = bench.machine.memory.u64(step.get("entry"))
        if descriptor & 3 != (1 if step.get("level") < 3 else 3):
            return 0
        met.append((step.get("at"), step.get("end"), descriptor))
        return answer

    at_pre = bench.function("pre")
    walk = bench.make("struct walk", table=shop.struct.address, start=start, end=end)
    expect(f"walk_range() over [{start:#x}, {end:#x})",
           code(bench.call("walk_range", walk.address, at_pre, 0, stubs={at_pre: pre})),
           answer if met else 0)
    return met


def test_a_walk_meets_every_entry_of_its_range(lab: Lab, seed: int) -> None:
    """By walk_range(), and by pgtable_visit(), which looks one address after the other up."""
    shop = Shop(cold(lab, seed))
    by_hand(shop)
    two = 2 * GIB
    for start, end in ((0, 1 << 39), (GIB + 5 * BLOCK, two + PAGE),
                       (two + BLOCK + PAGE, two + 2 * BLOCK),
                       (two + 3 * BLOCK, 4 * GIB), (two, two)):  # fmt: skip
        inside = [walk for walk in shop.table.leaves()
                  if walk.input < end and start < walk.input + walk.size]
        expect(f"a walk over [{start:#x}, {end:#x}) meets (address, end, descriptor)",
               hexes(leaves_met(shop, start, end)),
               hexes([(max(walk.input, start), min(walk.input + walk.size, end), walk.descriptor)
                      for walk in inside]))
        what = f"pgtable_visit() of [{start:#x}, {end:#x})"
        expect(what, shop.call("pgtable_visit", start, end - start, shop.visitor, 0x77), 0)
        expect(f"{what} tells of (address, output, size)", hexes(shop.visited),
               hexes([(walk.input, walk.output or 0, walk.size) for walk in inside]))
        shop.visited.clear()
    shop.visit_result = 5
    for start, first in ((0, 0), (two + BLOCK, 2)):
        met = leaves_met(shop, start, 1 << 39, answer=5)
        expect(f"leaves met by a walk from {start:#x} that the first one ends", len(met), 1)
        result = shop.call("pgtable_visit", start, (1 << 39) - start, shop.visitor, 0x77)
        expect(f"a result that is not 0 ends a visit from {start:#x}", result, 5)
        expect("and no leaf after the first is visited", hexes(shop.visited),
               hexes(shop.leaves()[first:first + 1]))
        shop.visited.clear()


def walked(shop: Shop, start: int, end: int, *, blocks_only: bool, refuse: int = 0) -> list[str]:
    """What walk_range() calls; its `pre` turns each invalid entry above level 3 into a table, and
    returns `refuse` at level 3."""
    bench = shop.bench
    met: list[str] = []

    def pre(_walk: int, address: int, *_: int) -> int:
        step = Object(bench.objects, "struct step", address)
        entry, level = step.get("entry"), step.get("level")
        met.append(f"pre level {level} [{step.get('at'):#x}, {step.get('end'):#x})")
        if level < 3 and not bench.machine.memory.u64(entry) & 1:
            bench.write_u64(entry, new_table(shop) | 3)
        return refuse if level == 3 else 0

    def post(_walk: int, address: int, *_: int) -> int:
        met.append(f"post level {Object(bench.objects, 'struct step', address).get('level')}")
        return 0

    walk = bench.make("struct walk", table=shop.struct.address, start=start, end=end,
                      blocks_only=blocks_only)
    at_pre, at_post = bench.function("pre"), bench.function("post")
    stubs: dict[str | int, Stub] = {at_pre: pre, at_post: post}
    expect("walk_range()",
           code(bench.call("walk_range", walk.address, at_pre, at_post, stubs=stubs)), refuse)
    return met


def test_tables_are_left_after_what_is_below_them(lab: Lab, seed: int) -> None:
    """By a walk whose `pre` makes tables, and by pgtable_destroy(), whose `post` frees them."""
    shop = Shop(cold(lab, seed))
    middle = GIB + BLOCK
    start, end = middle - PAGE, middle + PAGE
    first, second = f"[{start:#x}, {middle:#x})", f"[{middle:#x}, {end:#x})"
    wanted = [f"pre level 1 [{start:#x}, {end:#x})",
              f"pre level 2 {first}", f"pre level 3 {first}", "post level 2",
              f"pre level 2 {second}", f"pre level 3 {second}", "post level 2", "post level 1"]
    observed = walked(shop, start, end, blocks_only=False)
    expect("a walk whose `pre` puts a table where there is none", observed, wanted)
    wanted = [wanted[0], wanted[1], wanted[4], wanted[7]]
    expect("the same walk with blocks_only", walked(shop, start, end, blocks_only=True), wanted)
    expect("the same walk, whose `pre` returns -ENOMEM at the first entry of level 3",
           walked(shop, start, end, blocks_only=False, refuse=-ENOMEM), observed[:3])
    shop = Shop(shop.bench)
    root, level2, level3 = by_hand(shop)
    shop.call("pgtable_destroy")
    expect("every table is freed once, the deepest first", hexes([tuple(shop.freed)]),
           hexes([(level3, level2, root)]))
    expect("entries of tables are zero", shop.bench.machine.memory.u64(root + 16), 0)


def hexes(rows: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("(" + ", ".join(map(hex, row)) + ")" for row in rows) or "nothing"


# 2.2 Mapping.


def largest(address: int, pa: int, size: int) -> list[tuple[int, int, int]]:
    """The leaves that map a range with the largest blocks that fit: none has 512 GiB."""
    found = []
    while size:
        unit = next(s for s in (GIB, BLOCK, PAGE) if not (address | pa) & s - 1 and size >= s)
        found.append((address, pa, unit))
        address, pa, size = address + unit, pa + unit, size - unit
    return found


def summary(leaves: list[tuple[int, int, int]]) -> str:
    """Neighbours of one size in one piece."""
    pieces: list[list[int]] = []
    for address, output, size in leaves:
        last = pieces[-1] if pieces else None
        if last and last[3] == size and (last[0] + last[2], last[1] + last[2]) == (address, output):
            last[2] += size
        else:
            pieces.append([address, output, size, size])
    return ", ".join(f"{a:#x} -> {o:#x}, {n // s} of {s // 1024} KiB"
                     for a, o, n, s in pieces) or "nothing"


def test_map_takes_the_largest_blocks_that_fit(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    for address, pa, size in (
        (0x4000_0000, 0x8000_0000, BLOCK),
        (0x4000_0000, 0x8000_1000, BLOCK),
        (0x4000_0000, 0x8000_0000, GIB + BLOCK + PAGE),
        (0x3FDF_F000, 0x5FDF_F000, 2 * PAGE),
        (0x3FFF_F000, 0x7FFF_F000, GIB + 2 * PAGE),
    ):
        shop = Shop(bench)
        what = f"map {address:#x} -> {pa:#x}, {size // 1024} KiB"
        expect_code(what, shop.call("pgtable_map", address, pa, size, READ | WRITE), 0)
        expect(f"{what}: what is mapped", summary(shop.leaves()),
               summary(largest(address, pa, size)))
        leaf = stage2.Leaf(shop.table.walk(address).descriptor)
        expect_that(f"{what}: readable and writable",
                    leaf.readable and leaf.writable and not leaf.executable, leaf)
        shop.check(what)
        expect(f"{what}: it is published, nothing needs to be invalidated",
               shop.events, ["publish"])
    shop = Shop(bench, input_bits=48)
    what = "map 512 GiB, which is one entry of level 0"
    expect_code(what, shop.call("pgtable_map", 0, 0, 512 * GIB, READ), 0)
    expect(f"{what}: what is mapped", summary(shop.leaves()), summary(largest(0, 0, 512 * GIB)))
    shop.check(what)


# A table_alloc() in machine code, which hands out one page after the other: adr x2, slot;
# ldr x0, [x2]; add x1, x0, #4096; str x1, [x2]; ret; nop; slot:
NEXT_PAGE = struct.pack("<6I", 0x1000_00C2, 0xF940_0040, 0x9140_0401, 0xF900_0041, 0xD65F_03C0,
                        0xD503_201F)


def test_a_new_table_is_complete_before_an_entry_leads_to_it(lab: Lab, seed: int) -> None:
    """Hardware walks the table meanwhile: the entry is a store-release (entry_write())."""
    bench = cold(lab, seed)
    machine, symbols = bench.machine, bench.machine.symbols
    place, pages = bench.room(PAGE), bench.room(4 * PAGE)
    machine.memory.write(pages, bytes(4 * PAGE))
    machine.memory.write(place, NEXT_PAGE + struct.pack("<Q", pages))
    ret = place + NEXT_PAGE.index(struct.pack("<I", 0xD65F_03C0))
    made = bench.make(
        "struct pgtable_format", leaf=symbols["pgtable_stage2_leaf"], table_alloc=place,
        prot=symbols["pgtable_stage2_prot"], publish=ret, invalidate=ret, table_free=ret,
    )  # fmt: skip
    table = bench.make("struct pgtable").address
    expect_code("pgtable_init()", code(bench.call("pgtable_init", table, made.address, 30, 0)), 0)
    released = [machine.register(re.findall(r"x\d+", one.operands)[-1])
                for one in bench.executed(r"stlr x", "pgtable_map", table, 0, GIB, PAGE, READ)]
    expect_that("pgtable_map() of a page takes a table for its entry at the root",
                machine.memory.u64(pages) & 3 == 3, hex(machine.memory.u64(pages)))
    expect_that(f"that entry, at {pages:#x}, is written by STLR (entry_write())", pages in released,
                f"STLR to {', '.join(map(hex, released)) or 'nothing'}")


def test_a_map_that_is_refused_changes_nothing(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed))
    expect_code("pgtable_map() of two blocks and a page",
                shop.call("pgtable_map", GIB, GIB, 2 * BLOCK + PAGE, READ), 0)
    before, tables = shop.leaves(), set(shop.tables)
    for what, address, size in (
        ("the same again", GIB, BLOCK), ("its last page", GIB + 2 * BLOCK, PAGE),
        ("a hole, then a block", GIB - PAGE, 2 * PAGE),
        ("a page, then a hole", GIB + 2 * BLOCK, 3 * PAGE),
        ("a block where a table stands", GIB + 2 * BLOCK, BLOCK),
        ("a part of a block", GIB + PAGE, PAGE),
    ):  # fmt: skip
        result = shop.call("pgtable_map", address, 4 * GIB + address, size, READ)
        expect_code(f"pgtable_map() of {what}: -EEXIST", result, -EEXIST)
        expect(f"{what}: the table is as it was", summary(shop.leaves()), summary(before))
        expect(f"{what}: no table was taken", len(shop.tables - tables), 0)
    shop.supply = 1
    expect_code("pgtable_map() needs two tables, one is there: -ENOMEM",
                shop.call("pgtable_map", 5 * GIB, 0, PAGE, READ), -ENOMEM)
    expect("the table is as it was", summary(shop.leaves()), summary(before))
    shop.check("after all these")


def test_ranges_are_of_whole_pages_and_end_with_the_input_space(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed))
    end = 1 << 39
    for what, address, size, wanted in (
        ("the last page", end - PAGE, PAGE, 0),
        ("nothing", GIB, 0, 0),
        ("nothing, at the end", end, 0, 0),
        ("the last page and one more", end - 2 * PAGE, 3 * PAGE, -ERANGE),
        ("the page behind the end", end, PAGE, -ERANGE),
        ("so much that the sum wraps", GIB, -GIB, -ERANGE),
        ("half a page", GIB, PAGE // 2, -EINVAL),
        ("a page and a half", GIB, PAGE + PAGE // 2, -EINVAL),
        ("a page from the middle of one on", GIB + PAGE // 2, PAGE, -EINVAL),
    ):  # fmt: skip
        bytes_ = size & (1 << 64) - 1
        expect_code(f"pgtable_map() of {what}",
                    shop.call("pgtable_map", address, GIB, bytes_, READ), wanted)
        there = [(address, GIB, size)] if size and not wanted else []
        expect(f"pgtable_map() of {what}: what is mapped", summary(shop.leaves()), summary(there))
        expect_code(f"pgtable_unmap() of {what}",
                    shop.call("pgtable_unmap", address, bytes_), wanted)
        expect("nothing is mapped", summary(shop.leaves()), "nothing")
        shop.check(f"after {what}")


# 2.3 Unmap, split, protect.


def test_a_block_is_split_with_break_before_make(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed))
    shop.call("pgtable_map", GIB, 4 * GIB, 2 * BLOCK, READ | WRITE | EXEC)
    shop.events.clear()
    seen: list[tuple[int, int]] = []

    def look(address: int, count: int) -> None:
        walk = shop.table.walk(GIB)
        expect_that("while the block is invalidated its entry is invalid",
                    walk.output is None or bool(seen), walk)
        seen.append((address, count))

    shop.on_invalidate = look
    expect_code("pgtable_unmap() of one page in a block",
                shop.call("pgtable_unmap", GIB + 5 * PAGE, PAGE), 0)
    expect("first the whole block is invalidated", hexes(seen[:1]), hexes([(GIB, BLOCK)]))
    again = any(a <= GIB + 5 * PAGE < a + n for a, n in seen[1:])
    expect_that("at the end the page is invalidated, too (address, bytes)", again, hexes(seen))
    wanted = [(GIB + n * PAGE, 4 * GIB + n * PAGE, PAGE) for n in range(512) if n != 5]
    wanted.append((GIB + BLOCK, 4 * GIB + BLOCK, BLOCK))
    expect("the pages around it stay mapped", summary(shop.leaves()), summary(wanted))
    leaf = stage2.Leaf(shop.table.walk(GIB).descriptor)
    same = leaf.readable and leaf.writable and leaf.executable and leaf.access_flag
    expect_that("and keep the attributes of the block", same, leaf)
    shop.check("after the split")


def test_tables_are_freed_when_no_tlb_can_reach_them(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed))
    shop.call("pgtable_map", GIB - PAGE, GIB - PAGE, BLOCK + 2 * PAGE, READ)
    shop.check("after pgtable_map()")
    shop.events.clear()
    expect_code("pgtable_unmap() of all of it, with holes around",
                shop.call("pgtable_unmap", 0, 4 * GIB), 0)
    expect("nothing is mapped", summary(shop.leaves()), "nothing")
    expect_that("tables are freed", "free" in shop.events, shop.events)
    first = shop.events.index("free")
    expect_that("tables are freed after the invalidation, not before",
                "invalidate" in shop.events[:first], shop.events)
    shop.check("after pgtable_unmap()")
    shop.events.clear()
    expect_code("pgtable_unmap() of a hole", shop.call("pgtable_unmap", 0, GIB), 0)
    expect_that("a hole that is unmapped frees nothing", "free" not in shop.events, shop.events)


def test_a_table_stays_as_long_as_one_of_its_leaves(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed))
    indexes = (0, 255, 511)
    for kept in indexes:
        for index in indexes:
            shop.call("pgtable_map", GIB + index * PAGE, 4 * GIB + index * PAGE, PAGE, READ)
        for index in indexes:
            if index != kept:
                shop.call("pgtable_unmap", GIB + index * PAGE, PAGE)
        what = f"pgtable_unmap() of all but entry {kept}"
        expect(what, summary(shop.leaves()),
               summary([(GIB + kept * PAGE, 4 * GIB + kept * PAGE, PAGE)]))
        shop.check(what)
        shop.events.clear()
        shop.call("pgtable_unmap", GIB + kept * PAGE, PAGE)
        what = f"pgtable_unmap() of entry {kept}, the last"
        expect_that(f"{what}: its tables are freed after the invalidation",
                    shop.events[:1] == ["invalidate"] and "free" in shop.events, shop.events)
        shop.check(what)


def test_an_unmap_that_is_refused_changes_nothing(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed))
    shop.call("pgtable_map", GIB, 4 * GIB, GIB, READ)
    before = shop.leaves()
    shop.supply = 1
    what = "pgtable_unmap() of a page of 1 GiB needs two tables, one is there: -ENOMEM"
    expect_code(what, shop.call("pgtable_unmap", GIB, PAGE), -ENOMEM)
    expect("the table is as it was", summary(shop.leaves()), summary(before))
    shop.check("after it")


def test_protect_changes_permissions_alone(lab: Lab, seed: int) -> None:
    shop = Shop(cold(lab, seed))
    shop.call("pgtable_map", GIB, GIB, BLOCK, READ | WRITE)
    shop.call("pgtable_map", 2 * GIB, 0x0900_0000, PAGE, READ | WRITE | DEVICE)
    mapped = shop.get("mapped_bytes")
    expect_code("pgtable_protect() of the second page of a block",
                shop.call("pgtable_protect", GIB + PAGE, PAGE, READ), 0)
    for at, writable in ((GIB, True), (GIB + PAGE, False), (GIB + 2 * PAGE, True)):
        leaf = stage2.Leaf(shop.table.walk(at).descriptor)
        expect_that(f"{at:#x}: writable is {writable}", leaf.readable and leaf.writable == writable,
                    leaf)
    expect_code("pgtable_protect() of a page of a device",
                shop.call("pgtable_protect", 2 * GIB, PAGE, READ), 0)
    leaf = stage2.Leaf(shop.table.walk(2 * GIB).descriptor)
    expect_that("it stays Device memory", leaf.is_device and leaf.readable and not leaf.writable,
                leaf)
    expect_code("pgtable_protect() of a page of memory, with PROT_DEVICE",
                shop.call("pgtable_protect", GIB + PAGE, PAGE, READ | WRITE | DEVICE), 0)
    leaf = stage2.Leaf(shop.table.walk(GIB + PAGE).descriptor)
    expect_that("it stays Normal memory: permissions alone change",
                not leaf.is_device and leaf.readable and leaf.writable, leaf)
    expect_that("all were invalidated", shop.events.count("invalidate") >= 4, shop.events)
    shop.events.clear()
    expect_code("pgtable_protect() with the permissions that it has",
                shop.call("pgtable_protect", 2 * GIB, PAGE, READ), 0)
    expect("nothing changes, nothing is invalidated", shop.events, ["publish"])
    expect("mapped_bytes", shop.get("mapped_bytes"), mapped)
    shop.check("after all these")
    shop.call("pgtable_map", 4 * GIB, GIB, BLOCK, READ)
    expect_code("pgtable_protect() of a page of a block, with the permissions that it has",
                shop.call("pgtable_protect", 4 * GIB + PAGE, PAGE, READ), 0)
    expect("what is mapped there", summary([leaf for leaf in shop.leaves() if leaf[0] >= 4 * GIB]),
           summary([(4 * GIB + n * PAGE, GIB + n * PAGE, PAGE) for n in range(512)]))
    shop.check("after it, whose table prepare had counted")


# 2.4 EL2's own map.


def test_el2_drops_all_pages_of_a_range(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    drop = Object(bench.objects, "struct pgtable_format",
                  bench.machine.symbols["hyp_format"]).get("invalidate")
    at = 0x4020_0000
    for pages in (1, 3, 65):
        dropped: list[tuple[str, int]] = []
        for one in bench.executed(r"tlbi", drop, 0, at, pages * PAGE):
            name, *register = one.operands.replace(",", " ").split()
            value = bench.machine.register(register[0]) if register else 0
            dropped.append((name, value << 12 & 0xFFFF_FFFF_F000))
        wanted = [("vae2is", at + n * PAGE) for n in range(pages)]
        expect_that(f"{pages} pages are dropped on all CPUs, one by one or all that EL2 has",
                    dropped in (wanted, [("alle2is", 0)]), dropped[:4])


# 2.5 Stage 2 in effect.


def test_geometry_fits_the_memory_of_the_vm(lab: Lab, seed: int) -> None:
    """stage2_create() for VMs of several sizes: the smallest IPA space for all, >= 32 bits."""
    bench = cold(lab, seed)
    machine, base = bench.machine, 0x4000_0000
    before = 0x8000_3520, 7 << 48 | 0x4444_0000
    bench.sysreg("VTCR_EL2", before[0])
    bench.sysreg("VTTBR_EL2", before[1])
    for ram in (16 * MIB, 3 * GIB, 3 * GIB + BLOCK, 4 * GIB, 16 * GIB, 1000 * GIB):
        vm = bench.make("struct vm", vmid=0x1205, ram_base=base, ram_bytes=ram)
        tables: list[int] = []

        def alloc(order: int, *_: int, tables: list[int] = tables) -> int:
            tables.append(bench.room(PAGE << order, PAGE << order))
            return tables[-1]

        what = f"a VM of {ram // MIB} MiB"
        result = bench.call("stage2_create", vm.address, stubs={"page_alloc_zeroed": alloc})
        expect(f"{what}: stage2_create()", code(result), 0)

        def get(member: str, vm: Object = vm) -> int:
            return vm.get(f"stage2.{member}")

        vtcr = stage2.Vtcr(get("vtcr"))
        expect_that(f"{what}: VTCR_EL2 is usable: {vtcr.problem}", not vtcr.problem, vtcr)
        expect(f"{what}: width of its IPA space", vtcr.input_bits,
               max(32, (base + ram - 1).bit_length()))
        expect(f"{what}: start level, as its table has it", vtcr.start_level,
               get("table.start_level"))
        expect(f"{what}: root tables", vtcr.root_tables, 1 << get("table.root_order"))
        walks = vtcr.inner, vtcr.outer, vtcr.shareability
        expect_that(f"{what}: tables are walked as inner shareable write-back memory",
                    walks == (1, 1, 3), vtcr)
        expect(f"{what}: the CPU's physical address size", vtcr.output_bits, 40)
        expect(f"{what}: 16-bit VMIDs", vtcr.vmid_bits, 16)
        expect(f"{what}: VTTBR_EL2 has root and VMID", get("vttbr"),
               tables[0] | 0x1205 << 48, stage2.Vttbr)
        after = machine.register("VTCR_EL2"), machine.register("VTTBR_EL2")
        expect("VTCR_EL2 and VTTBR_EL2 are the loaded VM's again after the invalidation",
               hexes([after]), hexes([before]))


def invalidations(
    bench: Bench, function: int, *arguments: int, like: str = r"tlbi (ip|vmall)",
    also: list[tuple[int, int]] | None = None,
) -> list[tuple[str, int, int]]:
    """What a call invalidates: each TLBI, its register's value or 0, and VTTBR_EL2 at the time.

    `also` gets VTCR_EL2 of that time, and whether vmid_lock is taken.
    """
    machine, found = bench.machine, list[tuple[str, int, int]]()
    lock = Object(bench.objects, "struct spinlock", machine.symbols["vmid_lock"])
    for one in bench.executed(like, function, *arguments):
        name, *register = one.operands.replace(",", " ").split()
        found.append((name, machine.register(register[0]) if register else 0,
                      machine.register("VTTBR_EL2")))
        if also is not None:
            also.append((machine.register("VTCR_EL2"), lock.get("taken")))
    return found


def test_invalidation_is_of_all_its_pages_and_of_its_vm(lab: Lab, seed: int) -> None:
    """The test stops at each TLBI: QEMU drops more than is asked for, so no guest would notice."""
    bench = cold(lab, seed)
    vm = bench.make("struct vm", vmid=0x5, ram_base=0x4000_0000, ram_bytes=16 * MIB)
    stubs: dict[str | int, Stub] = {
        "page_alloc_zeroed": lambda order, *_: bench.room(PAGE << order, PAGE << order)}
    expect("stage2_create()", code(bench.call("stage2_create", vm.address, stubs=stubs)), 0)
    table, own = bench.address_of(vm, "stage2.table"), vm.get("stage2.vttbr")
    invalidate = Object(bench.objects, "struct pgtable_format",
                        vm.get("stage2.table.format")).get("invalidate")
    ipa = 0x4020_0000
    geometry, another = vm.get("stage2.vtcr"), (0x8000_3520, 7 << 48 | 0x4444_0000)
    for (vtcr, loaded), which in (((geometry, own), "the VM that is loaded"),
                                  (another, "another VM")):
        bench.sysreg("VTCR_EL2", vtcr)
        bench.sysreg("VTTBR_EL2", loaded)
        for size, what in ((3 * PAGE, "three pages"), (BLOCK, "a block")):
            also: list[tuple[int, int]] = []
            found = invalidations(bench, invalidate, table, ipa, size, also=also)
            expect_that(f"{what} of {which} are invalidated", bool(found), found)
            expect(f"{what} of {which}: VTCR_EL2 at each TLBI, its root has that size",
                   hexes([*{(value,) for value, _ in also}]), hexes([(geometry,)]))
            if loaded != own:
                expect(f"{what} of {which}: vmid_lock is held, or its VMID changes hands: taken",
                       {taken for _, taken in also}, {1})
            expect(f"{what} of {which}: VTTBR_EL2 at each TLBI",
                   hexes([*{(vttbr,) for *_, vttbr in found}]), hexes([(own,)]))
            names = [name for name, *_ in found]
            if names == ["vmalls12e1is"]:
                continue  # both stages, everything of the VMID
            pages = [register << 12 & 0xFFFF_FFFF_F000 for name, register, _ in found
                     if name.startswith("ipas2")]
            wanted = range(ipa, ipa + size, PAGE)
            expect(f"{what} of {which}: pages by IPA", hexes([tuple(sorted(pages))]),
                   hexes([tuple(wanted)]))
            expect(f"{what} of {which}: last go the entries that combine both stages",
                   names[-1], "vmalle1is")
            expect_that("on all CPUs", all(name.endswith("is") for name in names), names)
    bench.put(vm, vmid=VMID_NONE, stage2__vttbr=vm.get("stage2.table.root.pa"))
    expect("of a VM without a VMID nothing is invalidated",
           invalidations(bench, invalidate, table, ipa, PAGE), [])
    lock = Object(bench.objects, "struct spinlock", bench.machine.symbols["vmid_lock"])
    expect("and vmid_lock is free again: taken", lock.get("taken"), 0)
    waits = [one.text for one in bench.executed(r"dsb (ish|ishst|st|sy)$", invalidate, table, ipa,
                                                PAGE)]
    expect_that("of a VM without a VMID stores to its table are complete nevertheless: DSB ISH",
                bool(waits), waits)


def test_vcpus_of_one_vm_leave_nothing_in_the_tlb_for_each_other(lab: Lab, seed: int) -> None:
    """vCPUs of one VM share its VMID on one CPU. QEMU hides it: writing TCR_EL1 drops its TLB."""
    bench = cold(lab, seed)
    load = hook_of(bench.machine, LAB, "vcpu_load")
    made: dict[str, tuple[Object, Object]] = {}
    for name, count in (("the first vCPU", 2), ("another VM's", 1)):
        number = len(made) + 5
        vm = bench.make("struct vm", vmid=number, vcpu_count=count,
                        stage2__vtcr=0x8000_3520, stage2__vttbr=number << 48 | 0x4444_0000)
        made[name] = vm, bench.vcpu(vm=vm.address)
    made["the second vCPU"] = (made["the first vCPU"][0],
                               bench.vcpu(vm=made["the first vCPU"][0].address, index=1))
    turns = [("the first vCPU", None), ("the second vCPU", True), ("the second vCPU", False),
             ("another VM's", False),
             ("the second vCPU", False), ("the first vCPU", True), ("another VM's", False),
             ("the second vCPU", True)]
    for name, wanted in turns:
        vm, vcpu = made[name]
        found = invalidations(bench, load, vcpu.address, like=r"tlbi vmall|ic iallu")
        names = [one.removesuffix("is") for one, *_ in found]
        if wanted is False:
            expect(f"{name} is loaded again: no other of its VM ran here, nothing is invalidated",
                   names, [])
        elif wanted:
            expect_that(f"{name} comes after the other of its VM: TLBI",
                        bool({"vmalle1", "vmalls12e1"} & {*names}), names)
            expect_that(f"{name} comes after the other of its VM: IC IALLU",
                        "iallu" in names, names)
        vttbrs = {(vttbr,) for *_, vttbr in found} or {(vm.get("stage2.vttbr"),)}
        expect(f"{name}: VTTBR_EL2 at each", hexes([*vttbrs]), hexes([(vm.get("stage2.vttbr"),)]))


# 2.6 Stage-2 aborts.

RAM, UART, NOWHERE = 0x4000_0000, 0x0900_0000, 0x2000_0000
LOAD, FETCH = 0x24 << 26 | IL, 0x20 << 26 | IL
WNR, S1PTW, CM = 1 << 6, 1 << 7, 1 << 8
ADDRESS_SIZE, TRANSLATION, ACCESS_FLAG = 0x03, 0x06, 0x0B
PERMISSION, EXTERNAL = 0x0F, 0x10
WORD = ISV | 2 << 22
VM_STOPPED = 2


@dataclass(frozen=True)
class Abort:
    """A stage-2 abort, and what is to come of it."""

    what: str
    esr: int
    ipa: int  # what HPFAR_EL2 and FAR_EL2 say, unless `far`
    calls: tuple[str, int] = ("", 0)  # function, and its address or offset
    result: int = RESUME
    far: int | None = None
    populate: int = 0


ABORTS = [
    Abort("load from RAM", LOAD | WORD | TRANSLATION, RAM + 0x12_3458,
          ("guest_ram_populate", RAM + 0x12_3458)),
    Abort("store without syndrome", LOAD | WNR | TRANSLATION, RAM + 0x5000,
          ("guest_ram_populate", RAM + 0x5000)),
    Abort("fetch from RAM", FETCH | TRANSLATION, RAM + 0x8_0000,
          ("guest_ram_populate", RAM + 0x8_0000)),
    Abort("access flag fault", LOAD | WORD | ACCESS_FLAG, RAM + 0x8_0000,
          ("guest_ram_populate", RAM + 0x8_0000)),
    Abort("walk of the guest's tables", LOAD | S1PTW | TRANSLATION, RAM + 0x7000,
          ("guest_ram_populate", RAM + 0x7000), far=0xFFFF_0000_1234_5678),
    Abort("address size fault", LOAD | WORD | ADDRESS_SIZE, RAM + 0x9000,
          ("guest_ram_populate", RAM + 0x9000)),
    Abort("no memory", LOAD | WORD | TRANSLATION, RAM, ("guest_ram_populate", RAM),
          populate=-ENOMEM),
    Abort("load from the UART", LOAD | WORD | TRANSLATION, UART + 0x18, ("mmio_load", 0x18)),
    Abort("store to the UART", LOAD | WORD | WNR | TRANSLATION, UART + 0xFFC,
          ("mmio_store", 0xFFC)),
    Abort("permission fault at the UART, which HPFAR_EL2 does not say",
          LOAD | WORD | PERMISSION, NOWHERE, ("mmio_load", 0x18), far=UART + 0x18),
    Abort("pair of loads from the UART", LOAD | TRANSLATION, UART, result=REFLECT),
    Abort("fetch from the UART", FETCH | TRANSLATION, UART, result=REFLECT),
    Abort("cache maintenance of the UART", LOAD | CM | WNR | TRANSLATION, UART, result=SKIP_INSN),
    Abort("AT whose walk goes to the UART", LOAD | CM | WNR | S1PTW | TRANSLATION, UART,
          result=REFLECT),
    Abort("load from nowhere", LOAD | WORD | TRANSLATION, NOWHERE, result=REFLECT),
    Abort("load behind RAM", LOAD | WORD | TRANSLATION, RAM + 16 * MIB, result=REFLECT),
    Abort("cache maintenance nowhere", LOAD | CM | WNR | TRANSLATION, NOWHERE, result=SKIP_INSN),
    Abort("AT whose walk goes nowhere", LOAD | CM | WNR | S1PTW | TRANSLATION, NOWHERE,
          result=REFLECT),
    Abort("external abort", LOAD | EXTERNAL, RAM, result=REFLECT),
    Abort("permission fault: HPFAR_EL2 is UNKNOWN", LOAD | WORD | PERMISSION, NOWHERE,
          result=RESUME, far=RAM + 0x3008),
    Abort("permission fault above 4 GiB", LOAD | WORD | PERMISSION, RAM,
          result=REFLECT, far=4 * GIB + RAM),
    Abort("permission fault at an address that AT does not translate",
          LOAD | WORD | PERMISSION, NOWHERE, result=RESUME, far=1 << 52 | UART),
    Abort("permission fault of a walk into RAM, which is not mapped any more",
          LOAD | S1PTW | PERMISSION, RAM + 0x3000, result=RESUME, far=0xFFFF_0000_1234_5678),
    Abort("permission fault of a walk, whose address HPFAR_EL2 says",
          LOAD | S1PTW | PERMISSION, NOWHERE, result=REFLECT, far=RAM + 0x3008),
]


@pytest.mark.parametrize("group", [ABORTS[:7], ABORTS[7:14], ABORTS[14:]],
                         ids=["RAM", "devices", "elsewhere"])
def test_aborts_end_where_they_belong(lab: Lab, seed: int, group: list[Abort]) -> None:
    """Guest memory and device models are stand-ins; stage 1 of the guest is off."""
    machine = lab.start("hypercalls")
    bench = Bench.at_first_entry(machine, seed)
    vm = Objects(machine).vm(0)
    vcpu = vm.vcpu(0)
    for abort in group:
        far = abort.ipa if abort.far is None else abort.far
        par = 0x0C00_0000_1234_5080
        bench.sysreg("HPFAR_EL2", abort.ipa >> 12 << 4)
        bench.sysreg("FAR_EL2", far)
        bench.sysreg("PAR_EL1", par)

        stubs: dict[str | int, Stub] = {
            "guest_ram_populate": abort.populate, "mmio_load": RESUME,
            "mmio_store": RESUME, "vm_stop": 0,
        }  # fmt: skip
        result = bench.call("stage2_abort", vcpu.address, abort.esr, stubs=stubs) & 0xFFFF_FFFF
        what = f"{abort.what} ({Esr(abort.esr)}, IPA {abort.ipa:#x})"
        wanted = [abort.calls[0]] * bool(abort.calls[0]) + ["vm_stop"] * (abort.populate < 0)
        expect(f"{what} is handed to", [call.name for call in bench.calls], wanted)
        if abort.calls[0] == "guest_ram_populate":
            of, ipa, *_ = bench.calls[0].arguments
            expect(f"{what}: the VM", of, vm.address)
            expect(f"{what}: the address brought in, its page", ipa & -PAGE, abort.calls[1] & -PAGE)
            if abort.esr & S1PTW:
                expect(f"{what}: the offset in FAR_EL2 is of another address", ipa & PAGE - 1, 0)
            if abort.populate < 0:
                _, state, reason, word = bench.calls[1].arguments[:4]
                expect(f"{what}: the state given to vm_stop(), VM_STOPPED", state & 0xFFFF_FFFF,
                       VM_STOPPED)
                text = machine.memory.text(reason)
                text = text.replace("%s", machine.memory.text(word)) if "%s" in text else text
                expect_that(f"{what}: \"no memory\" is in the reason given to vm_stop()",
                            "no memory" in text, text)
        elif abort.calls[0]:
            handed = vcpu.address, abort.esr, abort.calls[1]
            expect(f"{what}: (vCPU, ESR_EL2, offset)", hexes([bench.calls[0].arguments[:3]]),
                   hexes([handed]))
            expect(f"{what}: exit.address", vcpu.get("exit.address"),
                   far if abort.esr & 0x3C == PERMISSION & 0x3C else abort.ipa)
        expect(f"{what}: result", result, abort.result, trap_result)
        kept = vcpu.get("exit.far"), vcpu.get("exit.hpfar")
        expect(f"{what}: exit.far and exit.hpfar", hexes([kept]),
               hexes([(far, abort.ipa >> 12 << 4)]))
        expect(f"{what}: PAR_EL1 is the guest's", machine.register("PAR_EL1"), par)


def test_every_region_ends_where_its_registers_end(lab: Lab, seed: int) -> None:
    """The first and the last byte of each, and the first behind it, which is nobody's."""
    bench = Bench.at_first_entry(lab.start("hypercalls"), seed)
    vcpu = Objects(bench.machine).vm(0).vcpu(0)
    vm = Objects(bench.machine).vm(0)
    regions = [{name: vm.get(f"stage2.regions[{index}].{name}") for name in ("base", "bytes")}
               for index in range(vm.get("stage2.region_count"))]
    starts = {region["base"] for region in regions}
    expect_that("the VM has regions", bool(regions), len(regions))
    for region in regions:
        base, size = region["base"], region["bytes"]
        for ipa, inside in ((base, True), (base + size - 1, True), (base + size, False)):
            if not inside and ipa in starts:
                continue
            bench.sysreg("HPFAR_EL2", ipa >> 12 << 4)
            bench.sysreg("FAR_EL2", ipa)
            result = bench.call("stage2_abort", vcpu.address, LOAD | ISV | TRANSLATION,
                                stubs={"mmio_load": SKIP_INSN, "guest_ram_populate": 0})
            handed = [call.arguments[2] for call in bench.calls if call.name == "mmio_load"]
            what = f"a load at {ipa:#x}, of the region [{base:#x}, {base + size:#x})"
            expect(f"{what}: the offset handed to mmio_load()", handed,
                   [ipa - base] if inside else [])
            expect(f"{what}: result", result & 0xFFFF_FFFF, SKIP_INSN if inside else REFLECT,
                   trap_result)


# 2.7 MMIO emulation.

SSE, SF = 1 << 21, 1 << 15
VALUE = 0x8899_AABB_CCDD_EEF1  # each part of it has its top bit set


def access(size: int, register: int, *, sign: bool = False, wide: bool = False,
           write: bool = False) -> int:
    sas = size.bit_length() - 1
    return (LOAD | ISV | sas << 22 | SSE * sign | register << 16 | SF * wide |
            WNR * write | TRANSLATION)


@dataclass
class Model:
    """A device model in the grader."""

    bench: Bench
    value: int = 0
    accesses: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        bench = self.bench
        self.read, self.write = bench.function("read"), bench.function("write")
        device = bench.make("struct device", read=self.read, write=self.write)
        self.state = bench.room(PAGE)
        self.region = bench.make("struct mmio_region", base=0x1000_0000, bytes=PAGE,
                                 device=device.address, state=self.state)
        self.vm = bench.make("struct vm")
        self.vcpu = bench.vcpu(vm=self.vm.address, frame__pstate=0x3C5)

    def call(self, esr: int, offset: int) -> int:
        self.accesses.clear()
        self.bench.put(self.vcpu, frame__pc=0x1000)
        self.bench.put(self.vcpu, exit__esr=esr)
        function = "mmio_store" if esr & WNR else "mmio_load"
        stubs: dict[str | int, Stub] = {self.read: self._read, self.write: self._write}
        return self.bench.call(function, self.vcpu.address, esr, offset, self.region.address,
                               stubs=stubs) & 0xFFFF_FFFF

    def get(self, member: str) -> int:
        return self.vcpu.get(member)

    def noted(self) -> str:
        """What vcpu->exit has of the access."""
        return hexes([(self.get("exit.value"), self.get("exit.size"))])

    def _locked(self) -> None:
        expect("the VM's device lock is held while its model runs",
               self.vm.get("device_lock.taken"), 1)

    def _read(self, *arguments: int) -> int:
        self._locked()
        self.accesses.append(arguments)
        return self.value

    def _write(self, *arguments: int) -> int:
        self._locked()
        self.accesses.append((*arguments, self.bench.machine.register("x4")))
        return 0


def test_loads_extend_as_the_instruction_says(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    model = Model(bench, value=VALUE)
    for what, esr, wanted in (
        ("LDRB W3", access(1, 3), 0xF1), ("LDRSB W3", access(1, 3, sign=True), 0xFFFF_FFF1),
        ("LDRSB X3", access(1, 3, sign=True, wide=True), 0xFFFF_FFFF_FFFF_FFF1),
        ("LDRH W3", access(2, 3), 0xEEF1),
        ("LDRSH W3", access(2, 3, sign=True), 0xFFFF_EEF1), ("LDR W3", access(4, 3), 0xCCDD_EEF1),
        ("LDRSW X3", access(4, 3, sign=True, wide=True), 0xFFFF_FFFF_CCDD_EEF1),
        ("LDR X3", access(8, 3, wide=True), VALUE),
    ):  # fmt: skip
        bench.put(model.vcpu, **{"frame.x[3]": bench.noise(1)[0]})
        result = model.call(esr, 0x18)
        size = 1 << (esr >> 22 & 3)
        asked = model.vcpu.address, model.state, 0x18, size
        expect(f"{what}: the model is asked for (vCPU, state, offset, size)", hexes(model.accesses),
               hexes([asked]))
        expect(f"{what}: the register", model.get("frame.x[3]"), wanted)
        expect(f"{what}: exit.value and exit.size", model.noted(), hexes([(wanted, size)]))
        expect(f"{what}: the guest goes on behind it",
               model.get("frame.pc") + 4 * (result == SKIP_INSN), 0x1004)
    big_endian = 1 << 25  # SCTLR_EL1.EE
    bench.sysreg("SCTLR_EL1", 0x30D0_0800 | big_endian)
    for what, esr, wanted in (
        ("LDRSH W3", access(2, 3, sign=True), 0xFFFF_F1EE),
        ("LDRSW X3", access(4, 3, sign=True, wide=True), 0xFFFF_FFFF_F1EE_DDCC),
    ):
        model.call(esr, 0x18)
        expect(f"{what} of a big-endian guest: its bytes are put in order, then extended",
               model.get("frame.x[3]"), wanted)
    bench.sysreg("SCTLR_EL1", 0x30D0_0800)
    before = bench.frame(model.vcpu)
    result = model.call(access(4, 31), 0)
    expect("LDR WZR asks the model", len(model.accesses), 1)
    expect("LDR WZR: the guest goes on behind it (PC)",
           model.get("frame.pc") + 4 * (result == SKIP_INSN), 0x1004)
    expect("LDR WZR changes no register", hexes([tuple(bench.frame(model.vcpu))]),
           hexes([tuple(before)]))


def test_stores_hand_over_their_bytes(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    model = Model(bench)
    bench.put(model.vcpu, **{"frame.x[30]": VALUE})
    for what, esr, wanted in (
        ("STRB W30", access(1, 30, write=True), 0xF1),
        ("STRH W30", access(2, 30, write=True), 0xEEF1),
        ("STR W30", access(4, 30, write=True), 0xCCDD_EEF1),
        ("STR X30", access(8, 30, wide=True, write=True), VALUE),
        ("STR WZR", access(4, 31, write=True), 0),
    ):  # fmt: skip
        model.call(esr, 0xFF8)
        size = 1 << (esr >> 22 & 3)
        given = model.vcpu.address, model.state, 0xFF8, size, wanted
        expect(f"{what}: the model gets (vCPU, state, offset, size, value)", hexes(model.accesses),
               hexes([given]))
        expect(f"{what}: exit.value and exit.size", model.noted(), hexes([(wanted, size)]))
        expect(f"{what}: the register stays", model.get("frame.x[30]"), VALUE)


@pytest.mark.parametrize("esr", [access(2, 3), access(8, 3, wide=True, write=True)],
                         ids=["load", "store"])
def test_a_misaligned_access_never_reaches_the_model(lab: Lab, seed: int, esr: int) -> None:
    bench = cold(lab, seed)
    model = Model(bench)
    bench.sysreg("VBAR_EL1", 0x5000_0800)
    model.call(esr, 0x1C if esr & WNR else 0x11)
    expect("the model is not called", model.accesses, [])
    expect("the VM's device lock is free again", model.vm.get("device_lock.taken"), 0)
    wanted = 0x25 << 26 | IL | esr & WNR | 0x21
    expect("the guest takes an alignment fault", bench.machine.register("ESR_EL1"), wanted, Esr)
    expect("and goes on at its vector: PC", model.get("frame.pc"), 0x5000_0A00)


# 2.8 Memory on demand.

PIECE = 16 * PAGE  # what a touch of a VM that is mapped by pages brings in


class Touch:
    """guest_ram_populate() with stubs for the allocator and for pgtable_map(), which see memory."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.machine = bench, bench.machine
        self.shop = Shop(bench, input_bits=32, concatenate=True)
        config = bench.make("struct bundle_vm", flags=1)
        self.vm = bench.make("struct vm", config=config.address, ram_base=GIB,
                             ram_bytes=2 * BLOCK)
        bench.put(self.vm, stage2__released_blocks=bench.room(PAGE))
        table = self.machine.memory.read(self.shop.struct.address, bench.size("struct pgtable"))
        self.machine.memory.write(bench.address_of(self.vm, "stage2.table"), table)
        self.allocated: list[tuple[int, ...]] = []
        self.freed: list[tuple[int, ...]] = []
        self.cleaned: list[tuple[int, ...]] = []
        self.mapped: list[tuple[int, ...]] = []
        self.refusal = 0  # what pgtable_map() says
        self.supply = 1 << 30  # the largest order that there is

    def __call__(self) -> int:
        stubs: dict[str | int, Stub] = {
            "page_alloc": self.allocate, "page_alloc_zeroed": self.allocate_zeroed,
            "page_free": self.free, "pgtable_map": self.map,
            "dcache_clean_invalidate": self.clean,
        }  # fmt: skip
        return code(self.bench.call("guest_ram_populate", self.vm.address,
                                    GIB + PIECE + 5 * PAGE + 8, stubs=stubs))

    @property
    def resident(self) -> int:
        return self.vm.get("stage2.resident_bytes")

    def allocate(self, order: int, *_: int) -> int:
        at = self.allocate_zeroed(order)
        if at != PAGE_NONE:
            self.machine.memory.write(at, b"\xa5" * (PAGE << order))
        return at

    def allocate_zeroed(self, order: int, *_: int) -> int:
        if order > self.supply:
            return PAGE_NONE
        at = self.bench.room(PAGE << order, PAGE << order)
        self.allocated.append((at, order))
        return at

    def free(self, at: int, order: int, *_: int) -> int:
        self.freed.append((at, order))
        return 0

    def clean(self, start: int, count: int, *_: int) -> int:
        left = sum(byte != 0 for byte in self.machine.memory.read(start, count))
        expect("memory is zero when it is cleaned: bytes that are not", left, 0)
        self.cleaned.append((start, count))
        return 0

    def map(self, _table: int, address: int, pa: int, count: int) -> int:
        left = sum(byte != 0 for byte in self.machine.memory.read(pa, count))
        expect("memory is zero when pgtable_map() gets it: bytes that are not", left, 0)
        expect("what is cleaned to the point of coherency before: (PA, bytes)",
               hexes(self.cleaned[-1:]), hexes([(pa, count)]))
        self.mapped.append((address, pa, count))
        return self.refusal & PAGE_NONE

    def expect_the_page_alone(self) -> None:
        expect("what is mapped (IPA, bytes): the page alone",
               hexes([(address, size) for address, _, size in self.mapped]),
               hexes([(GIB + PIECE + 5 * PAGE, PAGE)]))


def test_memory_is_filled_before_it_is_mapped(lab: Lab, seed: int) -> None:
    """What a guest may read is zero, and cleaned; a touch brings in a piece."""
    touch = Touch(cold(lab, seed))
    expect_code("guest_ram_populate() of a page", touch(), 0)
    expect("what is mapped (IPA, PA, bytes): the whole piece", hexes(touch.mapped),
           hexes([(GIB + PIECE, touch.allocated[0][0], PIECE)]))
    expect("stage2.resident_bytes", touch.resident, PIECE)


def test_memory_that_cannot_be_mapped_goes_back(lab: Lab, seed: int) -> None:
    """No memory for a table: pgtable_map() refuses the piece, and then the page."""
    touch = Touch(cold(lab, seed))
    touch.refusal = -ENOMEM
    expect_code("guest_ram_populate() when pgtable_map() has no memory for a table",
                touch(), -ENOMEM)
    expect_that("memory was allocated for it", bool(touch.allocated), "none")
    expect("what was allocated for it is freed (PA, order)", hexes(sorted(touch.freed)),
           hexes(sorted(touch.allocated)))
    expect("stage2.resident_bytes stays", touch.resident, 0)


def test_a_piece_that_cannot_come_as_a_whole_comes_by_pages(lab: Lab, seed: int) -> None:
    """A part of it is mapped; there is no memory for all of it; another vCPU was faster."""
    touch = Touch(cold(lab, seed))
    shop = touch.shop
    shop.move_to(touch.bench.address_of(touch.vm, "stage2.table"))
    there, here = GIB + PIECE, GIB + PIECE + 5 * PAGE
    expect_code("pgtable_map() of the piece's first page",
                shop.call("pgtable_map", there, 0, PAGE, READ), 0)
    expect_code("guest_ram_populate() of a page whose piece is mapped in part", touch(), 0)
    touch.expect_the_page_alone()
    shop.call("pgtable_unmap", there, PAGE)
    touch.mapped.clear()
    touch.supply = 0
    expect_code("guest_ram_populate() without memory for a piece", touch(), 0)
    touch.expect_the_page_alone()
    resident = touch.resident
    shop.call("pgtable_map", here, 0, PAGE, READ)
    touch.allocated.clear()
    expect_code("guest_ram_populate() of what another vCPU has touched meanwhile", touch(), 0)
    expect("nothing is allocated", hexes(touch.allocated), "nothing")
    expect("stage2.resident_bytes stays", touch.resident, resident)


def test_memory_goes_back_when_nothing_leads_to_it(lab: Lab, seed: int) -> None:
    """STRATA_MEMORY_RELEASE: 70 pages that lie apart, and a block of which a page goes."""
    bench = cold(lab, seed)
    shop = Shop(bench)
    vm = bench.make("struct vm", config=bench.make("struct bundle_vm").address, ram_base=2 * GIB,
                    ram_bytes=2 * BLOCK)
    vcpu = bench.vcpu(vm=vm.address)
    bench.put(vm, stage2__released_blocks=bench.room(PAGE))
    level2, level3 = new_table(shop), new_table(shop)
    put(shop, shop.get("root.pa"), 2, level2 | 3)
    put(shop, level2, 0, level3 | 3)
    put(shop, level2, 1, 0x9000_0000 | RWX_NORMAL | 1)
    pages = [0x8000_0000 + 2 * n * PAGE for n in range(70)]
    for n, page in enumerate(pages):
        put(shop, level3, 511 - n, page | RWX_NORMAL | 3)
    resident = len(pages) * PAGE + BLOCK
    bench.put(shop.struct, mapped_bytes=resident, table_bytes=3 * PAGE)
    bench.put(vm, stage2__resident_bytes=resident)
    shop.move_to(bench.address_of(vm, "stage2.table"))
    cached: list[tuple[int, int]] = []  # what TLBs may still lead to: (PA, size)
    freed: list[int] = []

    def reached() -> list[tuple[int, int]]:
        return [(pa, size) for _, pa, size in shop.leaves()]

    def invalidate(_address: int, _bytes: int) -> None:
        cached[:] = reached()

    def free(at: int, order: int, *_: int) -> int:
        left = [(pa, size) for pa, size in {*cached, *reached()}
                if pa < at + (PAGE << order) and at < pa + size]
        expect(f"page_free() of {at:#x}: no entry and no TLB leads there", hexes(left), "nothing")
        freed.extend(range(at, at + (PAGE << order), PAGE))
        return 0

    def release(ipa: int, count: int) -> int:
        """One call, and those to which the guest is sent back."""
        freed.clear()
        cached[:] = reached()
        bench.put(vcpu, **{"frame.x[1]": ipa, "frame.x[2]": count}, frame__pc=4)
        for _ in range(3):
            stubs = shop.stubs
            stubs["page_free"] = free
            bench.call("memory_release", vcpu.address, stubs=stubs)
            if vcpu.get("frame.pc") == 4:
                break
            bench.put(vcpu, frame__pc=4)
        return code(vcpu.get("frame.x[0]"))

    shop.on_invalidate = invalidate
    ram, end = 2 * GIB, 2 * GIB + 2 * BLOCK
    for what, ipa, count in (
        ("no bytes", ram, 0), ("half a page", ram, PAGE // 2), ("a page and a half", ram, 6144),
        ("a page from the middle of one on", ram + PAGE // 2, PAGE),
        ("a page below RAM", ram - PAGE, PAGE),
        ("the last page and one more", end - PAGE, 2 * PAGE),
        ("the page behind RAM", end, PAGE), ("so much that the sum wraps", ram + PAGE, -PAGE),
    ):  # fmt: skip
        expect_code(f"a release of {what}: X0", release(ipa, count), -EINVAL)
        expect(f"a release of {what}: pages freed", len(freed), 0)
    expect("stage2.resident_bytes", vm.get("stage2.resident_bytes"), resident)
    shop.supply = 0
    expect_code("a release of a page in a block, without memory to split it: X0",
                release(end - PAGE, PAGE), -ENOMEM)
    expect("pages freed", len(freed), 0)
    expect("stage2.resident_bytes", vm.get("stage2.resident_bytes"), resident)
    shop.supply = 9
    expect_code("with memory: X0", release(end - PAGE, PAGE), 0)
    expect("pages freed", hexes([tuple(freed)]), hexes([(0x9000_0000 + BLOCK - PAGE,)]))
    expect("stage2.resident_bytes", vm.get("stage2.resident_bytes"), resident - PAGE)
    expect_code("a release of all of RAM: X0", release(ram, 2 * BLOCK), 0)
    blocks = [0x9000_0000 + at for at in range(0, BLOCK - PAGE, PAGE)]
    expect_that("each page is freed once", sorted(freed) == sorted(pages + blocks),
                f"{len(freed)} pages")
    expect("stage2.resident_bytes", vm.get("stage2.resident_bytes"), 0)
    expect("nothing is mapped", summary(shop.leaves()), "nothing")
    bench.put(vm, stage2__resident_bytes=0x11000, stage2__table__mapped_bytes=0)
    tables = vm.get("stage2.table.table_bytes")
    order = [one.name for one in bench.executed(r"ldaxr|swpa|stlr w", "memory_stats",
                                                vcpu.address)]
    expect("memory_stats(): X0 to X3 are 0, bytes of RAM, resident, of tables",
           hexes([tuple(bench.frame(vcpu)[:4])]), hexes([(0, 2 * BLOCK, 0x11000, tables)]))
    expect_that("it takes stage2.lock and gives it back: all are of one moment",
                len(order) >= 2 and order[-1] == "stlr", order)
    bench.put(vm, stage2__resident_bytes=0)
    shop.check("after all these")
