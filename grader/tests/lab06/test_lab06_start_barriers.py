# SPDX-License-Identifier: MIT
"""What QEMU cannot show of exercise 6.1: barriers of a start, looked for in the disassembly."""

from __future__ import annotations

from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import alike, missing, name_of, said

LAB = 6
RELIES = r"(ret|eret|bl|blr)\b"


def test_a_cpu_that_starts_has_its_vectors_before_it_calls_c() -> None:
    """Arm ARM, "Synchronization requirements for AArch64 System registers": MSR, then ISB."""
    elf = images.hypervisor(LAB).elf
    left = missing(elf, symbols_of(elf)["smp_entry"], ("msr vbar_el2", "isb"), RELIES)
    expect("smp_entry writes VBAR_EL2, and an ISB follows before it calls C",
           [f"no {name_of(one)} comes before {said(elf, end)}" for _, one, end in left], [])


def test_what_a_cpu_has_written_is_visible_when_it_is_online() -> None:
    """A release by the CPU that has started, an acquire by the one that waits for it."""
    elf = images.hypervisor(LAB).elf
    symbols = symbols_of(elf)
    places = [symbols.extent(name) for name in ("smp_init_cpu", "smp_start_cpu", "cpu_is_online",
                                                "cpu_set_online") if name in symbols]
    for what, like in (("cpu_set_online() is a release: STLXR, or DMB ISH before the store",
                        r"stlxr|stlr|ldset\w*l|dmb ish$"),
                       ("cpu_is_online() is an acquire: LDAR, or DMB ISHLD behind the load",
                        r"ldar |ldapr|dmb ish(ld)?$")):
        found = [one.text for one in alike(elf, like)
                 if any(one.address in place for place in places)]
        expect_that(what, bool(found), "no such instruction in smp_init_cpu() or smp_start_cpu()")
