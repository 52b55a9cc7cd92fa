# SPDX-License-Identifier: MIT
"""Questions about who can reach which physical memory, answered by walking the machine's tables."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from grader.machine.machine import Machine
from grader.machine.memory import RAM_BASE
from grader.oracle.decode import el2_registers as el2
from grader.oracle.decode.stage1 import Leaf as HypLeaf
from grader.oracle.decode.stage1 import Stage1
from grader.oracle.decode.stage2 import Leaf, Stage2
from grader.oracle.decode.table import Walk
from grader.oracle.objects import Vm


@dataclass(frozen=True)
class Range:
    """A range of physical addresses with the one who owns it."""

    start: int
    end: int
    owner: str

    def overlaps(self, other: Range) -> bool:
        return self.start < other.end and other.start < self.end

    def __str__(self) -> str:
        return f"{self.owner} [{self.start:#x}, {self.end:#x})"


def stage2_of(machine: Machine, vm: Vm) -> Stage2:
    """The VM's table as its objects record it."""
    fwb = el2.hcr_has(vm.vcpu(0).get("hcr"), "FWB")
    return Stage2(vm.get("stage2.vtcr"), vm.get("stage2.vttbr"), machine.memory.words, fwb)


def leaves_of(machine: Machine, vm: Vm) -> list[tuple[Walk, Leaf]]:
    return list(stage2_of(machine, vm).leaves())


def reach_of(machine: Machine, vm: Vm) -> list[Range]:
    """All physical memory and devices that the VM's table leads to."""
    name = vm.name
    return [
        Range(walk.output, walk.output + walk.size, name)
        for walk, _ in leaves_of(machine, vm)
        if walk.output is not None
    ]


def ram_of(machine: Machine, vm: Vm) -> list[Range]:
    return [area for area in reach_of(machine, vm) if area.start >= RAM_BASE]


def tables_of(machine: Machine, vm: Vm) -> list[Range]:
    """The memory of the VM's tables themselves."""
    tables = stage2_of(machine, vm).table.tables()
    return [Range(table, table + 4096, f"table of {vm.name}") for table in tables]


def hypervisor_ranges(machine: Machine) -> list[Range]:
    """The image of EL2, with its BSS, and the bundle's metadata."""
    symbols = machine.symbols
    start, end = symbols["image_start"], symbols["image_end"]
    return [Range(start, end, "hypervisor")]


def hypervisor_map(machine: Machine) -> Stage1:
    """EL2's own translation, from the registers that the CPU uses."""
    return Stage1(
        machine.register("TCR_EL2"),
        machine.register("TTBR0_EL2"),
        machine.register("MAIR_EL2"),
        machine.memory.words,
    )


def hypervisor_leaves(machine: Machine) -> list[tuple[Walk, HypLeaf]]:
    return list(hypervisor_map(machine).leaves())


def non_zero_words(data: bytes) -> int:
    """How many 64-bit words are not zero."""
    return sum(1 for (word,) in struct.iter_unpack("<Q", data) if word)
