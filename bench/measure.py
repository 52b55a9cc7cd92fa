# SPDX-License-Identifier: MIT
"""`make measure`: what the hypervisor costs, against the bars it has to reach.

Instruction counts are exact and repeat. The emulator's time depends on the host: the machines that
are compared run side by side on one CPU, and the median of several rounds counts. The results go to
measure.json; the exit status is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from pathlib import Path

from elftools.elf.elffile import ELFFile

from bench import devices, lives, smp, workloads
from bench.bars import (BOOT_BLOCKS, BOOT_INSTRUCTIONS, BOOT_TIME, EL2_SIZE, MANY_VMS, ROWS,
                        TABLE_SIZE, Bar, Peers, Result, print_table)
from bench.paper import PEERS
from bench.rows import read_rows
from bench.run import (DONE, Setup, bare_command, ended_well, execute, hypervisor_command,
                       plugin_arguments, run_hypervisor)
from tools.errors import UserError, run_main
from tools.files import write_atomically
from tools.qemu import qemu_version
from tools.vms import MIB, PAGE_SIZES, VM_MAX, VmConfig

MACHINES = (("cortex-a76", 3), ("cortex-a72", 3), ("cortex-a76", 2), ("cortex-a72", 2))
BOOT_CPUS = ("cortex-a76", "cortex-a72")
USERSPACE = "userspace: Linux"
PAGE_SIZES_OF_BOOT = ("4K", "2M")


def microbenchmarks(setup: Setup, cpu: str, gic: int) -> list[Result]:
    """The rows of guests/bench on one machine."""
    vms = [VmConfig(name, 16 * MIB, setup.guest("bench")) for name in ("measured", "partner")]
    rows = read_rows(run_hypervisor(setup, vms, cpu=cpu, gic=gic), *(bar.key for bar in ROWS))
    return [rows[bar.key].against(bar, f"{cpu} v{gic}") for bar in ROWS]


def linux_vm(setup: Setup, page_size: str = "4K") -> VmConfig:
    linux = setup.build / "linux"
    return VmConfig("linux", 512 * MIB, linux / "Image", initrd=linux / "initramfs.cpio.gz",
                    cmdline="console=ttyAMA0 quiet strata.batch", page_size=PAGE_SIZES[page_size])


def reached_userspace(console: str, who: str) -> None:
    if USERSPACE not in console:
        raise UserError(f"{who}: Linux did not reach userspace: {console[-400:]}")


def boot_bar(bar: Bar, page_size: str) -> Bar:
    return bar if page_size == "4K" else BOOT_BLOCKS[bar]


def boot_instructions(setup: Setup, cpu: str) -> list[Result]:
    """Instructions retired by a boot to power-off at all exception levels, with and without EL2."""
    plugin = plugin_arguments(setup)
    bare = ended_well(*execute(bare_command(setup, linux_vm(setup), cpu=cpu, extra=plugin)))
    reached_userspace(bare.console, "without a hypervisor")
    results = []
    for page_size in PAGE_SIZES_OF_BOOT:
        hosted = run_hypervisor(setup, [linux_vm(setup, page_size)], cpu=cpu, extra=plugin)
        reached_userspace(hosted.console, "in a VM")
        results.append(Result(boot_bar(BOOT_INSTRUCTIONS, page_size), f"{cpu} v3",
                              hosted.retired / bare.retired,
                              {"bare": bare.retired, "hosted": hosted.retired}))
    return results


def boot_time(setup: Setup, cpu: str, rounds: int) -> list[Result]:
    """The emulator's time for these boots; a round runs all machines at once, in its own order."""
    commands = {"bare": bare_command(setup, linux_vm(setup), cpu=cpu)}
    for size in PAGE_SIZES_OF_BOOT:
        commands[size] = hypervisor_command(setup, [linux_vm(setup, size)], cpu=cpu,
                                            name=f"time-{size}")
    kinds = list(commands)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for index in range(rounds):
        order = kinds[index % len(kinds):] + kinds[:index % len(kinds)]
        for kind, outcome in zip(order, execute(*(commands[kind] for kind in order)), strict=True):
            reached_userspace(ended_well(outcome).console, kind)
            seconds[kind].append(outcome.cpu_seconds)
    results = []
    for size in PAGE_SIZES_OF_BOOT:
        ratios = [hosted / bare
                  for hosted, bare in zip(seconds[size], seconds["bare"], strict=True)]
        results.append(Result(boot_bar(BOOT_TIME, size), f"{cpu} v3", statistics.median(ratios),
                              {"ratios": ratios, "hosted": seconds[size], "bare": seconds["bare"]}))
    return results


def el2_size(image: Path) -> Result:
    """Bytes of the image that EL2 occupies beside zeroed memory and stacks."""
    sizes = {}
    with image.with_suffix(".elf").open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if section["sh_flags"] & 2 and section["sh_type"] != "SHT_NOBITS":
                sizes[section.name] = section["sh_size"]
    return Result(EL2_SIZE, "image", sum(sizes.values()), {"sections": sizes})


def table_size(setup: Setup) -> Result:
    """Stage-2 tables of a VM all of whose 512 MiB are backed."""
    vm = VmConfig("big", 512 * MIB, setup.guest("memory_tables"))
    outcome = run_hypervisor(setup, [vm], cpu="cortex-a76")
    match = re.search(r"RESULT table_bytes=(\d+) resident_bytes=(\d+)", outcome.console)
    if not match:
        raise UserError(f"memory_tables gave no result: {outcome.console[-400:]}")
    return Result(TABLE_SIZE, "image", int(match[1]), {"resident_bytes": int(match[2])})


