# SPDX-License-Identifier: MIT
"""What devices of a VM's own cost: their interrupts, refused accesses, storms, and Linux's disk."""

from __future__ import annotations

import re
import statistics
from dataclasses import replace

from bench.bars import (DISK_INSTRUCTIONS, DISK_TIME, EXITS, FAULT, FAULT_MORE, INTERRUPT, LINES,
                        ROWS, STORM, Result)
from bench.rows import read_rows
from bench.run import (DONE, Outcome, Setup, bare_command, ended_well, execute, hypervisor_command,
                       plugin_arguments, run_hypervisor)
from tools.errors import UserError
from tools.vms import MIB, DeviceConfig, VmConfig

FIRST_SLOT = 2  # 1 has the device that EL2 ends QEMU with
DISK = "00:02.0"
READ, NOTHING = 256 * MIB, 1 * MIB  # sizes of the disks, which are read from end to end
INTERRUPTS = 100_000


def edus(count: int) -> tuple[DeviceConfig, ...]:
    return tuple(DeviceConfig(f"00:{FIRST_SLOT + i:02x}.0", "edu") for i in range(count))


def device_rows(setup: Setup, cpu: str, gic: int) -> list[Result]:
    """The rows of guests/bench/bench_devices.c."""
    devices = edus(1)
    vm = VmConfig("measured", 16 * MIB, setup.guest("bench_devices"), devices=(devices[0].address,))
    rows = read_rows(run_hypervisor(setup, [vm], cpu=cpu, gic=gic, devices=devices),
                     INTERRUPT[gic].key, FAULT.key, "dma_fault_two")
    machine = f"{cpu} v{gic}"
    results = [rows[bar.key].against(bar, machine) for bar in (INTERRUPT[gic], FAULT)]
    more = rows["dma_fault_two"].median - rows["dma_fault"].median
    return [*results, Result(FAULT_MORE, machine, more)]


def shared_lines(setup: Setup) -> Result:
    """Four VMs with four devices each on the same four lines; each says what it took."""
    devices = edus(16)
    vms = [VmConfig(f"vm{i}", 16 * MIB, setup.guest("bench_lines"),
                    devices=tuple(device.address for device in devices[4 * i:4 * i + 4]))
           for i in range(4)]
    outcome = run_hypervisor(setup, vms, cpu="cortex-a76", devices=devices)
    taken = sum(int(n) for n in re.findall(r"RESULT lines devices=4 taken=(\d+)", outcome.console))
    good = [m for m in DONE.finditer(outcome.console) if m[1] == m[2] != "0"]
    if len(good) != len(vms):
        raise UserError(f"interrupts were lost or came to the wrong VM: {outcome.console[-600:]}")
    return Result(LINES, "cortex-a76 v3", max(INTERRUPTS - taken, 0), {"taken": taken})


def storm(setup: Setup) -> Result:
    """The time of some work beside a VM that works, too, and beside one whose devices storm, one on
    each line."""
    devices = edus(4)
    victim = VmConfig("victim", 16 * MIB, setup.guest("bench_work"))
    others = (VmConfig("other", 16 * MIB, setup.guest("bench_work")),
              VmConfig("hostile", 16 * MIB, setup.guest("bench_storm"),
                       devices=tuple(device.address for device in devices)))
    ticks = []
    for other in others:
        outcome = run_hypervisor(setup, [victim, other], cpu="cortex-a76", devices=devices)
        match = re.search(r"\[victim\] RESULT work ticks=(\d+)", outcome.console)
        if not match:
            raise UserError(f"bench_work gave no result: {outcome.console[-400:]}")
        ticks.append(int(match[1]))
    quiet, stormy = ticks
    return Result(STORM, "cortex-a76 v3", stormy / quiet, {"quiet": quiet, "stormy": stormy})


