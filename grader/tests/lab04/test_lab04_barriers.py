# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 4: a timer is what its registers say only behind an ISB."""

from __future__ import annotations

from grader.machine.verdict import expect
from grader.oracle.barriers import findings

LAB = 4
LEAVES = r"(ret|eret|bl|blr)\b"


def test_cntv_is_on_only_when_it_has_its_count() -> None:
    """Else the timer fires for the offset or the CVAL of the vCPU that was there before."""
    for register in ("cntvoff_el2", "cntv_cval_el0"):
        expect(f"an ISB stands between {register.upper()} and CNTV_CTL_EL0, which comes last",
               findings(LAB, rf"msr {register}, x\d", ("isb", "msr cntv_ctl_el0"),
                        r"(ret|eret)\b"), [])
        expect(f"{register.upper()} is not written behind CNTV_CTL_EL0",
               findings(LAB, rf"msr {register}, x\d", ("isb",), rf"msr cntv_ctl_el0|{LEAVES}"), [])


def test_cntv_is_off_before_el2_goes_on() -> None:
    """Else it may fire into the next vCPU."""
    expect("an ISB follows CNTV_CTL_EL0 = 0",
           findings(LAB, r"msr cntv_ctl_el0, xzr", ("isb",), LEAVES, "vtimer_save"), [])


def test_cnthp_has_its_level_before_el2_goes_on() -> None:
    """Else an interrupt whose reason is gone is taken once more."""
    for value in (r"x\d", "xzr"):
        expect("an ISB follows CNTHP_CTL_EL2 before the function returns",
               findings(LAB, rf"msr cnthp_ctl_el2, {value}", ("isb",), LEAVES), [])
