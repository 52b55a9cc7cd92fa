# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 2: barriers of TLB maintenance, looked for in the disassembly."""

from __future__ import annotations

import pytest

from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import disassemble, missing, occurs

LAB = 2
RETURN = r"(ret|eret)\b"


def findings(start: str, barriers: tuple[str, ...], before: str) -> list[str]:
    elf = images.hypervisor(LAB).elf
    place = symbols_of(elf).place
    expect_that(f"the image has an instruction like {start}", occurs(elf, start))
    return [f"no {barrier.upper()} between {place(address)} and {place(end)}"
            for address, barrier, end in missing(elf, start, barriers, before)]


@pytest.mark.parametrize("regime", ["el2", "guest"])
def test_tlb_maintenance_is_complete_before_anyone_relies_on_it(regime: str) -> None:
    """Arm ARM, "Ordering and completion of TLB maintenance": TLBI, then DSB, then ISB."""
    which = r"tlbi (alle2|vae2)" if regime == "el2" else r"tlbi (ip|vmall)"
    expect("every TLBI is completed by DSB and ISB before the function returns",
           findings(which, ("dsb", "isb"), RETURN), [])


def test_invalidation_by_ipa_is_complete_before_that_of_stage_1() -> None:
    """Arm ARM, "TLB maintenance instructions": the entries that combine both stages go second."""
    expect("a DSB stands between TLBI IPAS2E1 and TLBI VMALLE1",
           findings(r"tlbi ipas2e1", ("dsb",), r"tlbi vmalle1|ret|eret"), [])
    expect("TLBI VMALLE1 follows TLBI IPAS2E1 before the function returns",
           findings(r"tlbi ipas2e1", ("tlbi vmalle1",), RETURN), [])


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
    place = symbols_of(elf).place
    kept = missing(elf, r"mrs x\d+, vtcr_el2", ("dsb",), r"msr vt(cr|tbr)_el2")
    expect("a DSB stands between keeping the loaded guest's VTCR_EL2 and loading another's",
           [f"none between {place(start)} and {place(end)}" for start, _, end in kept], [])


@pytest.mark.parametrize("operation", ["civac", "ivac"])
def test_cache_maintenance_is_complete_before_anyone_relies_on_it(operation: str) -> None:
    """Arm ARM, "Ordering of cache maintenance instructions": DC, DSB, and only then a reader."""
    expect(f"a DSB follows DC {operation.upper()} before the function returns "
           "or EL2's caches are turned on",
           findings(rf"dc {operation}\b", ("dsb",), rf"{RETURN}|msr sctlr_el2"), [])


def test_new_stage_2_is_in_effect_before_it_is_used() -> None:
    expect("an ISB follows each write of VTTBR_EL2 before a TLBI or a return",
           findings(r"msr vttbr_el2, x\d", ("isb",), r"tlbi|ret\b|eret"), [])
