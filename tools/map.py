# SPDX-License-Identifier: MIT
"""`make map`: the registries of an image, which the linker filled and grep therefore cannot find.

Nothing here knows the shape of an entry: for each pair of symbols registry_X, registry_X_end the
debug information says what struct the table holds, and the image's bytes hold the entries.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.dwarf.die import DIE
from elftools.elf.elffile import ELFFile

from tools.errors import UserError, run_main

QUALIFIERS = ("DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_typedef")


@dataclass(frozen=True)
class Member:
    name: str
    offset: int
    size: int
    kind: str  # "number", "text", "function", "flag", "other"


def _type_of(die: DIE) -> DIE | None:
    """The type of a variable, member or type, without const and typedef."""
    while "DW_AT_type" in die.attributes:
        die = die.get_DIE_from_attribute("DW_AT_type")
        if die.tag not in QUALIFIERS:
            return die
    return None


def _name(die: DIE | None) -> str:
    has_name = die and "DW_AT_name" in die.attributes
    return die.attributes["DW_AT_name"].value.decode() if die and has_name else ""


def _member(die: DIE) -> Member:
    kind, size = "other", 0
    target = _type_of(die)
    if target is not None:
        size = (target.attributes["DW_AT_byte_size"].value
                if "DW_AT_byte_size" in target.attributes else 0)
        if target.tag == "DW_TAG_pointer_type":
            pointed = _type_of(target)
            if pointed is not None and pointed.tag == "DW_TAG_subroutine_type":
                kind = "function"
            elif _name(pointed) == "char":
                kind = "text"
        elif target.tag == "DW_TAG_base_type":
            kind = "flag" if _name(target) == "_Bool" else "number"
    return Member(_name(die), die.attributes["DW_AT_data_member_location"].value, size, kind)


class Image:
    def __init__(self, path: Path) -> None:
        try:
            self.elf = ELFFile(path.open("rb"))
        except (OSError, ELFError) as error:
            raise UserError(f"{path}: {error}") from None
        table = self.elf.get_section_by_name(".symtab")
        self.symbols = {s.name: s["st_value"] for s in table.iter_symbols() if s.name}
        self.functions = {s["st_value"]: s.name for s in table.iter_symbols()
                          if s["st_info"]["type"] == "STT_FUNC"}
        self.shapes = self._find_shapes()

    def read(self, address: int, size: int) -> bytes:
        for segment in self.elf.iter_segments("PT_LOAD"):
            start = address - segment["p_vaddr"]
            if 0 <= start and start + size <= segment["p_filesz"]:
                self.elf.stream.seek(segment["p_offset"] + start)
                return self.elf.stream.read(size)
        raise UserError(f"{address:#x} is not in the image")

    def number(self, address: int, size: int) -> int:
        return int.from_bytes(self.read(address, size), "little")

    def text(self, address: int) -> str:
        out = bytearray()
        while byte := self.read(address + len(out), 1)[0]:
            out.append(byte)
        return out.decode("utf-8", "replace")

    def _find_shapes(self) -> dict[str, tuple[int, list[Member], bool]]:
        """registry_X -> size of an entry, members of the struct, whether an entry is a pointer to
        one."""
        shapes: dict[str, tuple[int, list[Member], bool]] = {}
        for unit in self.elf.get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                # A unit may declare only the bound of a table that it uses.
                name = _name(die).removesuffix("_end")
                is_registry = die.tag == "DW_TAG_variable" and name.startswith("registry_")
                if not is_registry or name in shapes:
                    continue
                array = _type_of(die)
                entry = _type_of(array) if array is not None else None
                # A table of pointers: the struct is what they lead to.
                pointers = entry is not None and entry.tag == "DW_TAG_pointer_type"
                entry = _type_of(entry) if entry is not None and pointers else entry
                if entry is None or entry.tag != "DW_TAG_structure_type" or not entry.has_children:
                    continue
                members = [_member(m) for m in entry.iter_children() if m.tag == "DW_TAG_member"]
                shapes[name] = (8 if pointers else entry.attributes["DW_AT_byte_size"].value,
                                members, pointers)
        return shapes

    def registries(self) -> list[str]:
        found = [name for name in self.symbols
                 if name.startswith("registry_") and f"{name}_end" in self.symbols]
        return sorted(found, key=lambda name: self.symbols[name])

    def hooks(self) -> list[str]:
        """hook_X=function, of the hooks that a layer of the image has claimed."""
        found = {name: self.number(self.symbols[name], 8) for name in self.symbols
                 if name.startswith("hook_")}
        return sorted(f"{name.removeprefix('hook_')}={self.functions.get(value, hex(value))}"
                      for name, value in found.items() if value)

    def rows(self, registry: str) -> list[list[str]]:
        start, end = self.symbols[registry], self.symbols[f"{registry}_end"]
        if start == end:
            return []
        if registry not in self.shapes:
            return [[f"{end - start} bytes of a struct that the debug information does not name"]]
        size, members, pointers = self.shapes[registry]
        return sorted(self.row(self.number(address, 8) if pointers else address, members)
                      for address in range(start, end, size))

    def row(self, entry: int, members: list[Member]) -> list[str]:
        cells = [cell for member in members if (cell := self.cell(entry, member))]
        # Most entries are named after their only function: say it once.
        return [cell for cell in cells if cell.partition("=")[2] not in cells]

    def cell(self, entry: int, member: Member) -> str:
        value = self.number(entry + member.offset, member.size or 8)
        match member.kind:
            case "text":
                return self.text(value) if value else ""
            case "function":
                return f"{member.name}={self.functions.get(value, hex(value))}" if value else ""
            case "flag":
                return member.name if value else ""
            case "number":
                return f"{member.name}={value:#x}" if value > 9 else f"{member.name}={value}"
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/map.py", description="print an image's registries")
    parser.add_argument("elf", type=Path)
    image = Image(parser.parse_args().elf)
    for registry in image.registries():
        rows = image.rows(registry)
        print(f"{registry.removeprefix('registry_')} ({len(rows)})")
        for row in rows:
            print("  " + "  ".join(row))
    hooks = image.hooks()
    print(f"hooks ({len(hooks)})")
    for hook in hooks:
        print("  " + hook)
    return 0


if __name__ == "__main__":
    run_main(main)
