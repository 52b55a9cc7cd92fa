# SPDX-License-Identifier: MIT
"""Symbols of an ELF file, by name and by address; the part of ELF64 that this needs and no more."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SHT_SYMTAB, SHT_NOBITS = 2, 8
STT_NOTYPE, STT_OBJECT, STT_FUNC = range(3)
STB_LOCAL = 0
SHN_UNDEF = 0
SHF_ALLOC = 2


@dataclass(frozen=True)
class Symbol:
    name: str
    address: int
    size: int
    kind: int
    is_local: bool


@dataclass(frozen=True)
class Section:
    name_offset: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class Symbols:
    """The symbol table of one ELF file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = data = path.read_bytes()
        if data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path}: not a little-endian ELF64 file")
        self.entry = struct.unpack_from("<Q", data, 24)[0]
        self.sections = list(_sections(data))
        table = next(s for s in self.sections if s.kind == SHT_SYMTAB)
        strings = self.sections[table.link]
        names = data[strings.offset:strings.offset + strings.size]
        found = []
        for offset in range(table.offset, table.offset + table.size, 24):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", data, offset)
            text = names[name:names.index(b"\0", name)].decode("utf-8", "backslashreplace")
            if section == SHN_UNDEF or not text or text.startswith("$") or info & 15 > STT_FUNC:
                continue
            found.append(Symbol(text, value, size, info & 15, info >> 4 == STB_LOCAL))
        # A name that is one file's own never hides the image's.
        self.by_name = {s.name: s for s in sorted(found, key=lambda s: not s.is_local)}
        self._code = sorted(
            (s for s in found if s.kind != STT_OBJECT), key=lambda s: (s.address, s.kind)
        )
        self._starts = [symbol.address for symbol in self._code]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __getitem__(self, name: str) -> int:
        """Address of a symbol; KeyError names the file too."""
        try:
            return self.by_name[name].address
        except KeyError:
            raise KeyError(f"{self.path.name} has no symbol {name}") from None

    def extent(self, name: str) -> range:
        """The addresses of a function of known size."""
        symbol = self.by_name[name]
        return range(symbol.address, symbol.address + symbol.size)

    def base(self) -> int:
        """Lowest address that is loaded: where byte 0 of the flat binary belongs."""
        return min(s.address for s in self.sections if s.flags & SHF_ALLOC and s.size)

    def word(self, address: int) -> int | None:
        """The 32 bits that the file has for an address; None where it loads nothing."""
        for s in self.sections:
            is_loaded = s.flags & SHF_ALLOC and s.kind != SHT_NOBITS
            if is_loaded and s.address <= address <= s.address + s.size - 4:
                return int(struct.unpack_from("<I", self._data, s.offset + address - s.address)[0])
        return None

    def place(self, address: int, reach: int = 0x10000) -> str | None:
        """`function+0x10` for an address in this file, None for one outside."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        symbol = self._code[index]
        distance = address - symbol.address
        if distance >= (symbol.size or reach):
            return None
        return f"{symbol.name}+{distance:#x}" if distance else symbol.name


def _sections(data: bytes) -> list[Section]:
    offset = struct.unpack_from("<Q", data, 40)[0]
    size, count = struct.unpack_from("<HH", data, 58)
    found = []
    for index in range(count):
        fields = struct.unpack_from("<IIQQQQI", data, offset + index * size)
        found.append(Section(*fields))
    return found


@lru_cache(maxsize=64)
def _load(path: Path, _stamp: int) -> Symbols:
    return Symbols(path)


def symbols_of(path: Path) -> Symbols:
    """The symbols of a file, parsed once for each version of it."""
    return _load(path, path.stat().st_mtime_ns)
