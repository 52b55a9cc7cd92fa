# SPDX-License-Identifier: MIT
"""The numbers that lab 2's questions ask for, measured on the image in hand."""

from __future__ import annotations

import pytest

from grader.conftest import Lab, Measured
from grader.machine.machine import EL1_ONLY, EL2_ONLY
from grader.machine.symbols import symbols_of
from grader.oracle import address_space as space
from grader.oracle.calls import Bench
from grader.oracle.decode.stage2 import Vtcr
from grader.oracle.objects import Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm

LAB = 2
MIB = 1 << 20
PAGE, BLOCK = 4096, 2 * MIB
DATA_ABORT = 0x24


@pytest.mark.parametrize(("name", "mib"), [("16m", 16), ("4g", 4096)])
def test_vtcr(lab: Lab, measured: Measured, name: str, mib: int) -> None:
    machine = lab.start(ProbeVm("hypercalls", memory_mib=mib))
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    vtcr = Vtcr(machine.register("VTCR_EL2"))
    measured(**{f"t0sz_{name}": vtcr.t0sz, f"sl0_{name}": 2 - vtcr.start_level,
                f"root_tables_{name}": vtcr.root_tables})


def test_bytes_of_tables(lab: Lab, measured: Measured) -> None:
    """A block of which a page was given back is a table of pages, whichever page that was."""
    machine = lab.start(ProbeVm("memory_tables", memory_mib=512))
    # 512 MiB line by line would be half of all instructions, and QEMU has no caches.
    Bench.at_first_entry(machine, 0).silence("dcache_clean_invalidate")
    end = RAM_BASE + LOAD_OFFSET + symbols_of(machine.guests[0].elf)["probe_finished"]
    machine.run_to(end, EL1_ONLY, budget=200_000_000)
    vm = Objects(machine).vm(0)
    tables = len(space.tables_of(machine, vm)) * PAGE
    blocks = sum(1 for area in space.ram_of(machine, vm) if area.end - area.start == BLOCK)
    measured(tables_touched=tables, tables_every_second_page=tables + blocks * PAGE)


def test_bytes_in_reach(lab: Lab, measured: Measured) -> None:
    machine = lab.start("mmio_decode")
    machine.run_to(Objects(machine).trap(DATA_ABORT),
                   f"{EL2_ONLY} && $ESR_EL2 >> 26 == {DATA_ABORT}")
    measured(reach_bytes=sum(area.end - area.start
                             for area in space.reach_of(machine, Objects(machine).vm(0))))
