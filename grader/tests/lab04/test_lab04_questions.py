# SPDX-License-Identifier: MIT
"""The numbers that lab 4's questions ask for, measured on the image in hand."""

from __future__ import annotations

from grader.conftest import Lab, Measured
from grader.machine.machine import EL2_ONLY
from grader.oracle.objects import Objects
from grader.oracle.probe import ProbeVm

LAB = 4


def test_time_between_creations(lab: Lab, measured: Measured) -> None:
    """Of the two VMs of lab04.toml."""
    machine = lab.start(ProbeVm("timer_two_vms", "alpha"), ProbeVm("timer_two_vms", "beta"))
    machine.run_to("*vcpu_enter", EL2_ONLY)
    first, second = (vm.get("counter_offset") for vm in Objects(machine).vms())
    measured(second_vm_later_ticks=second - first)


def test_ticks_of_a_slice(lab: Lab, measured: Measured) -> None:
    for name, deterministic in (("slice_ticks_icount", True), ("slice_ticks", False)):
        machine = lab.start("timer_virtual", deterministic=deterministic)
        machine.run_to("*vcpu_enter", EL2_ONLY)
        measured(**{name: machine.memory.u64(machine.symbols["slice_ticks"])})
