# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 3: system registers and devices are not ordered among each other."""

from __future__ import annotations

from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import missing, occurs

LAB = 3
RETURN = r"(ret|eret)\b"


def findings(start: str, barriers: tuple[str, ...], before: str, function: str = "") -> list[str]:
    """`start` is an instruction; with `function`, one that must stand before all its barriers."""
    elf = images.hypervisor(LAB).elf
    symbols = symbols_of(elf)
    begin: str | int = start
    if function:
        expect_that(f"the image has {function}()", function in symbols)
        begin, barriers = symbols[function], (start, *barriers)
    else:
        expect_that(f"the image has an instruction like {start}", occurs(elf, start))
    return [f"no {barrier.upper()} between {symbols.place(address)} and {symbols.place(end)}"
            for address, barrier, end in missing(elf, begin, barriers, before)]


def test_interface_is_on_before_it_is_used() -> None:
    """IHI 0069, "ICC_SRE_EL2": the other ICC_ registers exist once SRE is in effect."""
    expect("an ISB stands between ICC_SRE_EL2 and the next ICC_ register",
           findings(r"msr icc_sre_el2", ("isb",), rf"(msr|mrs) .*\bicc_(?!sre_el2)|{RETURN}"), [])
