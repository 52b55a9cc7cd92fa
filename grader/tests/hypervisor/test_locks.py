# SPDX-License-Identifier: MIT
"""Locks are taken in one order, whatever VMs do: docs/architecture.md, "Lock order"."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.conftest import MakeLab
from grader.machine import images
from grader.machine.verdict import expect
from grader.oracle.locks import INSIDE, expect_order, may_be_inside, plugin_arguments, read_pairs
from grader.oracle.probe import ProbeVm
from grader.tests.lab05.test_lab05 import EDU, FIRST

MIB = 1 << 20
MACHINE_MIB = 1024
LAYERS = 6
# What the probes of a machine make EL2 hold at once, at the least.
POWER_AND_DEVICES = {("power", "run queue"), ("power", "vgic"), ("power", "device"),
                     ("power", "VMID"), ("device", "vgic"), ("device", "console"),
                     ("device", "stage2"), ("vgic", "run queue"), ("vtimer", "vgic"),
                     ("vtimer", "deadlines"), ("stage2", "page_alloc")}
DMA = {("device", "vgic"), ("vgic", "run queue"), ("device", "pci"), ("smmu", "pci")}


def four(probe: str, devices: tuple[str, ...] = ()) -> ProbeVm:
    return ProbeVm(probe, cpus=4, devices=devices)


@pytest.mark.parametrize(
    ("gic", "smp", "vms", "at_least"),
    [(3, 4, [four("smp_devices"), four("smp_power"), four("smp_timer"), four("smp_release")],
      POWER_AND_DEVICES),
     (2, 2, [four("dma_edu", (FIRST,)), four("smp_migrate"), four("smp_spi")], DMA)],
    ids=["power-and-devices", "dma"], indirect=["gic"])
def test_locks_are_taken_in_order(make_lab: MakeLab, tmp_path: Path, qemu: str, gic: int, smp: int,
                                  vms: list[ProbeVm], at_least: set[tuple[str, str]]) -> None:
    out = tmp_path / "pairs"
    image = images.hypervisor(LAYERS)
    extra = plugin_arguments(qemu, image.elf, MACHINE_MIB * MIB, out)
    machine, _ = make_lab(LAYERS, gic=gic).probe(*vms, smp=smp, devices=EDU, extra=extra,
                                                 machine_mib=MACHINE_MIB, budget=2_000_000_000)
    pairs = read_pairs(out)
    expect_order(pairs, machine.symbols)
    seen = {(pair.outer, pair.inner) for pair in pairs}
    expect("locks of these kinds, outer and inner, were held together", at_least - seen, set())


def test_the_order_has_no_circle() -> None:
    assert [outer for outer in INSIDE if outer in may_be_inside(outer)] == []
