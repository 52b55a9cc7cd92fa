# SPDX-License-Identifier: MIT
"""The numbers that lab 5's questions ask for, measured on the image in hand."""

from __future__ import annotations

from grader.conftest import Lab, Measured
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine
from grader.oracle.decode.smmu import STE_BYTES
from grader.oracle.dma import Smmu
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm
from tools.vms import DeviceConfig

LAB = 5
STREAM = 0x10
EDU = (DeviceConfig("00:02.0", "edu"),)


def with_a_device(lab: Lab) -> Machine:
    """The machine at the first instruction of a VM of 16 MiB that owns a device."""
    machine = lab.start(ProbeVm("dma_edu", "dma", 16, devices=("00:02.0",)), devices=EDU)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    return machine


def test_size_of_the_stream_table(lab: Lab, measured: Measured) -> None:
    measured(stream_table_bytes=STE_BYTES * Smmu(with_a_device(lab)).stream_count)


def test_leaves_of_a_dma_table(lab: Lab, measured: Measured) -> None:
    measured(dma_table_leaves=len(Smmu(with_a_device(lab)).space(STREAM)))


def test_records_of_a_transfer(lab: Lab, measured: Measured) -> None:
    """Of the first that the probe sends where it may not."""
    machine = with_a_device(lab)
    before = Smmu(machine).events.prod
    machine.run_to("*smmu_event_irq", EL2_ONLY)
    measured(records_of_8_bytes=len(Smmu(machine).events_since(before)))
