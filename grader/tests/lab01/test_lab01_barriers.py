# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 1: barriers, looked for in the disassembly."""

from __future__ import annotations

from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import disassemble, findings

LAB = 1
LEAVES = r"(ret|eret|bl|blr)\b"


def test_nothing_is_speculated_behind_the_return_to_the_guest() -> None:
    """ERET may be speculated past with the guest's registers: DSB and ISB stand behind it."""
    elf = images.hypervisor(LAB).elf
    code = disassemble(elf)
    returns = [address for address, instruction in code.items() if instruction.name == "eret"]
    expect_that("the image returns to a guest by ERET", bool(returns))
    for address in returns:
        names = [code[address + 4 * n].name for n in (1, 2) if address + 4 * n in code]
        expect(f"behind the ERET at {symbols_of(elf).place(address)}", names, ["dsb", "isb"])


def test_boot_goes_on_with_the_controls_that_it_has_written() -> None:
    """Arm ARM, "Synchronization requirements for AArch64 System registers": MSR, then ISB."""
    for register, relies in (("sctlr_el2", rf"{LEAVES}|st"), ("vbar_el2", LEAVES)):
        expect(f"an ISB follows each write of {register.upper()} before EL2 relies on it",
               findings(LAB, rf"msr {register}", ("isb",), relies), [])


def test_el2_goes_on_with_the_controls_that_it_has_written() -> None:
    for register in ("cptr_el2", "mdcr_el2", "cnthctl_el2", "vpidr_el2"):
        expect(f"an ISB follows each write of {register.upper()} before its function returns",
               findings(LAB, rf"msr {register}", ("isb",), r"(ret|eret)\b"), [])
    expect("an ISB follows el2_configure_extensions(), too, before el2_configure() returns",
           findings(LAB, r"(msr|bl)\b", ("isb",), r"(ret|eret)\b", "el2_configure"), [])