def without_devices(setup: Setup) -> Result:
    """How much more the exits of VMs without devices take with layer 5 than without it."""
    vms = [VmConfig(name, 16 * MIB, setup.guest("bench")) for name in ("measured", "partner")]
    images = [setup.build / f"solution-lab0{lab}" / "strata.bin" for lab in (5, 4)]
    keys = [bar.key for bar in ROWS]
    with_5, with_4 = (read_rows(run_hypervisor(replace(setup, image=image), vms, cpu="cortex-a76"),
                                *keys)
                      for image in images)
    more = {bar.key: with_5[bar.key].median - with_4[bar.key].median for bar in ROWS}
    return Result(EXITS, "cortex-a76 v3", max(more.values()), {"more": more})


# ---- Linux reads a disk of its own ---------------------------------------------------------------


def disk(setup: Setup, name: str, size: int) -> tuple[DeviceConfig, ...]:
    """A disk of zeros; each machine has one of its own, since QEMU locks it."""
    path = setup.out / f"{name}.img"
    with path.open("wb") as file:
        file.truncate(size)
    return (DeviceConfig(DISK, "virtio-blk-pci", path),)


def disk_vm(setup: Setup) -> VmConfig:
    linux = setup.build / "linux"
    return VmConfig("linux", 512 * MIB, linux / "Image", initrd=linux / "devices.cpio.gz",
                    cmdline="console=ttyAMA0 quiet strata.part=reader", devices=(DISK,))


def disk_commands(setup: Setup, cpu: str, extra: list[str]) -> dict[tuple[str, int], list[str]]:
    """Four machines: without and with the hypervisor, a disk of nearly nothing and of 256 MiB."""
    vm, commands = disk_vm(setup), {}
    for size in (NOTHING, READ):
        bare, hosted = (f"disk-{where}-{size // MIB}M" for where in ("bare", "hosted"))
        commands["bare", size] = bare_command(setup, vm, cpu=cpu, icount=False, name=bare,
                                              devices=disk(setup, bare, size), extra=extra)
        commands["hosted", size] = hypervisor_command(setup, [vm], cpu=cpu, icount=False,
                                                      devices=disk(setup, hosted, size),
                                                      name=hosted, extra=extra)
    return commands


def was_read(outcome: Outcome) -> Outcome:
    if "the disk was read" not in ended_well(outcome).console:
        raise UserError(f"Linux did not read its disk: {outcome.console[-400:]}")
    return outcome


def disk_instructions(setup: Setup, cpu: str, rounds: int) -> Result:
    """Median instructions of the read alone: what a large disk takes more than a small one."""
    commands = disk_commands(setup, cpu, plugin_arguments(setup))
    retired: dict[tuple[str, int], list[int]] = {kind: [] for kind in commands}
    for _ in range(rounds):
        for kind, command in commands.items():
            retired[kind].append(was_read(*execute(command)).retired)
    of_read = {where: statistics.median(retired[where, READ])
               - statistics.median(retired[where, NOTHING]) for where in ("bare", "hosted")}
    return Result(DISK_INSTRUCTIONS, f"{cpu} v3", of_read["hosted"] / of_read["bare"],
                  {**of_read, "retired": {f"{w} {s // MIB}M": v for (w, s), v in retired.items()}})


def disk_time(setup: Setup, cpu: str, rounds: int) -> Result:
    """The emulator's time for boot and read; a round runs both machines at once, as for the boot.

    The boot stays in it: the host gives a VM its memory when EL2 fills it, at the start, and a
    machine without EL2 when the page cache grows.
    """
    commands = disk_commands(setup, cpu, [])
    seconds: dict[str, list[float]] = {"bare": [], "hosted": []}
    for index in range(rounds):
        order = ("bare", "hosted") if index % 2 else ("hosted", "bare")
        outcomes = execute(*(commands[where, READ] for where in order))
        for where, outcome in zip(order, outcomes, strict=True):
            seconds[where].append(was_read(outcome).cpu_seconds)
    ratios = [hosted / bare
              for hosted, bare in zip(seconds["hosted"], seconds["bare"], strict=True)]
    return Result(DISK_TIME, f"{cpu} v3", statistics.median(ratios), {"ratios": ratios, **seconds})
