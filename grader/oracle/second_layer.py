# SPDX-License-Identifier: MIT
"""One more layer with hooks of a vCPU in an image that runs, as if it were linked behind the rest.

With one layer in the image nobody sees in which order the hooks of several run. All code that has
the address of the table or of its end was relocated by the linker, which kept its notes in the ELF
(--emit-relocs): they lead to a longer table elsewhere.
"""

from __future__ import annotations

import re
import struct
import subprocess

from grader.machine.images import cross_prefix
from grader.machine.machine import Machine
from grader.machine.memory import RAM_BASE
from grader.machine.verdict import infrastructure
from grader.oracle.objects import Objects

TABLE, END = "registry_vcpu_hooks", "registry_vcpu_hooks_end"
HOOKS = ("reset", "load", "save")
PAGE = 4096
RETURN = 0xD65F_03C0
SECTION = re.compile(r"Relocation section '(\S+)'")
NOTE = re.compile(rf"([0-9a-f]+)\s+[0-9a-f]+\s+R_AARCH64_(\w+)\s+[0-9a-f]+ ({TABLE}|{END}) "
                  r"([+-]) ([0-9a-f]+)$")
LOADS = {"LDST8": 0, "LDST16": 1, "LDST32": 2, "LDST64": 3}  # and by how much they shift an offset


def add_layer(machine: Machine) -> dict[str, int]:
    """Where the hooks of the added layer are, which return at once: by reset, load and save.

    No function that goes through the table may be on the stack.
    """
    gdb, symbols, objects = machine.gdb, machine.symbols, Objects(machine)
    old = machine.memory.read(symbols[TABLE], symbols[END] - symbols[TABLE])
    page = RAM_BASE + machine.memory.size - PAGE  # nobody has been given it yet
    hooks = {name: page + PAGE // 2 + 4 * at for at, name in enumerate(HOOKS)}
    entry = bytearray(machine.layout("sizeof(struct vcpu_hooks)"))
    for name, address in hooks.items():
        offset, size = objects.member("struct vcpu_hooks", name)
        entry[offset:offset + size] = address.to_bytes(size, "little")
    gdb.write_virtual(page, old + bytes(entry))
    gdb.write_virtual(page + PAGE // 2, struct.pack("<3I", *[RETURN] * 3))
    moved = {TABLE: page, END: page + len(old) + len(entry)}
    for at, kind, symbol, addend in _notes(machine):
        target = moved[symbol] + addend
        if kind == "ABS64":
            gdb.write_virtual(at, struct.pack("<Q", target))
        else:
            word = int.from_bytes(gdb.read_virtual(at, 4), "little")
            gdb.write_virtual(at, struct.pack("<I", relocated(word, at, kind, target)))
    return hooks


def relocated(word: int, at: int, kind: str, target: int) -> int:
    """An instruction with another target (ELF for the Arm 64-bit Architecture, "Relocation")."""
    if kind == "ADR_PREL_PG_HI21":
        pages = (target >> 12) - (at >> 12)
        return word & 0x9F00_001F | (pages & 3) << 29 | (pages >> 2 & 0x7_FFFF) << 5
    name = kind.removesuffix("_ABS_LO12_NC")
    if name != "ADD" and name not in LOADS:
        raise infrastructure("the image's use of the table of hooks is known", f"R_AARCH64_{kind}")
    return word & ~(0xFFF << 10) | (target & 0xFFF) >> LOADS.get(name, 0) << 10


def _notes(machine: Machine) -> list[tuple[int, str, str, int]]:
    """Where what the linker relocated stands: how, by which symbol, and with which addend."""
    done = subprocess.run([cross_prefix() + "readelf", "-rW", str(machine.config.elf)],
                          capture_output=True, text=True, errors="backslashreplace", check=True)
    found, section = list[tuple[int, str, str, int]](), ""
    for line in done.stdout.splitlines():
        if head := SECTION.match(line):
            section = head[1]
        elif "debug" not in section and (note := NOTE.match(line)):
            found.append((int(note[1], 16), note[2], note[3], int(note[4] + note[5], 16)))
    return found
