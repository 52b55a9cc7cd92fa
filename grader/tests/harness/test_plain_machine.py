# SPDX-License-Identifier: MIT
"""Probes of SMP on the machine of a guest, without a hypervisor: they ask for what QEMU's own CPUs
and interrupt controllers give, so a VM that fails one of them is no such machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.machine import images
from grader.machine.launch import Guest, MachineConfig
from grader.machine.machine import Machine, Oracle
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm, judge, packed, run_probes

PLAIN = Oracle(crash=lambda machine: None, why_quiet=lambda machine: None,
               timer_ahead=lambda machine: False, guest_frames=lambda machine: [])
BUDGET = 100_000_000
PROBES = [
    "smp_counter",
    "smp_hotplug",
    "smp_ipi",
    "smp_migrate",
    "smp_psci",
    "smp_spi",
    "smp_timer",
    "smp_tlb",
]


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_passes_without_a_hypervisor(tmp_path: Path, qemu: str, seed: int, gic: int,
                                             probe: str) -> None:
    image = images.guest(probe)
    config = MachineConfig(
        image=packed(probe, seed, 0, tmp_path),
        elf=image.elf,
        guests=(Guest("vm0", image.elf, RAM_BASE + LOAD_OFFSET),),
        gic=gic,
        smp=4,
        el2=False,
        memory_mib=256,
        qemu=qemu,
    )
    vm = ProbeVm(probe, cpus=4)
    with Machine(config, PLAIN) as machine:
        judge(machine, run_probes(machine, [vm], 6, BUDGET))