def many_vms(setup: Setup) -> Result:
    """As many VMs as there may be, each checking that its registers and memory stay its own."""
    vms = [VmConfig(f"vm{i:02}", 64 * MIB, setup.guest("many_vms")) for i in range(VM_MAX)]
    outcome = run_hypervisor(setup, vms, cpu="cortex-a76")
    good = [m for m in DONE.finditer(outcome.console) if m[1] == m[2] != "0"]
    return Result(MANY_VMS, "image", VM_MAX - len(good))


def highest_image(build: Path) -> Path:
    images = sorted(build.glob("solution-lab0?/strata.bin"))
    if not images:
        raise UserError(f"{build}: no image; `make image` builds it")
    return images[-1]


def read_peers(path: Path, cpu: str) -> Peers:
    """What the last `make bench PEERS=1` found on this CPU; nothing without one."""
    if not path.exists():
        return {}
    found: Peers = {}
    for row in json.loads(path.read_text("utf-8"))["rows"]:
        if row["system"] in PEERS and row["cpu"] == cpu:
            found.setdefault(row["system"], {})[row["name"]] = row["median"]
    return found


def say(text: str) -> None:
    print(f"measure: {text}", file=sys.stderr, flush=True)


def measure_devices(setup: Setup, skip: set[str], rounds: int) -> list[Result]:
    results: list[Result] = []
    for cpu, gic in MACHINES:
        say(f"an assigned device, {cpu}, GICv{gic}")
        results += devices.device_rows(setup, cpu, gic)
    say("shared lines, a storm, and no devices at all")
    results += [devices.shared_lines(setup), devices.storm(setup),
                devices.without_devices(setup)]
    say(f"Linux reads its disk, {rounds} rounds")
    results.append(devices.disk_instructions(setup, BOOT_CPUS[0], rounds))
    if "time" not in skip:
        results.append(devices.disk_time(setup, BOOT_CPUS[0], rounds))
    return results


def measure_smp(setup: Setup, skip: set[str], rounds: int) -> list[Result]:
    """What needs layer 6."""
    results: list[Result] = []
    for cpu in BOOT_CPUS:
        say(f"interrupts between vCPUs, {cpu}")
        results += smp.ipi_rows(setup, cpu)
    say("Linux with four vCPUs; eight VMs on one CPU and on four; eight Linux VMs")
    results += [smp.linux_instructions(setup, BOOT_CPUS[0]), smp.work(setup),
                *smp.many_linux(setup)]
    say("eight VMs that compute, on one CPU and on four")
    results += smp.fair_shares(setup)
    if "time" not in skip:
        say(f"work on two CPUs and on one, {rounds} rounds")
        results.append(smp.speed(setup, rounds))
    return results


def measure(setup: Setup, skip: set[str], rounds: int) -> list[Result]:
    results: list[Result] = []
    if "micro" not in skip:
        for cpu, gic in MACHINES:
            say(f"microbenchmarks, {cpu}, GICv{gic}")
            results += microbenchmarks(setup, cpu, gic)
    say("sizes")
    results += [el2_size(setup.image), table_size(setup), lives.life(setup),
                *lives.memory(setup)]
    if "devices" not in skip:
        results += measure_devices(setup, skip, rounds)
    if "smp" not in skip:
        results += measure_smp(setup, skip, rounds)
    say(f"{VM_MAX} VMs")
    results.append(many_vms(setup))
    if "work" not in skip:
        say("Linux at work, instructions")
        results += workloads.instructions(setup, BOOT_CPUS[0])
        if "time" not in skip:
            say(f"Linux at work, the emulator's time, {rounds} rounds")
            results += workloads.times(setup, BOOT_CPUS[0], rounds)
    for cpu in BOOT_CPUS:
        if "boot" not in skip:
            say(f"Linux boot, instructions, {cpu}")
            results += boot_instructions(setup, cpu)
        if "time" not in skip:
            say(f"Linux boot, the emulator's time, {cpu}, {rounds} rounds")
            results += boot_time(setup, cpu, rounds)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.measure", description="measure against the bars")
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--qemu", default="qemu-system-aarch64")
    parser.add_argument("--image", type=Path,
                        help="strata.bin (default: the highest lab of the build)")
    parser.add_argument("--lab", type=int, default=6, help="the layers that it has")
    parser.add_argument("--rounds", type=int, default=5,
                        help="rounds of the emulator's time (default: 5)")
    parser.add_argument("--skip", action="append", default=[],
                        choices=("micro", "boot", "time", "devices", "smp", "work"))
    arguments = parser.parse_args()
    if arguments.lab < 4:
        raise UserError("make measure needs layers 1 to 4, LAB=4 or more; `make bench "
                        f"LAB={arguments.lab} BENCH=hypercall` measures what this lab has")
    later = {name for name, lab in (("devices", 5), ("smp", 6)) if arguments.lab < lab}
    setup = Setup(arguments.build, arguments.image or highest_image(arguments.build),
                  arguments.qemu)
    results = measure(setup, {*arguments.skip, *later}, arguments.rounds)
    peers = read_peers(setup.build / "bench" / "bench.json", BOOT_CPUS[0])
    print_table(results, peers)
    missed = [r for r in results if not r.passed]
    report = {"qemu": ".".join(map(str, qemu_version(setup.qemu))), "image": str(setup.image),
              "passed": not missed, "rows": [r.as_json() for r in results]}
    write_atomically(setup.build / "measure.json", json.dumps(report, indent=1) + "\n")
    if not peers:
        print("KVM and Xen get columns here after `make bench PEERS=1`")
    for result in missed:
        print(f"missed: {result.bar.title}, {result.machine}: "
              f"{result.value:g} > {result.bar.limit:g} {result.bar.unit}")
    return 1 if missed else 0


if __name__ == "__main__":
    run_main(main)
