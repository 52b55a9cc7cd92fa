# SPDX-License-Identifier: MIT
"""The numbers that lab 1's questions ask for, measured on the image in hand."""

from __future__ import annotations

from grader.conftest import Lab, Measured
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine
from grader.oracle.objects import Objects
from grader.oracle.probe import LOAD_OFFSET, ProbeVm, ram_bases

LAB = 1
EC_HVC, EC_SMC = 0x16, 0x17
HVC, SMC, OPCODE_MASK = 0xD400_0002, 0xD400_0003, 0xFFE0_001F


def at_exit(machine: Machine, exception_class: int) -> int:
    """At the handler of the next such exit; returns ESR_EL2."""
    machine.run_to(Objects(machine).trap(exception_class), EL2_ONLY)
    return machine.register("ESR_EL2")


def return_offset(machine: Machine, opcode: int) -> int:
    """ELR_EL2 minus the address of the instruction with this opcode that led here."""
    elr = machine.register("ELR_EL2")
    for offset in (0, 4):
        if machine.memory.u32(elr - offset) & OPCODE_MASK == opcode:
            return offset
    raise AssertionError(f"there is no such instruction at or before {elr:#x}")


def test_registers_at_an_exit(lab: Lab, measured: Measured) -> None:
    machine = lab.start("hypercalls")
    base = ram_bases(machine, [ProbeVm("hypercalls")], LAB)[0]
    machine.run_to(base + LOAD_OFFSET, EL1_ONLY)
    measured(hcr_el2=machine.register("HCR_EL2"))
    hvc = at_exit(machine, EC_HVC)
    measured(hvc_elr_offset=return_offset(machine, HVC))
    machine = lab.start("smc_power_off")
    smc = at_exit(machine, EC_SMC)
    measured(smc_elr_offset=return_offset(machine, SMC), hvc_smc_esr_xor=hvc ^ smc)


def test_sizes_of_what_is_switched(lab: Lab, measured: Measured) -> None:
    machine = lab.start("hypercalls")
    measured(el1_state_bytes=machine.layout("sizeof(struct el1_state)"),
             fp_state_bytes=machine.layout("sizeof(struct fp_state)"))
