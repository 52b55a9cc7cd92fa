# SPDX-License-Identifier: MIT
"""The numbers that lab 3's questions ask for, measured on the image in hand."""

from __future__ import annotations

import struct

from grader.conftest import Lab, MakeLab, Measured
from grader.machine.machine import EL2_ONLY, StopKind
from grader.oracle.objects import Objects
from grader.oracle.probe import ProbeVm

LAB = 3
GICH_VTR = 0x0803_0004
DEFAULT_SEED = 1  # of a probe whose image nobody changed
MAINTENANCE_MOST = 2000


def test_list_registers_of_gicv3(make_lab: MakeLab, measured: Measured) -> None:
    machine = make_lab(LAB, 3).start("gic_enable")
    machine.run_to("*vcpu_enter", EL2_ONLY)
    driver = Objects(machine).variable("struct gic_driver", "gic_v3")
    measured(list_registers_gicv3=driver.get("lr_count"))


def test_list_registers_of_gicv2(make_lab: MakeLab, measured: Measured) -> None:
    machine = make_lab(LAB, 2).start("gic_enable")
    machine.run_to("*vcpu_enter", EL2_ONLY)
    (vtr,) = struct.unpack("<I", machine.gdb.read_virtual(GICH_VTR, 4))
    measured(list_registers_gicv2=(vtr & 0x3F) + 1)


def test_maintenance_interrupts(lab: Lab, measured: Measured) -> None:
    """The three guests of lab03.toml, to the end."""
    machine = lab.start(*(ProbeVm(probe, name, seed=DEFAULT_SEED) for name, probe in
                          (("alpha", "gic_two_vms"), ("beta", "gic_two_vms"),
                           ("gamma", "gic_nesting"))))
    count = 0
    with machine.breakpoint("vgic_maintenance", EL2_ONLY):
        stop = machine.run(200_000_000)
        while stop.kind is StopKind.BREAKPOINT and count < MAINTENANCE_MOST:
            count += 1
            stop = machine.run(200_000_000)
    if stop.kind is not StopKind.POWER_OFF:
        raise machine.finding_for(stop, "the guests of lab03.toml come to their end")
    measured(maintenance_interrupts=count)
