# SPDX-License-Identifier: MIT
"""What QEMU cannot show of exercise 6.3: the barrier of a kick, looked for in the disassembly."""

from __future__ import annotations

import pytest

from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect_that
from grader.oracle.barriers import disassemble

LAB = 6


@pytest.mark.parametrize(("function", "send"), [("gic_v3_send_sgi", r"msr icc_sgi1r_el1"),
                                                ("gic_v2_send_sgi", r"str w")])
def test_a_kick_comes_behind_what_was_written_for_it(function: str, send: str) -> None:
    """Arm ARM, "Barriers": only a DSB orders stores before what a device, or a register of the
    interrupt controller, does to another CPU. STLR and DMB do not."""
    elf = images.hypervisor(LAB).elf
    symbols = symbols_of(elf)
    expect_that(f"the image has {function}()", function in symbols)
    seen = []
    for address, instruction in disassemble(elf).items():
        if (symbols.place(address) or "").partition("+")[0] == function:
            seen.append(instruction)
    sends = [index for index, one in enumerate(seen) if one.is_like(send)]
    expect_that("it sends an SGI", bool(sends))
    before = [one.name for one in seen[:sends[-1]] if one.name == "dsb"]
    expect_that("a DSB stands before the SGI is sent", bool(before))
