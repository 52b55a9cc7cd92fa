# SPDX-License-Identifier: MIT
"""Lab 6, exercise 6.6: which CPU a vCPU runs on, looked at between two instructions."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from grader.conftest import Lab
from grader.machine.machine import EL1_ONLY, Machine, StopKind
from grader.machine.verdict import expect_that
from grader.oracle.objects import Object, Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm
from grader.oracle.smp import RUNNABLE, RUNNING

LAB = 6
LOOKS = 30
BEGUN = 700_000  # instructions until the first guest runs, and some
LONG = 2_000_000  # 2 ms: longer than a kick takes
ALL = (0, 1, 2, 3)


def vcpus(machine: Machine) -> Iterator[tuple[str, int, Object]]:
    """Each vCPU with its name and the CPUs that it may run on, by the bundle's mask."""
    for vm in Objects(machine).vms():
        for index in range(vm.get("vcpu_count")):
            config = vm.pointer("config", "struct bundle_vm")
            assert config is not None
            yield f"vCPU {index} of VM {vm.index}", config.get(f"pin[{index}]"), vm.vcpu(index)


def cpu_of(vcpu: Object) -> int:
    cpu = vcpu.pointer("cpu", "struct cpu")
    assert cpu is not None
    return cpu.get("index")


@pytest.mark.parametrize("pins", [
    (((0,),) * 4, ((1, 2),) * 4),
    (((3,), (2,), (1,), (0,)), (ALL, (1,), (1, 3), (3,))),
], ids=["apart", "crossed"])
def test_vcpus_run_where_they_may(
    lab: Lab, pins: tuple[tuple[tuple[int, ...], ...], ...], seed: int
) -> None:
    vms = [ProbeVm("smp_migrate", cpus=4, pin=pin) for pin in pins]
    machine = lab.start(*vms, smp=4)
    chooser, seen = random.Random(seed), 0
    machine.run(BEGUN)
    for _ in range(LOOKS):
        if machine.run(chooser.randrange(20_000, 400_000)).kind is not StopKind.BUDGET:
            break
        for name, mask, vcpu in vcpus(machine):
            state = vcpu.get("state")
            if state in (RUNNABLE, RUNNING):
                cpu = cpu_of(vcpu)
                expect_that(f"{name} is on a CPU that its pin names", bool(mask >> cpu & 1),
                            f"CPU {cpu}", f"one of the mask {mask:#x}")
                seen += state == RUNNING
    expect_that("vCPUs ran", seen > LOOKS, seen)


def asleep(machine: Machine) -> dict[int, int]:
    """CPUs that sleep, and since when they are without a vCPU."""
    return {number: Objects(machine).cpu(number).get("charge_from")
            for number, (_, text) in enumerate(machine.gdb.threads()) if "halted" in text}


def waiting(machine: Machine) -> dict[int, tuple[str, int, int]]:
    """vCPUs on a run queue: name, CPUs that they may run on, time that they have used."""
    return {vcpu.address: (name, mask, vcpu.get("used_ticks"))
            for name, mask, vcpu in vcpus(machine) if vcpu.get("state") == RUNNABLE}


@pytest.mark.parametrize("smp", [2, 4])
def test_no_cpu_sleeps_while_a_vcpu_waits(lab: Lab, smp: int, seed: int) -> None:
    """Seen from outside: for 2 ms one that might run the vCPU does not leave WFI.

    Some vCPUs sleep and wake up all the time; two compute, and have whole time slices.
    """
    vms = [ProbeVm("smp_migrate", cpus=4), ProbeVm("smp_timer", cpus=4), ProbeVm("sched_fair"),
           ProbeVm("sched_fair")]
    machine = lab.start(*vms, smp=smp)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    chooser = random.Random(seed)
    for _ in range(LOOKS):
        if machine.run(chooser.randrange(20_000, 400_000)).kind is not StopKind.BUDGET:
            break
        waits, sleeps = waiting(machine), asleep(machine)
        if not waits or not sleeps or machine.run(LONG).kind is not StopKind.BUDGET:
            continue
        still, slept = waiting(machine), asleep(machine)
        for address, (name, mask, used) in waits.items():
            beside = [cpu for cpu, since in sleeps.items()
                      if slept.get(cpu) == since and mask >> cpu & 1]
            waited = still.get(address, ("", 0, -1))[2] == used
            expect_that(f"{name} does not wait while a CPU sleeps that may run it",
                        not (waited and beside), f"CPUs that slept all the time: {beside}")
