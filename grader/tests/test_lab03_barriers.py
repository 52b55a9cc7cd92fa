# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 3: system registers and devices are not ordered among each other."""

from __future__ import annotations

import pytest

from grader import images
from grader.barriers import missing, occurs
from grader.symbols import symbols_of
from grader.verdict import expect, expect_that

LAB = 3
RETURN = r"(ret|eret)\b"


def findings(start: str, barriers: tuple[str, ...], before: str, function: str = "") -> list[str]:
    """`start` is an instruction or, with `function`, what that must have in front of all barriers."""
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


@pytest.mark.parametrize(("version", "iar"), [(3, r"mrs x\d+, icc_iar1_el1"), (2, r"ldr w")])
def test_interrupt_is_acknowledged_before_its_handler_touches_a_device(version: int, iar: str) -> None:
    expect("a DSB follows the read of IAR",
           findings(iar, ("dsb",), RETURN, f"gic_v{version}_acknowledge"), [])


@pytest.mark.parametrize(("version", "eoir"), [(3, r"msr icc_eoir1_el1"), (2, r"str w")])
def test_handler_is_done_with_its_device_before_the_priority_drops(version: int, eoir: str) -> None:
    expect("a DSB stands before the write of EOIR", findings("dsb", (eoir,), RETURN, f"gic_v{version}_end"), [])


def test_priority_has_dropped_before_the_interrupt_is_deactivated() -> None:
    expect("an ISB follows ICC_EOIR1_EL1", findings(r"msr icc_eoir1_el1", ("isb",), rf"msr icc_dir|{RETURN}"), [])


def test_reason_of_a_maintenance_interrupt_is_gone_before_the_next_is_asked_for() -> None:
    expect("an ISB follows ICH_HCR_EL2", findings(r"msr ich_hcr_el2", ("isb",), RETURN), [])
