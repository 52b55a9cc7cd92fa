# SPDX-License-Identifier: MIT
"""What several CPUs cost: interrupts between vCPUs, Linux with four, and many VMs side by side."""

from __future__ import annotations

import re
import statistics

from bench.bars import (FAIR, IPI_ROWS, LINUX_SMP, SMP_MISSED, SMP_SPEED, SMP_VMS, SMP_WORK, Bar,
                        Result)
from bench.memory import Memory, Variables, missed, used_ticks
from bench.rows import read_rows
from bench.run import (Outcome, Setup, bare_command, ended_well, execute, hypervisor_command,
                       plugin_arguments, run_hypervisor)
from tools.bundle import machine_memory_for
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


def many_linux(setup: Setup) -> list[Result]:
    """Eight Linux VMs of two vCPUs each on four CPUs: vCPUs sleep and wake up all the time."""
    vms = [linux_vm(setup, f"linux-{i}", 2, 192 * MIB) for i in range(8)]
    with Memory(machine_memory_for(vms)) as memory:
        command = hypervisor_command(setup, vms, cpu="cortex-a76", smp=4, name="many",
                                     extra=memory.arguments())
        outcome = ended_well(*execute(command))
        waited = missed(memory, variables(setup))
    return [Result(SMP_VMS, "cortex-a76 v3", len(vms) - outcome.console.count(USERSPACE)),
            Result(SMP_MISSED, "cortex-a76 v3", waited)]


def work(setup: Setup) -> Result:
    """Instructions that eight VMs take for the same work on four CPUs, against one."""
    extra = plugin_arguments(setup)
    vms = [VmConfig(f"vm{i}", 16 * MIB, setup.guest("bench_work")) for i in range(8)]
    one, four = (run_hypervisor(setup, vms, cpu="cortex-a76", smp=smp, extra=extra).retired
                 for smp in (1, 4))
    return Result(SMP_WORK, "cortex-a76 v3", four / one, {"one": one, "four": four})


def variables(setup: Setup) -> Variables:
    return Variables(setup.image.with_suffix(".elf"))


def fair_share(setup: Setup, smp: int, bar: Bar) -> Result:
    """Eight VMs compute for ten seconds of theirs: how far the time of one is from an eighth."""
    vms = [VmConfig(f"vm{i}", 16 * MIB, setup.guest("bench_fair")) for i in range(8)]
    with Memory(machine_memory_for(vms)) as memory:
        run_hypervisor(setup, vms, cpu="cortex-a76", smp=smp, extra=memory.arguments())
        used = used_ticks(memory, variables(setup))
    fair = sum(used) / len(used)
    return Result(bar, "cortex-a76 v3", max(abs(one / fair - 1) for one in used), {"used": used})


def fair_shares(setup: Setup) -> list[Result]:
    return [fair_share(setup, smp, bar) for smp, bar in FAIR.items()]


def time_of_work(setup: Setup, smp: int) -> int:
    """Ticks until eight VMs that begin together have done their work; CPUs are threads."""
    vms = [VmConfig(f"vm{i}", 16 * MIB, setup.guest("bench_work")) for i in range(8)]
    command = hypervisor_command(setup, vms, cpu="cortex-a76", smp=smp, icount=False)
    outcome = ended_well(*execute(command, on_all_cpus=True))
    return max(map(int, re.findall(r"RESULT work ticks=(\d+)", outcome.console)))


def speed(setup: Setup, rounds: int) -> Result:
    """The time of two CPUs against that of one, in pairs, each the first in turn."""
    ratios = []
    for index in range(rounds):
        order = (1, 2) if index % 2 else (2, 1)
        ticks = {smp: time_of_work(setup, smp) for smp in order}
        ratios.append(ticks[2] / ticks[1])
    return Result(SMP_SPEED, "cortex-a76 v3", statistics.median(ratios), {"ratios": ratios})
