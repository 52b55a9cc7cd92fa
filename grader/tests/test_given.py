# SPDX-License-Identifier: MIT
"""What a lab gives and no exercise asks for: how VMs end and start again, the barriers of the GIC's drivers."""

from __future__ import annotations

import pytest

from grader.conftest import MakeLab
from grader.machine import EL2_ONLY
from grader.objects import Objects
from grader.tests.test_lab03_barriers import RETURN, findings
from grader.tests.test_lab04 import BUDGET, MASK64, VM_RUNNING, VM_STOPPED, in_guest, runs_on
from grader.verdict import expect, expect_that


@pytest.mark.parametrize("failing", range(5))
def test_a_vm_that_cannot_be_built_again_ends_alone(make_lab: MakeLab, failing: int) -> None:
    """One allocation after the other of the second life is refused, as when others have all memory."""
    machine = in_guest(make_lab(4), "hostile_spin", "hostile_reset")
    objects = Objects(machine)
    pages = machine.symbols["free_page_count"]
    machine.run_to("*paged_create", EL2_ONLY, budget=BUDGET)
    free = machine.memory.u64(pages)
    for _ in range(failing + 1):
        machine.run_to("*page_alloc_zeroed", EL2_ONLY)
    machine.gdb.set_core_registers({"x0": MASK64, "pc": machine.register("x30")})
    expect_that("the machine runs on", runs_on(machine, 30_000_000))
    expect("state of VM 1", objects.vm(1).get("state"), VM_STOPPED)
    expect("its reason", objects.vm(1).text("stop_reason"), "no memory to start again")
    expect("state of VM 0", objects.vm(0).get("state"), VM_RUNNING)
    expect("nothing of VM 1 is left: free pages", machine.memory.u64(pages), free)


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
