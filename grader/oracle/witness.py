# SPDX-License-Identifier: MIT
"""What a probe said, as the plugin saw it at the moment at which the probe's own code said it.

EL2 owns the memory and the registers of its VMs: whatever a probe has written may be something else
when it is read later. The plugin (plugin/budget.c) therefore copies each entry of a report out of
physical memory by the store that completes it, and compares all code that runs at the probe's
addresses with the probe's file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path

from grader.machine.symbols import symbols_of
from grader.machine.verdict import Verdict, Finding, infrastructure

# Layout of struct shared in plugin/budget.c, behind what budget.py uses.
_FOREIGN_PC, _FOREIGN_WORD, _FOREIGN_COUNT = range(48, 72, 8)
_MOVED_FROM, _MOVED_TO, _MOVED_HOW, _MOVED_COUNT = range(72, 104, 8)
_ENTRY_COUNT, _FINISH_COUNT, _FINISH_WANTED, _VM_COUNT, _PROGRAM_COUNT, _ENTRIES = range(104, 152, 8)
_ENTRY_MAX = 4096
_ENTRY = struct.Struct("<8Q")
_PROGRAMS = _ENTRIES + _ENTRY_MAX * _ENTRY.size
_PROGRAM_MAX = 8
_PROGRAM_BYTES = 0x10000
_PROGRAM = struct.Struct("<7Q")
_SLOTS = ("insn_slot", "registers_slot")  # instructions that a probe replaces in its own code

SHARED_BYTES = _PROGRAMS + _PROGRAM_MAX * (_PROGRAM.size + _PROGRAM_BYTES)


@dataclass(frozen=True)
class Entry:
    """One property. `name` is the link address of its text."""

    name: int
    passed: bool
    observed: int
    expected: int
    number: int


class Witness:
    """The part of the plugin's shared memory that speaks about probes."""

    def __init__(self, page: mmap) -> None:
        self._page = page

    def watch(self, elf: Path, load_address: int, finishes: bool) -> None:
        """Expect this program's code there, in one more VM, and its end, if it has one. Before anything there has run."""
        symbols = symbols_of(elf)
        size = symbols["__text_end"] - symbols.base()
        slots = [symbols[name] if name in symbols else size for name in _SLOTS]
        program = _PROGRAM.pack(load_address, size, symbols["probe_commit"],
                                symbols["probe_finished"] if finishes else size, symbols["guest_vectors"], *slots)
        program += elf.with_suffix(".bin").read_bytes()[:size]
        self._put(_VM_COUNT, self._get(_VM_COUNT) + 1)
        self._put(_FINISH_WANTED, self._get(_FINISH_WANTED) + finishes)
        count = self._get(_PROGRAM_COUNT)
        places = [_PROGRAMS + i * (_PROGRAM.size + _PROGRAM_BYTES) for i in range(_PROGRAM_MAX)]
        if program in (self._page[place : place + len(program)] for place in places[:count]):
            return
        if count == _PROGRAM_MAX or size > _PROGRAM_BYTES:
            raise infrastructure("the plugin has no room for so many or so large probes")
        self._page[places[count] : places[count] + len(program)] = program
        self._put(_PROGRAM_COUNT, count + 1)

    @property
    def finished(self) -> int:
        """How many probes have come to their end."""
        return self._get(_FINISH_COUNT)

    def entries(self, vm: int) -> list[Entry]:
        """What the probe of this VM has said so far, in order; FAIL when the probe was tampered with."""
        for objection in self.objections():
            raise objection
        count = self._get(_ENTRY_COUNT)
        if count > _ENTRY_MAX:
            raise Finding(Verdict.FAIL, "probes report what they saw once", f"{count} reports")
        found = []
        for place in range(_ENTRIES, _ENTRIES + count * _ENTRY.size, _ENTRY.size):
            words = _ENTRY.unpack_from(self._page, place)
            name, passed, observed, expected, owner, _, _, number = words
            if owner == vm:
                found.append(Entry(name, bool(passed), observed, expected, number))
        return found

    def objections(self) -> list[Finding]:
        """Why nothing that a probe says counts."""
        found = []
        if self._get(_FOREIGN_COUNT):
            pc, word = self._get(_FOREIGN_PC), self._get(_FOREIGN_WORD)
            found += [
                Finding(
                    Verdict.FAIL,
                    "at the probe's addresses the probe's own code runs",
                    observed=f"the instruction {word:#010x} at {pc:#x}, which is not the probe's",
                    expected="the guest's image, as the bundle brought it",
                )
            ]
        if self._get(_MOVED_COUNT):
            start, to, how = (self._get(at) for at in (_MOVED_FROM, _MOVED_TO, _MOVED_HOW))
            found += [
                Finding(
                    Verdict.FAIL,
                    "after an exit a guest goes on where it was, or at its vectors",
                    observed=f"left the block at {start:#x} by EL2's vector +{how:#x},"
                    f" went on at {to:#x}",
                    expected="the instruction that trapped, or the one behind it",
                )
            ]
        return found

    def _get(self, offset: int) -> int:
        return int(struct.unpack_from("<Q", self._page, offset)[0])

    def _put(self, offset: int, value: int) -> None:
        struct.pack_into("<Q", self._page, offset, value)
