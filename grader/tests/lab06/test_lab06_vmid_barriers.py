# SPDX-License-Identifier: MIT
"""What QEMU cannot show of exercise 6.5: barriers of a roll-over, looked for in the disassembly."""

from __future__ import annotations

from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect
from grader.oracle.barriers import findings, missing

LAB = 6
RETURN = r"(ret|eret)\b"


def test_who_takes_vmids_looks_at_other_cpus_behind_a_barrier() -> None:
    """Store, then load: no acquire and no release orders these. With icount nothing shows."""
    elf = images.hypervisor(LAB).elf
    paths = missing(elf, symbols_of(elf)["vmid_new"], (r"(dmb|dsb) (ish|sy)$",),
                    r"tlbi alle1is")
    expect("a DMB ISH stands between vmid_new() and TLBI ALLE1IS on every path",
           [symbols_of(elf).place(end) for _, _, end in paths], [])


def test_a_roll_over_reaches_all_cpus_and_is_complete() -> None:
    """QEMU does at once what is asked of one CPU, and broadcasts more than is asked."""
    expect("TLBI ALLE1IS is completed by DSB ISH and ISB before the function returns",
           findings(LAB, r"tlbi alle1is", ("dsb ish$", "isb"), RETURN), [])
    expect("so is IC IALLUIS", findings(LAB, r"ic ialluis", ("dsb ish$", "isb"), RETURN), [])
