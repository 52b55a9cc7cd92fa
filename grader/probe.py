# SPDX-License-Identifier: MIT
"""Runs probes in VMs and reads their reports out of physical memory.

A probe's console is for people. What counts is `probe_report`, found through the tables that the
hardware itself was using when the probe came to its end: VTTBR_EL2 and VTCR_EL2 as GDB reads
them, walked by the grader's own decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from grader import images
from grader.decode.stage2 import Stage2
from grader.launch import Guest, MachineConfig
from grader.machine import EL1_ONLY, Machine, StopKind
from grader.objects import Objects
from grader.symbols import symbols_of
from grader.verdict import Finding, Verdict, expect_that, show
from tools.bundle import build_bundle, machine_memory_for
from tools.vms import VmConfig

MIB = 1 << 20
RAM_BASE = 0x4000_0000
LOAD_OFFSET = 0x8_0000
PAGE = 4096

REPORT_MAGIC = 0x50524F42452D5631
REPORT_HEAD = struct.Struct("<QIIII")
REPORT_ENTRY = struct.Struct("<QQQQ")
REPORT_MAX = 64
HCR_VM = 1


@dataclass(frozen=True)
class ProbeVm:
    """A VM that runs a probe."""

    probe: str
    name: str = ""
    memory_mib: int = 16
    cpus: int = 1
    seed: int | None = None
    reports: bool = True  # False: a neighbour that never finishes


@dataclass(frozen=True)
class Entry:
    text: str
    passed: bool
    observed: int
    expected: int


@dataclass(frozen=True)
class Report:
    """What one probe wrote down."""

    vm: str
    probe: str
    entries: tuple[Entry, ...]
    done: bool

    @property
    def failures(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.passed]


def seeded(probe: str, seed: int, folder: Path) -> Path:
    """A copy of the probe's binary with probe_seed set; one file for each seed."""
    image = images.guest(probe)
    symbols = symbols_of(image.elf)
    data = bytearray(image.binary.read_bytes())
    offset = symbols["probe_seed"] - symbols.base()
    if offset + 8 > len(data):
        raise ValueError(f"{probe}: probe_seed is not in the binary")
    struct.pack_into("<Q", data, offset, seed)
    target = folder / f"{probe}-{seed:x}.bin"
    target.write_bytes(data)
    return target


def prepare(
    lab: int,
    vms: list[ProbeVm],
    folder: Path,
    *,
    seed: int,
    gic: int = 3,
    cpu: str = "cortex-a76",
    qemu: str = "qemu-system-aarch64",
    machine_mib: int | None = None,
) -> MachineConfig:
    """The machine that runs these VMs under the image of `lab`."""
    hypervisor = images.hypervisor(lab)
    configs, guests = [], []
    for index, vm in enumerate(vms):
        name = vm.name or f"vm{index}"
        kernel = seeded(vm.probe, vm.seed if vm.seed is not None else seed, folder)
        configs.append(VmConfig(name=name, memory=vm.memory_mib * MIB, kernel=kernel, cpus=vm.cpus))
        guests.append(Guest(name, images.guest(vm.probe).elf, RAM_BASE + LOAD_OFFSET))
    memory = machine_mib * MIB if machine_mib else machine_memory_for(configs)
    bundle = folder / "test.bundle"
    bundle.write_bytes(
        build_bundle(configs, "test", gic_version=gic, machine_memory=memory, machine_cpus=1)
    )
    return MachineConfig(
        image=hypervisor.binary,
        elf=hypervisor.elf,
        bundle=bundle,
        guests=tuple(guests),
        gic=gic,
        cpu=cpu,
        memory_mib=memory // MIB,
        qemu=qemu,
        build=images.build_directory(),
    )


def guest_reader(machine: Machine) -> Callable[[int, int], bytes]:
    """Reads guest-physical memory of the VM whose vCPU is loaded, by the hardware's own tables."""
    if not machine.register("HCR_EL2") & HCR_VM:
        return machine.memory.read
    table = Stage2(machine.register("VTCR_EL2"), machine.register("VTTBR_EL2"), machine.memory.u64)

    def read(address: int, count: int) -> bytes:
        parts = []
        while count:
            room = min(count, PAGE - address % PAGE)
            leaf = table.walk(address)
            expect_that(
                f"stage 2 maps guest address {address:#x}, which the guest has used",
                leaf.output is not None,
                observed=str(leaf),
            )
            assert leaf.output is not None
            parts.append(machine.memory.read(leaf.output, room))
            address, count = address + room, count - room
        return b"".join(parts)

    return read


