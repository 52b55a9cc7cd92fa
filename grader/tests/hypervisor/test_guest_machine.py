# SPDX-License-Identifier: MIT
"""Software built for QEMU's virt machine finds that machine in a VM."""

from __future__ import annotations

import subprocess

import pytest

from grader.conftest import LABS, WHOLE, MakeLab
from grader.machine.images import build_directory
from grader.machine.machine import EL2_ONLY
from grader.oracle.objects import Objects
from grader.oracle.probe import ProbeVm
from grader.tests.harness.test_make_run import Terminal, command, environment
from grader.tests.lab04 import test_lab04

CPU_SUSPEND = 0xC400_0001


@pytest.mark.parametrize("gic", [2, 3])
@pytest.mark.parametrize("number", LABS[1:])
def test_what_the_machine_has_empty_is_there(make_lab: MakeLab, number: int, gic: int) -> None:
    make_lab(number, gic=gic).probe("empty_devices")


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a72", "neoverse-n1", "max"])
def test_it_is_on_other_cpus(make_lab: MakeLab, cpu: str) -> None:
    make_lab(WHOLE).probe("empty_devices", cpu=cpu)


def test_two_vms_have_it_side_by_side(make_lab: MakeLab) -> None:
    make_lab(WHOLE).probe(ProbeVm("empty_devices"), ProbeVm("empty_devices", page_size="4K"),
                          budget=test_lab04.BUDGET)


@pytest.mark.parametrize("number", LABS)
def test_psci_answers_as_on_a_machine_with_one_cpu(make_lab: MakeLab, number: int) -> None:
    make_lab(number).probe("psci_one_cpu")


@pytest.mark.parametrize("number", LABS[:3])
def test_a_standby_that_nothing_could_end_ends_at_once(make_lab: MakeLab, number: int) -> None:
    make_lab(number).probe("psci_standby")


def test_a_fallback_gives_way_to_the_layer_that_claims_its_function(make_lab: MakeLab) -> None:
    """Layer 4 waits in CPU_SUSPEND, layer 1 would return at once."""
    machine = make_lab(4).start("psci_suspend")
    objects = Objects(machine)
    fallback = objects.handler("hypercall_entry", "registry_hypercall_fallbacks",
                               "function_id", CPU_SUSPEND)
    claimed = objects.hypercall(CPU_SUSPEND)
    with machine.breakpoint(fallback, EL2_ONLY):
        machine.run_to(claimed, EL2_ONLY)


@pytest.mark.parametrize("number", [1, 4])
def test_a_vm_whose_only_cpu_is_off_has_ended(make_lab: MakeLab, number: int) -> None:
    vms = ProbeVm("psci_cpu_off", reports=False), ProbeVm("psci_cpu_off")
    make_lab(number).probe(*vms, budget=test_lab04.BUDGET)
    make_lab(number).start("psci_cpu_off").run_until_off(budget=test_lab04.BUDGET)


@pytest.fixture
def uboot() -> object:
    fetched = subprocess.run(command("uboot"), check=False, capture_output=True, text=True,
                             env=environment())
    if fetched.returncode:
        pytest.skip(f"U-Boot could not be fetched: {fetched.stderr.strip()}")
    subprocess.run(command("image", LAB="4"), check=True, capture_output=True, env=environment())
    terminal = Terminal(command("run", LAB="4", VMS=f"{build_directory()}/uboot/vms.toml"))
    yield terminal
    terminal.close()


def test_firmware_that_was_built_for_flash_runs(uboot: Terminal) -> None:
    """U-Boot reads device tree and flash, probes virtio, answers, resets, and powers off."""
    for _ in range(2):
        uboot.read_until("Hit any key to stop autoboot")
        uboot.type(" ")
        uboot.read_until("=> ")
        uboot.type_line("fdt addr 40000000; fdt print /psci method")
        uboot.read_until('method = "hvc"')
        uboot.read_until("=> ")
        uboot.type_line("setexpr.l x *4000000; echo flash=$x")
        uboot.read_until("flash=ffffffff")
        uboot.read_until("=> ")
        uboot.type_line("reset")
    uboot.read_until("Hit any key to stop autoboot")
    uboot.type(" ")
    uboot.read_until("=> ")
    uboot.type_line("poweroff")
    uboot.read_until("uboot: powered off")
    assert uboot.status() == 0
