# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 1: barriers, looked for in the disassembly."""

from __future__ import annotations

from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import disassemble

LAB = 1


def test_nothing_is_speculated_behind_the_return_to_the_guest() -> None:
    """ERET may be speculated past with the guest's registers: DSB and ISB stand behind it."""
    elf = images.hypervisor(LAB).elf
    code = disassemble(elf)
    returns = [address for address, instruction in code.items() if instruction.name == "eret"]
    expect_that("the image returns to a guest by ERET", bool(returns))
    for address in returns:
        names = [code[address + 4 * n].name for n in (1, 2) if address + 4 * n in code]
        expect(f"behind the ERET at {symbols_of(elf).place(address)}", names, ["dsb", "isb"])
