# SPDX-License-Identifier: MIT
"""Who can call whom in an image, from its machine code and its tables of function pointers.

An edge is a branch, or the taking of a function's address, which counts as a call by the function
that takes it. So no reachable function is missed, but for one whose address is computed.
"""

from __future__ import annotations

import bisect
import re
import subprocess
from collections import deque
from pathlib import Path

from tools.map import Image

INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+([a-z0-9.]+)\s*(.*)$")
BRANCH = re.compile(r"^(?:b|bl|b\..+|bc\..+|cbz|cbnz|tbz|tbnz)$")
TARGET = re.compile(r"(?:^|\s)([0-9a-f]+)(?: <[^>]*>)?$")
ADRP = re.compile(r"^(x\d+), ([0-9a-f]+)")
ADD = re.compile(r"^x\d+, (x\d+), #(0x[0-9a-f]+|\d+)$")
NO_RETURN = ("b", "br", "ret", "eret", "udf", "brk")

# Hooks that run before there is a guest.
BOOT_HOOKS = ("init", "init_cpu")


class CallGraph:
    def __init__(self, elf: Path, objdump: str) -> None:
        self.image = Image(elf)
        text = self.image.elf.get_section_by_name(".text")
        start, end = text["sh_addr"], text["sh_addr"] + text["sh_size"]
        symbols = self.image.elf.get_section_by_name(".symtab").iter_symbols()
        names: dict[int, str] = {}
        for symbol in symbols:
            address = symbol["st_value"]
            is_mark = (symbol.name.startswith("$")
                       or symbol["st_info"]["type"] in ("STT_SECTION", "STT_FILE"))
            if symbol.name and not is_mark and start <= address < end:
                if address not in names or symbol["st_info"]["type"] == "STT_FUNC":
                    names[address] = symbol.name.split(".")[0]  # gcc's .part.0, .constprop.1
        self.names = names
        self.starts = sorted(names)
        self.edges: dict[str, set[str]] = {name: set() for name in names.values()}
        command = [objdump, "-d", "--no-show-raw-insn", "-j", ".text", str(elf)]
        self._read_code(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def owner(self, address: int) -> str | None:
        index = bisect.bisect_right(self.starts, address) - 1
        return self.names[self.starts[index]] if index >= 0 else None

    def _read_code(self, listing: str) -> None:
        pages: dict[str, int] = {}
        previous: tuple[str, str] | None = None  # function and mnemonic of the instruction before
        for line in listing.splitlines():
            match = INSTRUCTION.match(line)
            if not match:
                continue
            address, mnemonic = int(match[1], 16), match[2]
            operands = match[3].split("//")[0].strip()
            function = self.owner(address)
            if function is None:
                continue
            if previous and previous[0] != function:
                pages.clear()
                if previous[1] not in (*NO_RETURN, "bl", "nop", ".inst"):
                    self.edges[previous[0]].add(function)
            previous = function, mnemonic
            if BRANCH.match(mnemonic) and (found := TARGET.search(operands)):
                self._add(function, int(found[1], 16))
            elif mnemonic == "adrp" and (found := ADRP.match(operands)):
                pages[found[1]] = int(found[2], 16)
            elif mnemonic == "add" and (found := ADD.match(operands)) and found[1] in pages:
                self._add_address(function, pages[found[1]] + int(found[2], 0))
            elif mnemonic == "adr" and (found := TARGET.search(operands)):
                self._add_address(function, int(found[1], 16))

    def _add(self, function: str, address: int) -> None:
        target = self.owner(address)
        if target and target != function:
            self.edges[function].add(target)

    def _add_address(self, function: str, address: int) -> None:
        if address in self.names:
            self._add(function, address)

    def roots(self) -> dict[str, str]:
        """Functions that a guest's action enters, with the place that names each."""
        boot_words: set[int] = set()
        for registry in self.image.registries():
            if registry not in self.image.shapes:
                continue
            size, members, pointers = self.image.shapes[registry]
            hooks = [m.offset for m in members
                     if m.kind == "function" and m.name in BOOT_HOOKS and not pointers]
            begin, end = self.image.symbols[registry], self.image.symbols[f"{registry}_end"]
            boot_words |= {entry + offset for entry in range(begin, end, size) for offset in hooks}
        found = {"vectors": "the vector table"} if "vectors" in self.edges else {}
        for section in (".rodata", ".registry", ".data"):
            part = self.image.elf.get_section_by_name(section)
            if part is None:
                continue
            data, base = part.data(), part["sh_addr"]
            for offset in range(-base % 8, len(data) - 7, 8):
                name = self.names.get(int.from_bytes(data[offset:offset + 8], "little"))
                if name and base + offset not in boot_words:
                    found[name] = f"a table in {section}"
        return found

    def path(self, target: str, without: set[str]) -> list[str] | None:
        """A shortest chain of calls from a root to target that passes none of `without`."""
        origin: dict[str, str | None] = {root: None for root in self.roots() if root not in without}
        queue = deque(origin)
        while queue:
            function = queue.popleft()
            if function == target:
                chain: list[str] = []
                step: str | None = function
                while step:
                    chain.append(step)
                    step = origin[step]
                return chain[::-1]
            for callee in self.edges[function]:
                if callee not in origin and callee not in without:
                    origin[callee] = function
                    queue.append(callee)
        return None
