# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 4: a timer is what its registers say only behind an ISB."""

from __future__ import annotations

from grader.machine import images
from grader.machine.verdict import expect
from grader.oracle.barriers import findings, missing, said

LAB = 4
LEAVES = r"(ret|eret|bl|blr)\b"
CTL = r"msr cntv_ctl_el0, x\d"


def test_cntv_is_on_only_when_it_has_its_count() -> None:
    """Else the timer fires for the offset or the CVAL of the vCPU that was there before."""
    elf = images.hypervisor(LAB).elf
    registers = ("cntvoff_el2", "cntv_cval_el0")
    for register in registers:
        early = [f"{said(elf, control)} comes before {said(elf, late)}"
                 for control, _, late in missing(elf, CTL, (LEAVES,), rf"msr {register}, x\d")]
        expect(f"CNTV_CTL_EL0 is written behind {register.upper()}", early, [])
    for register in registers:
        expect(f"an ISB stands between {register.upper()} and CNTV_CTL_EL0",
               findings(LAB, rf"msr {register}, x\d", ("isb",), rf"{CTL}|{LEAVES}"), [])
        expect(f"CNTV_CTL_EL0 is written wherever {register.upper()} is, and comes last",
               findings(LAB, rf"msr {register}, x\d", ("isb", CTL), r"(ret|eret)\b"), [])


def test_cntv_is_off_before_el2_goes_on() -> None:
    """Else it may fire into the next vCPU."""
    expect("an ISB follows CNTV_CTL_EL0 = 0",
           findings(LAB, r"msr cntv_ctl_el0, xzr", ("isb",), LEAVES, "vtimer_save"), [])


def test_cnthp_has_its_level_before_el2_goes_on() -> None:
    """Else an interrupt whose reason is gone is taken once more."""
    for value in (r"x\d", "xzr"):
        expect("an ISB follows CNTHP_CTL_EL2 before the function returns",
               findings(LAB, rf"msr cnthp_ctl_el2, {value}", ("isb",), LEAVES), [])