def read_report(machine: Machine, vm: str, probe: str, base: int) -> Report:
    """The report of a probe whose image lies at guest address `base`; its VM is loaded."""
    read = guest_reader(machine)
    symbols = symbols_of(images.guest(probe).elf)
    start = base + symbols["probe_report"]
    magic, count, _, done, _ = REPORT_HEAD.unpack(read(start, REPORT_HEAD.size))
    expect_that("the probe's report is where the probe put it", magic == REPORT_MAGIC, magic)
    entries = []
    body = read(start + REPORT_HEAD.size, min(count, REPORT_MAX) * REPORT_ENTRY.size)
    for name, passed, observed, expected in REPORT_ENTRY.iter_unpack(body):
        text = read(base + name, 160).split(b"\0")[0].decode("ascii", "backslashreplace")
        entries.append(Entry(text, bool(passed), observed, expected))
    return Report(vm, probe, tuple(entries), bool(done))


def ram_bases(machine: Machine, vms: list[ProbeVm], lab: int) -> list[int]:
    """Where each VM's RAM begins. Without stage 2 the hypervisor chose, and is asked."""
    if lab >= 2:
        return [RAM_BASE] * len(vms)
    machine.run_to("*vcpu_enter")
    bases = [vm.ram_base for vm in Objects(machine).vms()]
    for index, (guest, base) in enumerate(zip(machine.guests, bases, strict=True)):
        machine.guests[index] = replace(guest, load_address=base + LOAD_OFFSET)
    return bases


def run_probes(machine: Machine, vms: list[ProbeVm], lab: int, budget: int) -> list[Report]:
    """Run until every probe that reports has finished; reports in the order of the VMs."""
    bases = ram_bases(machine, vms, lab)
    objects = Objects(machine)
    reports: dict[int, Report] = {}
    wanted = {index for index, vm in enumerate(vms) if vm.reports}
    ends: dict[int, int] = {}
    for index in wanted:
        symbols = symbols_of(images.guest(vms[index].probe).elf)
        address = bases[index] + LOAD_OFFSET + symbols["probe_finished"]
        if address not in ends.values():
            machine.gdb.insert_breakpoint(f"*{address:#x}", EL1_ONLY)
        ends[index] = address
    limit = machine.budget.retired + budget
    while wanted - reports.keys():
        stop = machine.run(max(0, limit - machine.budget.retired))
        missing = ", ".join(f"{vms[i].probe} in VM {i}" for i in sorted(wanted - reports.keys()))
        if stop.kind is not StopKind.BREAKPOINT:
            raise machine.finding_for(stop, f"these probes come to their end: {missing}")
        index = objects.loaded_vm_index(stop.cpu)
        if ends.get(index) == stop.pc and index not in reports:
            base = bases[index] + LOAD_OFFSET
            reports[index] = read_report(machine, f"vm{index}", vms[index].probe, base)
    return [reports[index] for index in sorted(reports)]


def judge(machine: Machine, reports: list[Report], ignore: tuple[str, ...] = ()) -> None:
    """FAIL with every property that a probe found violated; no entries at all is a FAIL too.

    `ignore` names properties, by words in them, that belong to a layer which is not linked.
    """
    lines = []
    for report in reports:
        if not report.entries:
            lines.append(f"{report.vm}: {report.probe} reported nothing")
        for entry in report.failures:
            if any(words in entry.text for words in ignore):
                continue
            lines.append(
                f"{report.vm}: {entry.text}: observed {show(entry.observed)},"
                f" expected {show(entry.expected)}"
            )
    if lines:
        first = reports[0].probe
        raise Finding(
            Verdict.FAIL,
            f"{first}: {len(lines)} of {sum(len(r.entries) for r in reports)} properties",
            where=[*lines, *machine.where()],
        )
