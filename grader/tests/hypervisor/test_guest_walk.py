# SPDX-License-Identifier: MIT
"""The level of an external abort on a walk of the guest's tables, where a probe does not come.

In the probe stage1_walk the tables stand still, and are little-endian.
"""

from __future__ import annotations

from grader.conftest import MakeLab
from grader.machine.verdict import expect
from grader.oracle.calls import Bench
from grader.oracle.objects import Object, Objects

S1PTW = 1 << 7
EE = 1 << 25
TABLE = 3
PAGE = 4096
ON_WALK = 0x14  # and the level
TABLES = 8 * PAGE  # from the beginning of RAM: anywhere, since the guest does not run


class GuestTables:
    """Tables for TTBR0_EL1, 4 KiB granule, in a VM's RAM; entry 0 of each leads to the next."""

    def __init__(self, bench: Bench, va_bits: int = 48, sctlr: int = 0) -> None:
        vm = Objects(bench.machine).vm(0)
        self.bench = bench
        self.vcpu: Object = vm.vcpu(0)
        self.order = "big" if sctlr & EE else "little"
        self.tables = [vm.get("ram_base") + TABLES + index * PAGE for index in range(5)]
        bench.sysreg("TCR_EL1", 64 - va_bits)
        bench.sysreg("TTBR0_EL1", self.tables[0])
        bench.sysreg("SCTLR_EL1", 0x30D0_0800 | sctlr)

    def lead_to(self, *descriptors: int) -> None:
        for table, descriptor in zip(self.tables, descriptors, strict=False):
            data = descriptor.to_bytes(8, self.order)  # type: ignore[arg-type]
            self.bench.machine.memory.write(table, data)

    def status(self, refused: int) -> int:
        """DFSC for address 0 when stage 2 refused this page."""
        self.bench.put(self.vcpu, exit__far=0, exit__hpfar=refused >> 12 << 4)
        return self.bench.call("guest_abort_status", self.vcpu.address, S1PTW)


def guest_tables(make_lab: MakeLab, seed: int, **options: int) -> GuestTables:
    return GuestTables(Bench.at_first_entry(make_lab(1).start("hypercalls"), seed), **options)


def test_tables_of_a_big_endian_guest_are_read_as_such(make_lab: MakeLab, seed: int) -> None:
    tables = guest_tables(make_lab, seed, sctlr=EE)
    nowhere = 0x2000_0000
    tables.lead_to(tables.tables[1] | TABLE, tables.tables[2] | TABLE, nowhere | TABLE)
    expect("the third table, of level 3, is nowhere", tables.status(nowhere), ON_WALK + 3)


def test_a_walk_that_ends_elsewhere_meanwhile_has_the_level_where_it_ends(
        make_lab: MakeLab, seed: int) -> None:
    """Another vCPU has changed the tables since; the page that stage 2 refused is not met."""
    tables = guest_tables(make_lab, seed)
    refused = 0x2000_0000
    tables.lead_to(tables.tables[1] | TABLE, 0)
    expect("the entry of level 1 has become invalid", tables.status(refused), ON_WALK + 1)
    tables.lead_to(tables.tables[1] | TABLE, 0x4000_0000 | 1)
    expect("the entry of level 1 has become a block", tables.status(refused), ON_WALK + 1)
    tables.lead_to(0x3000_0000 | TABLE)
    expect("the table of level 1 is nowhere, but elsewhere", tables.status(refused), ON_WALK + 1)
    tables.lead_to(*(table | TABLE for table in tables.tables[1:]))
    expect("all tables are there now", tables.status(refused), ON_WALK + 3)


def test_52_bits_begin_a_level_above_zero(make_lab: MakeLab, seed: int) -> None:
    """DFSC 0x13 is level -1 (Arm ARM, "ISS encoding for an exception from a Data Abort")."""
    tables = guest_tables(make_lab, seed, va_bits=52)
    expect("the root is nowhere", tables.status(tables.tables[0]), ON_WALK - 1)
    tables.lead_to(0x2000_0000 | TABLE)
    expect("the table of level 0 is nowhere", tables.status(0x2000_0000), ON_WALK)
