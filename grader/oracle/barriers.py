# SPDX-License-Identifier: MIT
"""Barriers, checked in the disassembly: QEMU behaves the same with and without them.

Every path from an instruction that needs a barrier is followed, over branches, until the barrier is
found. Arriving at a return without it, at EL1 or at another TLB instruction that relies on it, is a
finding. What happens in a function that is called is not looked at.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from grader.machine import images
from grader.machine.images import cross_prefix
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect_that

PLACE = re.compile(r"\s*[0-9a-f]+")
TARGET = re.compile(r"\b([0-9a-f]+) <")
EVERYWHERE = range(1 << 48)
CONDITIONAL = re.compile(r"b\.\w+|cbz|cbnz|tbz|tbnz")


class Instruction(NamedTuple):
    address: int
    name: str
    operands: str

    @property
    def text(self) -> str:
        return f"{self.name} {self.operands}" if self.operands else self.name

    def is_like(self, pattern: str) -> bool:
        return bool(re.match(pattern, self.text))


@cache
def disassemble(elf: Path) -> dict[int, Instruction]:
    """The code of an image in the order of its addresses."""
    done = subprocess.run([cross_prefix() + "objdump", "-d", "--no-show-raw-insn", str(elf)],
                          capture_output=True, text=True, errors="backslashreplace",
                          check=True)
    found = {}
    for line in done.stdout.splitlines():  # address: name, operands and a comment
        place, tab, rest = line.partition(":\t")
        if tab and PLACE.fullmatch(place):  # a symbol may have any name
            name, _, operands = rest.partition("\t")
            address = int(place, 16)
            found[address] = Instruction(address, name, operands.partition("//")[0].strip())
    return found


@cache
def alike(elf: Path, pattern: str) -> tuple[Instruction, ...]:
    """The instructions of an image that look like this. All tests of barriers ask for some, each of
    an image of 10,000 instructions."""
    match = re.compile(pattern).match
    return tuple(one for one in disassemble(elf).values() if match(one.text))


def successors(instruction: Instruction) -> list[int]:
    """Where execution may go on in the same function."""
    following = instruction.address + 4
    target = TARGET.search(instruction.operands)
    if instruction.name == "b" and target:
        return [int(target[1], 16)]
    if CONDITIONAL.fullmatch(instruction.name) and target:
        return [int(target[1], 16), following]
    return [] if instruction.name in ("br", "ret", "eret") else [following]


@cache
def place_of(elf: Path, address: int) -> str:
    """The function of an instruction, with `file:line` as the student knows the file.

    Of functions that the compiler has made one, that which a student has written innermost:
    `hyp_mmu_enable (FILE:LINE), inlined in hyp_mmu_init_cpu+0x60`."""
    done = subprocess.run([cross_prefix() + "addr2line", "-i", "-f", "-e", str(elf),
                           f"{address:#x}"],
                          capture_output=True, text=True, errors="backslashreplace", check=True)
    lines = done.stdout.splitlines()
    frames = [(function, *line.split(" ")[0].rpartition(":")[::2])
              for function, line in zip(lines[::2], lines[1::2], strict=True)]
    outer = frames[-1]
    # Not a helper inside it: those are in headers.
    inner = next((frame for frame in frames if frame[1].endswith(".c")), outer)
    function, name, line = inner
    parts = Path(name).parts
    tree = next((at for at, part in enumerate(parts) if part in ("labs", "solution", "kit")), 0)
    place, line = symbols_of(elf).place(address), f"({'/'.join(parts[tree:])}:{line})"
    return f"{place} {line}" if inner == outer else f"{function} {line}, inlined in {place}"


def said(elf: Path, address: int) -> str:
    """An instruction with its place in the image and in its file: a part of a sentence."""
    code = disassemble(elf)[address]
    operands = re.sub(r"^[0-9a-f]+ <(.*)>$", r"\1", code.operands).strip()
    words = code.name.upper() + (f" {operands.upper()}" if operands and "<" not in code.operands
                                 else f" {operands}" if operands else "")
    return f"{words} at {place_of(elf, address)}"


def name_of(pattern: str) -> str:
    """What a pattern of one instruction asks for."""
    return re.sub(r"\((\w+)\|[^)]*\)", r"\1", pattern).removesuffix(r"\b").rstrip("$").upper()


def occurs(elf: Path, pattern: str) -> bool:
    """Whether the image has such an instruction: where there is none, no barrier can be missing."""
    return bool(alike(elf, pattern))


def missing(elf: Path, start: str | int, barriers: tuple[str, ...], before: str,
            within: range = EVERYWHERE) -> Iterator[tuple[int, str, int]]:
    """For each `start` from which a path comes to `before` without all `barriers`, in their order:
    its address, the barrier that is missing, and the address where it should have been in effect.
    `start` is what instructions look like, or the address of a function."""
    code = disassemble(elf)
    if isinstance(start, int):
        ways = [(start, [(start, 0)])]
    else:
        ways = [(one.address, [(address, 0) for address in successors(one)])
                for one in alike(elf, start)]
    for begin, todo in ways:
        if begin not in within:
            continue
        seen: set[tuple[int, int]] = set()
        while todo:
            address, passed = todo.pop()
            if (address, passed) in seen or address not in code or address not in within:
                continue
            seen.add((address, passed))
            here = code[address]
            if here.is_like(barriers[passed]):
                passed += 1
                if passed == len(barriers):
                    continue
            elif here.is_like(before):
                yield begin, barriers[passed], address
                break
            todo += [(following, passed) for following in successors(here)]


def findings(lab: int, start: str, barriers: tuple[str, ...], before: str,
             function: str = "", first: bool = False) -> list[str]:
    """In words what missing() finds in the lab's image, which has an instruction like `start`.

    With `function` only that one is looked at; `first`: from its entry on, where `start` comes
    before the barriers."""
    elf = images.hypervisor(lab).elf
    symbols = symbols_of(elf)
    begin: str | int = start
    within = EVERYWHERE
    if function:
        expect_that(f"the image has {function}()", function in symbols)
        within = symbols.extent(function)
    if first:
        begin, barriers = within.start, (start, *barriers)
    expect_that(f"there is an instruction like {start} in {function or 'the image'}",
                any(one.address in within for one in alike(elf, start)))
    return [f"behind {said(elf, address)}, no {name_of(barrier)} comes before {said(elf, end)}"
            for address, barrier, end in missing(elf, begin, barriers, before, within)]
