# SPDX-License-Identifier: MIT
"""Takes a flattened device tree apart and puts one together.

A tree that a user hands over may be damaged or hostile. libfdt edits a tree in place and trusts its
lengths: a wrong one makes libfdt move memory outside the tree. So a user's tree never reaches
libfdt: this module reads it, checks every offset and length, and writes the tree anew.

Manual: Devicetree Specification, "Flattened Devicetree (DTB) Format".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import libfdt

MAGIC = 0xD00D_FEED
VERSION = 17  # all trees of today can be read as this
BOOT_CPU_OFFSET = 28
HEADER = struct.Struct(">10I")
RESERVATION = struct.Struct(">QQ")
BEGIN_NODE, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9
DEPTH_MAX = 64
NAME_MAX = 255


@dataclass
class Node:
    name: str
    properties: dict[str, bytes] = field(default_factory=dict)
    children: dict[str, Node] = field(default_factory=dict)


@dataclass
class Tree:
    root: Node
    reservations: list[tuple[int, int]]
    boot_cpu: int = 0


def _check(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(f"not a device tree: {problem}")


def _text(data: bytes, what: str) -> str:
    """A NUL-terminated name at the start of data."""
    end = data.find(b"\0", 0, NAME_MAX + 1)
    _check(end >= 0, f"{what} has no end")
    name = data[:end]
    _check(name.isascii() and name.decode("ascii").isprintable() and b"/" not in name,
           f"{what} is no name")
    return name.decode("ascii")


class _Structure:
    """The structure block, token by token."""

    def __init__(self, structure: bytes, strings: bytes) -> None:
        self.structure, self.strings, self.at = structure, strings, 0

    def take(self, size: int) -> bytes:
        """The next bytes; the position goes on to a multiple of four behind them."""
        _check(size <= len(self.structure) - self.at, "its structure is cut short")
        data = self.structure[self.at:self.at + size]
        self.at += size + -size % 4
        return data

    def token(self) -> int:
        while (token := int.from_bytes(self.take(4), "big")) == NOP:
            pass
        return token

    def node_name(self) -> str:
        name = _text(self.structure[self.at:self.at + NAME_MAX + 1], "a node's name")
        self.take(len(name) + 1)
        return name

    def property(self) -> tuple[str, bytes]:
        length, name_at = struct.unpack(">II", self.take(8))
        name = _text(self.strings[name_at:name_at + NAME_MAX + 1], "a property's name")
        _check(name != "", "a property has no name")
        return name, self.take(length)

    def read(self) -> Node:
        """The root with all that is below it."""
        above = Node("")  # the root's parent, so that the root is a node like any other
        path = [above]
        while (token := self.token()) != END:
            node = path[-1]
            if token == BEGIN_NODE:
                name = self.node_name()
                _check(len(path) <= DEPTH_MAX, f"its nodes are nested more than {DEPTH_MAX} deep")
                _check((node is above) == (name == ""), "the root alone has no name")
                _check(name not in node.children, f'a node has two children "{name}"')
                path.append(node.children.setdefault(name, Node(name)))
            elif token == PROP:
                _check(node is not above and not node.children,
                       "a property stands outside its node's head")
                name, value = self.property()
                _check(name not in node.properties, f'a node has two properties "{name}"')
                node.properties[name] = value
            elif token == END_NODE:
                _check(node is not above, "a node ends that did not begin")
                path.pop()
            else:
                _check(False, f"its structure has the unknown token {token:#x}")
        _check(len(path) == 1 and len(above.children) == 1,
               "a node does not end, or there is no root")
        return above.children[""]


def _read_reservations(data: bytes) -> list[tuple[int, int]]:
    entries: list[tuple[int, int]] = []
    for at in range(0, len(data) - RESERVATION.size + 1, RESERVATION.size):
        address, size = RESERVATION.unpack_from(data, at)
        if (address, size) == (0, 0):
            return entries
        entries.append((address, size))
    raise ValueError("not a device tree: its memory reservations have no end")


def read(blob: bytes) -> Tree:
    """Raises ValueError, with one sentence, for everything that is not a well-formed tree."""
    _check(len(blob) >= HEADER.size, f"{len(blob)} bytes are too few")
    (magic, total, structure_at, strings_at, reservations_at, version, compatible, boot_cpu,
     strings_size, structure_size) = HEADER.unpack_from(blob)
    _check(magic == MAGIC, "the magic is wrong")
    _check(version >= VERSION >= compatible,
           f"version {version} (compatible with {compatible}), not {VERSION}")
    _check(HEADER.size <= total <= len(blob),
           f"the header says {total} bytes, the file has {len(blob)}")
    for what, at, size, alignment in (("structure block", structure_at, structure_size, 4),
                                      ("strings block", strings_at, strings_size, 1),
                                      ("reservation block", reservations_at, 0, 8)):
        _check(at >= HEADER.size and at % alignment == 0 and at <= total and size <= total - at,
               f"its {what} lies outside of it")
    reservations = _read_reservations(blob[reservations_at:total])
    structure = _Structure(blob[structure_at:structure_at + structure_size],
                           blob[strings_at:strings_at + strings_size])
    return Tree(structure.read(), reservations, boot_cpu)


def finished(fdt: libfdt.FdtSw) -> bytes:
    """The bytes of a tree that is complete."""
    fdt.resize(len(fdt.as_bytearray()) + 4)  # as_fdt() makes no room for the last token
    tree = fdt.as_fdt()
    return bytes(tree.as_bytearray()[:tree.totalsize()])


def _write_node(fdt: libfdt.FdtSw, node: Node) -> None:
    with fdt.add_node(node.name):
        for name, value in node.properties.items():
            fdt.property(name, value)
        for child in node.children.values():
            _write_node(fdt, child)


def write(tree: Tree, *, size_hint: int) -> bytes:
    """The inverse of read(); `size_hint`: about as many bytes as it will have."""
    fdt = libfdt.FdtSw(size_hint)
    for address, size in tree.reservations:
        fdt.add_reservemap_entry(address, size)
    fdt.finish_reservemap()
    _write_node(fdt, tree.root)
    data = bytearray(finished(fdt))
    struct.pack_into(">I", data, BOOT_CPU_OFFSET, tree.boot_cpu)
    return bytes(data)
