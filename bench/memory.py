# SPDX-License-Identifier: MIT
"""Memory of a measured machine, which outlives it: what EL2 counted is read when all is over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

from tools.errors import UserError

RAM_BASE = 0x4000_0000


class Memory:
    """RAM as a file in memory that the emulator opens, too. Use as a context manager."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._fd = os.memfd_create("strata-ram")
        os.ftruncate(self._fd, size)

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def arguments(self) -> list[str]:
        """QEMU's options that make this file the machine's RAM."""
        path = f"/proc/{os.getpid()}/fd/{self._fd}"
        return ["-object", f"memory-backend-file,id=ram,size={self._size},share=on,mem-path={path}",
                "-machine", "memory-backend=ram"]

    def number(self, address: int, size: int) -> int:
        return int.from_bytes(os.pread(self._fd, size, address - RAM_BASE), "little")


class Variables:
    """Where an image has its variables, and where the members of their structs are."""

    def __init__(self, elf: Path) -> None:
        with elf.open("rb") as file:
            image = ELFFile(file)
            table = image.get_section_by_name(".symtab")
            self._symbols = {one.name: int(one["st_value"]) for one in table.iter_symbols()}
            self._offsets = {kind: offsets for unit in image.get_dwarf_info().iter_CUs()
                             for kind, offsets in _structs(unit.get_top_DIE())}

    def address(self, name: str) -> int:
        if name not in self._symbols:
            raise UserError(f"the image has no {name}: it needs layer 6")
        return self._symbols[name]

    def offset(self, kind: str, member: str) -> int:
        return self._offsets[kind][member]


def _structs(unit: DIE) -> Iterator[tuple[str, dict[str, int]]]:
    """Each struct with the offsets of its members."""
    for die in unit.iter_children():
        if die.tag == "DW_TAG_structure_type" and "DW_AT_name" in die.attributes:
            members = {one.attributes["DW_AT_name"].value.decode():
                       one.attributes["DW_AT_data_member_location"].value
                       for one in die.iter_children() if "DW_AT_name" in one.attributes}
            yield die.attributes["DW_AT_name"].value.decode(), members


def used_ticks(memory: Memory, variables: Variables) -> list[int]:
    """Time that each VM's first vCPU was charged for."""
    vms = variables.address("vms")
    count = memory.number(variables.address("vm_count"), 4)
    vcpus = [memory.number(memory.number(vms + 8 * index, 8) + variables.offset("vm", "vcpus"), 8)
             for index in range(count)]
    return [memory.number(vcpu + variables.offset("vcpu", "used_ticks"), 8) for vcpu in vcpus]


def missed(memory: Memory, variables: Variables) -> int:
    """How often a vCPU had waited beside a CPU that slept."""
    return memory.number(variables.address("balance_missed"), 4)
