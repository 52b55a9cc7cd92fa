# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 2: barriers of TLB maintenance, looked for in the disassembly."""

from __future__ import annotations

import pytest

from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import disassemble, findings, missing, occurs, said

LAB = 2
RETURN = r"(ret|eret)\b"
# A DSB that waits for less than all (ISHST, ISHLD) completes no TLBI and no walk.
HERE, EVERYWHERE = r"dsb (nsh|ish|sy)$", r"dsb (ish|sy)$"


@pytest.mark.parametrize("regime", ["el2", "guest"])
def test_tlb_maintenance_is_complete_before_anyone_relies_on_it(regime: str) -> None:
    """Arm ARM, "Ordering and completion of TLB maintenance": TLBI, then DSB, then ISB."""
    which = "alle2|vae2" if regime == "el2" else "ipas2e1|vmalls12e1|vmalle1"
    expect("every TLBI of all CPUs is completed by DSB ISH and ISB before the function returns",
           findings(LAB, rf"tlbi ({which})is\b", (EVERYWHERE, "isb"), RETURN), [])
    if occurs(images.hypervisor(LAB).elf, local := rf"tlbi ({which})(,|$)"):
        expect("every TLBI of this CPU is completed by DSB NSH and ISB before the function returns",
               findings(LAB, local, (HERE, "isb"), RETURN), [])


def test_invalidation_by_ipa_is_complete_before_that_of_stage_1() -> None:
    """Arm ARM, "TLB maintenance instructions": the entries that combine both stages go second."""
    expect("a DSB stands between TLBI IPAS2E1 and TLBI VMALLE1",
           findings(LAB, r"tlbi ipas2e1", (EVERYWHERE,), r"tlbi vmalle1|ret|eret"), [])
    expect("TLBI VMALLE1 follows TLBI IPAS2E1 before the function returns",
           findings(LAB, r"tlbi ipas2e1", ("tlbi vmalle1",), RETURN), [])


def test_no_address_translation_is_executed_by_speculation() -> None:
    """Arm's errata 1530923, 1319537, 1319367, 1165522: AT would cache a half-made switch."""
    elf = images.hypervisor(LAB).elf
    code = disassemble(elf)
    for address, instruction in code.items():
        if instruction.name == "at":
            before = [code[address - 4 * n].name for n in (2, 1)]
            expect(f"before the AT at {symbols_of(elf).place(address)}", before, ["dsb", "isb"])


def test_walks_of_a_guest_are_over_before_another_vmid_is_loaded() -> None:
    """Arm ARM, "Out-of-context translation regimes": a DSB ends walks begun before the exit."""
    elf = images.hypervisor(LAB).elf
    kept = missing(elf, r"mrs x\d+, vtcr_el2", (HERE,), r"msr vt(cr|tbr)_el2")
    expect("a DSB stands between keeping the loaded guest's VTCR_EL2 and loading another's",
           [f"none between {said(elf, start)} and {said(elf, end)}" for start, _, end in kept], [])


@pytest.mark.parametrize("operation", ["civac", "ivac"])
def test_cache_maintenance_is_complete_before_anyone_relies_on_it(operation: str) -> None:
    """Arm ARM, "Ordering of cache maintenance instructions": DC, DSB, and only then a reader."""
    expect(f"a DSB follows DC {operation.upper()} before the function returns "
           "or EL2's caches are turned on",
           findings(LAB, rf"dc {operation}\b", (r"dsb (ish|osh|sy)$",),
                    rf"{RETURN}|msr sctlr_el2"), [])


def test_new_stage_2_is_in_effect_before_it_is_used() -> None:
    expect("an ISB follows each write of VTTBR_EL2 before a TLBI or a return",
           findings(LAB, r"msr vttbr_el2, x\d", ("isb",), r"tlbi|ret\b|eret"), [])


@pytest.mark.parametrize("regime", ["el2", "guest"])
def test_stores_to_a_table_are_complete_before_its_translations_are_dropped(regime: str) -> None:
    """Arm ARM, "TLB maintenance instructions and synchronization": else a walk refills the TLB."""
    elf = images.hypervisor(LAB).elf
    symbols = symbols_of(elf)
    which = r"tlbi (alle2|vae2)" if regime == "el2" else r"tlbi (ip|vmalls)"
    expect_that(f"the image has an instruction like {which}", occurs(elf, which))
    names = ["hyp_invalidate"] if regime == "el2" else ["stage2_invalidate",
                                                        "stage2_invalidate_loaded"]
    for name in names:
        if name in symbols:  # the compiler may have made it a part of its caller
            found = missing(elf, symbols[name], (r"dsb (ishst|ish|st|sy)$",), which)
            expect(f"a DSB ISHST stands between the entry of {name}() and its first TLBI",
                   [f"none before {said(elf, end)}" for _, _, end in found], [])


def test_the_mmu_is_turned_on_behind_all_that_it_needs() -> None:
    """Arm ARM, "Synchronization requirements for AArch64 System registers"."""
    expect("an ISB stands between TTBR0_EL2 and the first TLBI",
           findings(LAB, r"msr ttbr0_el2", ("isb",), rf"tlbi|msr sctlr_el2|{RETURN}"), [])
    for which in ("tlbi alle2", "tlbi alle1", "ic iallu"):
        expect(f"{which.upper()} stands between MAIR_EL2 and SCTLR_EL2",
               findings(LAB, r"msr mair_el2", (rf"{which}\b",), rf"msr sctlr_el2|{RETURN}"), [])
    for operation in (r"tlbi alle2\b", r"ic iallu\b"):
        expect(f"DSB and ISB follow {operation[:-2].upper()} before SCTLR_EL2 or a return",
               findings(LAB, operation, (HERE, "isb"), rf"msr sctlr_el2|{RETURN}"), [])
    if occurs(images.hypervisor(LAB).elf, r"ic ialluis\b"):
        expect("DSB and ISB follow each IC IALLUIS before the function returns",
               findings(LAB, r"ic ialluis\b", (EVERYWHERE, "isb"), RETURN), [])
    expect("an ISB follows each write of SCTLR_EL2",
           findings(LAB, r"msr sctlr_el2", ("isb",), rf"(bl|blr|st\w*)\b|{RETURN}"), [])


def test_a_translation_is_complete_before_its_result_is_read() -> None:
    """Arm ARM, "Address translation instructions": AT, ISB, and only then PAR_EL1."""
    expect("an ISB follows each AT",
           findings(LAB, r"at s1e1", ("isb",), rf"mrs x\d+, par_el1|{RETURN}"), [])
