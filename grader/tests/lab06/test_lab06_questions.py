# SPDX-License-Identifier: MIT
"""The numbers that lab 6's questions ask for, measured on the image in hand."""

from __future__ import annotations

from grader.conftest import Lab, Measured
from grader.machine.machine import EL1_ONLY
from grader.oracle.objects import Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE

LAB = 6


def test_a_cpu_that_has_just_begun(lab: Lab, measured: Measured) -> None:
    machine = lab.start("hypercalls", smp=4)
    machine.run_to("*smp_secondary")
    tops = [Objects(machine).cpu(index).get("stack_top") for index in range(2)]
    measured(sctlr_of_a_new_cpu=machine.register("SCTLR_EL2"),
             bytes_between_stacks=tops[1] - tops[0])
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    measured(cpus_online_of_4=machine.memory.u32(machine.symbols["cpus_online"]))
