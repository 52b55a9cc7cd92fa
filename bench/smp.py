# SPDX-License-Identifier: MIT
"""What several CPUs cost: interrupts between vCPUs, Linux with four, and many VMs side by side."""

from __future__ import annotations

from bench.bars import IPI_ROWS, LINUX_SMP, SMP_VMS, SMP_WORK, Result
from bench.rows import read_rows
from bench.run import (Outcome, Setup, bare_command, ended_well, execute, hypervisor_command,
                       plugin_arguments, run_hypervisor)
from tools.errors import UserError
from tools.vms import MIB, VmConfig

USERSPACE = "userspace: Linux"
CLOCK = ["-rtc", "base=2026-01-01,clock=vm"]  # else Linux starts from the host's time


def ipi_rows(setup: Setup, cpu: str) -> list[Result]:
    """The rows of guests/bench/bench_ipi.c: the instructions of both CPUs."""
    vm = VmConfig("measured", 16 * MIB, setup.guest("bench_ipi"), cpus=2)
    rows = read_rows(run_hypervisor(setup, [vm], cpu=cpu, smp=2), *(bar.key for bar in IPI_ROWS))
    return [rows[bar.key].against(bar, f"{cpu} v3") for bar in IPI_ROWS]


def linux_vm(setup: Setup, name: str, cpus: int, memory: int) -> VmConfig:
    linux = setup.build / "linux"
    return VmConfig(name, memory, linux / "Image", initrd=linux / "initramfs.cpio.gz", cpus=cpus,
                    cmdline="console=ttyAMA0 quiet strata.batch")


def reached_userspace(outcome: Outcome) -> Outcome:
    if USERSPACE not in ended_well(outcome).console:
        raise UserError(f"Linux did not reach userspace: {outcome.console[-400:]}")
    return outcome


def linux_instructions(setup: Setup, cpu: str) -> Result:
    """Linux with four vCPUs on four CPUs, and on a machine of four CPUs without a hypervisor."""
    extra, vm = [*plugin_arguments(setup), *CLOCK], linux_vm(setup, "linux", 4, 512 * MIB)
    bare = reached_userspace(execute(bare_command(setup, vm, cpu=cpu, name="smp", extra=extra))[0])
    hosted = reached_userspace(execute(hypervisor_command(setup, [vm], cpu=cpu, smp=4, name="smp",
                                                          extra=extra))[0])
    return Result(LINUX_SMP, f"{cpu} v3", hosted.retired / bare.retired,
                  {"bare": bare.retired, "hosted": hosted.retired})


def many_linux(setup: Setup) -> Result:
    """Eight Linux VMs of two vCPUs each on four CPUs."""
    vms = [linux_vm(setup, f"linux-{i}", 2, 192 * MIB) for i in range(8)]
    outcome = ended_well(*execute(hypervisor_command(setup, vms, cpu="cortex-a76", smp=4,
                                                     name="many")))
    return Result(SMP_VMS, "cortex-a76 v3", len(vms) - outcome.console.count(USERSPACE))


def work(setup: Setup) -> Result:
    """Instructions that eight VMs take for the same work on four CPUs, against one."""
    extra = plugin_arguments(setup)
    vms = [VmConfig(f"vm{i}", 16 * MIB, setup.guest("bench_work")) for i in range(8)]
    one, four = (run_hypervisor(setup, vms, cpu="cortex-a76", smp=smp, extra=extra).retired
                 for smp in (1, 4))
    return Result(SMP_WORK, "cortex-a76 v3", four / one, {"one": one, "four": four})
