# SPDX-License-Identifier: MIT
"""What a probe said, as the plugin saw it at the moment at which the probe's own code said it.

EL2 owns the memory and the registers of its VMs: whatever a probe has written may be something else
when it is read later. The plugin (grader/machine/plugin/budget.c) therefore copies each entry of a
report out of physical memory by the store that completes it, and compares all code that runs at the
probe's addresses with the probe's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grader.machine.shared import (ENTRIES, ENTRY, ENTRY_MAX, PROGRAM, PROGRAM_BYTES, PROGRAM_MAX,
                                   PROGRAMS, Shared, Word)
from grader.machine.symbols import Symbols, symbols_of
from grader.machine.verdict import Finding, Verdict, infrastructure

# Instructions that are left for EL2 by an exception: mask, value, name.
_LEAVES = ((0xFFE0_001F, 0xD400_0002, "HVC"), (0xFFE0_001F, 0xD400_0003, "SMC"),
           (0xFFFF_FFFF, 0xD503_207F, "WFI"), (0xFFFF_FFFF, 0xD503_205F, "WFE"),
           (0xFFF0_0000, 0xD530_0000, "MRS"), (0xFFF0_0000, 0xD510_0000, "MSR"))
_BRANCHES = ((0x7C00_0000, 0x1400_0000), (0x7C00_0000, 0x3400_0000), (0xFE00_0000, 0x5400_0000),
             (0xFE00_0000, 0xD600_0000))
_BRANCH, _CHANGED = 1, 2  # as in plugin/budget.c
_SLOTS = ("insn_slot", "registers_slot")  # instructions that a probe replaces in its own code


@dataclass(frozen=True)
class Entry:
    """One property. `name` is the link address of its text, `place` counts the entries of all."""

    place: int
    name: int
    passed: bool
    observed: int
    expected: int
    number: int


class Witness:
    """The part of the plugin's shared memory that speaks about probes."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._programs: list[tuple[int, Symbols]] = []  # where each lies

    def watch(self, elf: Path, load_address: int, finishes: bool, vcpus: int = 1) -> None:
        """Expect this program's code, and its end if it has one, in one more VM, not yet run."""
        symbols = symbols_of(elf)
        self._programs.append((load_address, symbols))
        size = symbols["__text_end"] - symbols.base()
        slots = [symbols[name] if name in symbols else size for name in _SLOTS]
        program = PROGRAM.pack(load_address, size, symbols["report"], symbols["probe_commit"],
                               symbols["probe_finished"] if finishes else size,
                               symbols["guest_vectors"], symbols["exception_return"],
                               symbols["mode_landing"], *slots)
        program += elf.with_suffix(".bin").read_bytes()[:size]
        self._shared.put(Word.VCPU_COUNT, self._shared.get(Word.VCPU_COUNT) + vcpus)
        self._shared.put(Word.FINISH_WANTED, self._shared.get(Word.FINISH_WANTED) + finishes)
        count = self._shared.get(Word.PROGRAM_COUNT)
        places = [PROGRAMS + i * (PROGRAM.size + PROGRAM_BYTES) for i in range(PROGRAM_MAX)]
        if program in (self._shared.bytes[place:place + len(program)]
                       for place in places[:count]):
            return
        if count == PROGRAM_MAX or size > PROGRAM_BYTES:
            raise infrastructure("the plugin has no room for so many or so large probes")
        self._shared.bytes[places[count]:places[count] + len(program)] = program
        self._shared.put(Word.PROGRAM_COUNT, count + 1)

    @property
    def finished(self) -> int:
        """How many probes have come to their end."""
        return self._shared.get(Word.FINISH_COUNT)

    def entries(self, vm: int) -> list[Entry]:
        """What this VM's probe has reported so far, in order; FAIL when it was tampered with."""
        for objection in self.objections():
            raise objection
        return self.claims(vm)

    def claims(self, vm: int) -> list[Entry]:
        """The same, whether it counts or not."""
        count = self._shared.get(Word.ENTRY_COUNT)
        if count > ENTRY_MAX:
            raise Finding(Verdict.FAIL, "probes report what they saw once", f"{count} reports")
        found = []
        for place in range(ENTRIES, ENTRIES + count * ENTRY.size, ENTRY.size):
            words = ENTRY.unpack_from(self._shared.bytes, place)
            name, passed, observed, expected, owner, _, _, number = words
            if owner == vm:
                found.append(Entry(place, name, bool(passed), observed, expected, number))
        return found

    def objections(self) -> list[Finding]:
        """Why nothing that a probe says counts."""
        found = []
        if self._shared.get(Word.FOREIGN_COUNT):
            pc, word = self._shared.get(Word.FOREIGN_PC), self._shared.get(Word.FOREIGN_WORD)
            found += [
                Finding(
                    Verdict.FAIL,
                    "at the probe's addresses the probe's own code runs",
                    observed=f"the instruction {word:#010x} at {pc:#x}, which is not the probe's",
                    expected="the guest's image, as the bundle brought it",
                )
            ]
        if self._shared.get(Word.MOVED_COUNT):
            start, to, how = (self._shared.get(word)
                              for word in (Word.MOVED_FROM, Word.MOVED_TO, Word.MOVED_HOW))
            left = (f"left for EL2's vector +{how & ~_CHANGED:#x} at " if how & ~_CHANGED != _BRANCH
                    else "left for code that is not the probe's at ")
            found += [
                Finding(
                    Verdict.FAIL,
                    "after an exit a guest goes on where it was, or at its vectors",
                    observed=(f"{left}{start:#x} or behind it, went on at {to:#x} with other "
                              "general-purpose registers" if how & _CHANGED else
                              f"{left}{self._exit_behind(start)}, went on at {to:#x}"
                              if start and to else
                              f"{left}{start:#x} or behind it, where nothing traps" if start else
                              f"came from EL2 to {to:#x}, where it had not been interrupted"),
                    expected="the instruction that trapped, or the one behind it; after an HVC "
                    "always the one behind it; no exception while it reports; after an interrupt "
                    "all registers as they were",
                )
            ]
        return found

    def _exit_behind(self, start: int) -> str:
        """What can have led to EL2 in the straight line of code that was entered at `start`."""
        there = {(base, symbols.path): symbols for base, symbols in self._programs
                 if symbols.word(start - base) is not None}
        found = list[str]()
        # With stage 2 all VMs have the same addresses: which of several programs is not known.
        for (base, _), symbols in there.items() if len(there) == 1 else ():
            pc = start
            while (word := symbols.word(pc - base)) is not None:
                names = [name for mask, value, name in _LEAVES if word & mask == value]
                if names:
                    found.append(f"the {names[0]} at {pc:#x}, {symbols.place(pc - base)}")
                if names in (["HVC"], ["SMC"]) or any(word & mask == value
                                                      for mask, value in _BRANCHES):
                    break
                pc += 4
        return " or ".join(found) or f"{start:#x}, or at an instruction behind it"
