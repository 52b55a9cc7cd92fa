# SPDX-License-Identifier: MIT
"""Runs probes in VMs and judges what they reported.

A probe's console is for people. What counts is what the plugin saw the probe's own code store
(witness.py), that this was all that the probe has to say, and that it said so in its own VM.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from grader.machine import images
from grader.machine.launch import Guest, MachineConfig
from grader.machine.machine import Machine, Stop, StopKind
from grader.machine.symbols import symbols_of
from grader.machine.verdict import Finding, Verdict, expect, expect_that, show
from grader.oracle.objects import Objects
from grader.oracle.witness import Entry, Witness
from tools.bundle import build_bundle, header_flags, machine_memory_for
from tools.guest_map import GUEST_MAP
from tools.vms import PAGE_SIZES, DeviceConfig, VmConfig, VmsFile

MIB = 1 << 20
RAM_BASE = GUEST_MAP["RAM_BASE"]
LOAD_OFFSET = 0x8_0000
BAIT = "!"
MOST_VIOLATED = 4  # that a failure lists when something else is wrong, too


@dataclass(frozen=True)
class ProbeVm:
    """A VM that runs a probe."""

    probe: str
    name: str = ""
    memory_mib: int | None = None  # None: probe_mib()
    cpus: int = 1
    page_size: str = "2M"  # as in vms.toml
    seed: int | None = None
    devices: tuple[str, ...] = ()  # addresses of those that it owns
    pin: tuple[tuple[int, ...], ...] = ()  # for each vCPU the CPUs that it may run on; (): any
    words: tuple[tuple[str, int], ...] = ()  # 64-bit variables of the probe, and their values
    reports: bool = True  # False: a neighbour that never finishes


def probe_mib(lab: int, has_devices: bool) -> int:
    """A VM's memory where the test gives none: little where EL2 clears all of it at the start."""
    return 4 if lab == 1 else 8 if has_devices else 16


@lru_cache(4096)
def _text_in(probe: str, address: int) -> str:
    """A string of a probe, which a graded run asks for again and again."""
    image = images.guest(probe)
    offset = address - symbols_of(image.elf).base()
    text = image.binary.read_bytes()[offset:offset + 160].split(b"\0")[0]
    return text.decode("ascii", "backslashreplace")


@dataclass(frozen=True)
class Report:
    """What one probe said, oldest first."""

    vm: str
    probe: str
    entries: tuple[Entry, ...]

    def text(self, entry: Entry) -> str:
        """The property in words: from the probe's file, not from the VM's memory."""
        return _text_in(self.probe, entry.name)

    def is_bait(self, entry: Entry) -> bool:
        """A comparison with a value that no hypervisor may answer with: it must not hold."""
        return self.text(entry).startswith(BAIT)

    @property
    def properties(self) -> list[Entry]:
        return [entry for entry in self.entries if not self.is_bait(entry)]

    @property
    def digest(self) -> str:
        """Which properties these are, in their order, whether they hold or not."""
        texts = [self.text(entry) for entry in self.properties]
        checksum = zlib.crc32("\n".join(texts).encode())
        return f"{self.vm} {self.probe}: {len(texts)} {checksum:08x}"


def varies(probe: str) -> bool:
    """Whether the probe computes with the seed: otherwise it does the same on every one."""
    return "seed_number" in symbols_of(images.guest(probe).elf)


def packed(probe: str, seed: int, vm: int, folder: Path,
           words: tuple[tuple[str, int], ...] = ()) -> Path:
    """A copy of the probe's binary that knows its seed and its VM; `words` are for its variables,
    which must not be in BSS."""
    image = images.guest(probe)
    symbols = symbols_of(image.elf)
    data = bytearray(image.binary.read_bytes())
    for name, value in (("probe_seed", seed), ("probe_vm", vm), *words):
        struct.pack_into("<Q", data, symbols[name] - symbols.base(), value)
    target = folder / f"{probe}-{vm}.bin"
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
    smp: int = 1,
    machine_mib: int | None = None,
    extra: tuple[str, ...] = (),
    deterministic: bool = True,
    processor_seconds: float = 0,
    devices: tuple[DeviceConfig, ...] = (),
    smmu_stage: int | None = None,
    vmids: int = 0,
) -> MachineConfig:
    """The machine that runs these VMs under the image of `lab`: `smp` CPUs, these PCI devices."""
    hypervisor = images.hypervisor(lab)
    configs, guests = [], []
    for index, vm in enumerate(vms):
        name = vm.name or f"vm{index}"
        kernel = packed(vm.probe, vm.seed if vm.seed is not None else seed, index, folder, vm.words)
        memory = MIB * (vm.memory_mib or probe_mib(lab, bool(vm.devices)))
        configs.append(
            VmConfig(
                name,
                memory,
                kernel,
                vm.cpus,
                page_size=PAGE_SIZES[vm.page_size],
                devices=vm.devices,
                pin=vm.pin,
            )
        )
        guests.append(Guest(name, images.guest(vm.probe).elf, RAM_BASE + LOAD_OFFSET))
    memory = machine_mib * MIB if machine_mib else machine_memory_for(configs)
    bundle = folder / "test.bundle"
    file = VmsFile(configs, list(devices), smmu_stage, vmids)
    bundle.write_bytes(
        build_bundle(
            configs,
            "test",
            gic_version=gic,
            machine_memory=memory,
            machine_cpus=smp,
            flags=header_flags(file),
            vmids=file.vmids,
        )
    )
    return MachineConfig(
        image=hypervisor.binary,
        elf=hypervisor.elf,
        bundle=bundle,
        guests=tuple(guests),
        gic=gic,
        cpu=cpu,
        smp=smp,
        memory_mib=memory // MIB,
        qemu=qemu,
        extra=extra,
        deterministic=deterministic,
        processor_seconds=processor_seconds,
        smmu=file.has_smmu,
        devices=devices,
        build=images.build_directory(),
    )


def ram_bases(machine: Machine, vms: list[ProbeVm], lab: int) -> list[int]:
    """Where each VM's RAM begins. Without stage 2 the hypervisor chose, and is asked."""
    if lab >= 2:
        return [RAM_BASE] * len(vms)
    machine.run_to("*vcpu_enter")
    bases = [vm.ram_base for vm in Objects(machine).vms()]
    for index, (guest, base) in enumerate(zip(machine.guests, bases, strict=True)):
        machine.guests[index] = replace(guest, load_address=base + LOAD_OFFSET)
    return bases


def watch_probes(machine: Machine, vms: list[ProbeVm], lab: int) -> Witness:
    """Before anything has run: whose reports are expected."""
    ram_bases(machine, vms, lab)  # without stage 2 it tells machine.guests where they are
    witness = Witness(machine.budget.shared)
    for guest, vm in zip(machine.guests, vms, strict=True):
        witness.watch(guest.elf, guest.load_address, vm.reports, vm.cpus)
    return witness


def run_probes(machine: Machine, vms: list[ProbeVm], lab: int, budget: int) -> list[Report]:
    """Run until every probe that reports has finished; reports in the order of the VMs."""
    witness = watch_probes(machine, vms, lab)
    return finish_probes(machine, vms, witness, machine.run(budget))


def finish_probes(machine: Machine, vms: list[ProbeVm], witness: Witness,
                  stop: Stop) -> list[Report]:
    """What they said by the machine's last stop; a Finding if that was not their end."""
    wanted = [index for index, vm in enumerate(vms) if vm.reports]
    if stop.kind is not StopKind.FINISHED:
        names = ", ".join(f"{vms[index].probe} in VM {index}" for index in wanted)
        ended = f" ({witness.finished} did)" if len(wanted) > 1 else ""
        finding = machine.finding_for(stop, f"these probes come to their end: {names}{ended}")
        for objection in witness.objections():
            finding.where.insert(0, f"{objection.what}: {objection.observed}")
        raise finding
    try:
        return [
            Report(f"vm{index}", vms[index].probe, tuple(witness.entries(index)))
            for index in wanted
        ]
    except Finding as objection:
        for index in wanted:
            report = Report(f"vm{index}", vms[index].probe, tuple(witness.claims(index)))
            objection.where += violated(report)[:MOST_VIOLATED]
        objection.where += machine.where()
        raise


def expect_turns(reports: list[Report]) -> None:
    """FAIL unless a probe went on after another one had reported: they had the CPU by turns."""
    order = sorted((entry.place, report.vm) for report in reports for entry in report.entries)
    turns = [vm for vm, _ in groupby(vm for _, vm in order)]
    expect_that("the VMs take turns: each reports, gives way, and reports again",
                len(turns) > len(reports), f"reports of {', then of '.join(turns)}, and no more")


def violated(report: Report, ignore: tuple[str, ...] = ()) -> list[str]:
    """What a probe found wrong, a line each."""
    return [f"{report.vm}: {report.text(entry)}: observed {show(entry.observed)},"
            f" expected {show(entry.expected)}" for entry in report.properties
            if not entry.passed and not any(words in report.text(entry) for words in ignore)]


def judge(machine: Machine, reports: list[Report], ignore: tuple[str, ...] = ()) -> None:
    """FAIL with every property that a probe found violated; no entries at all is a FAIL too.

    `ignore` names properties, by words in them, that belong to a layer which is not linked.
    """
    for report in reports:
        taken = [entry.observed for entry in report.entries
                 if report.is_bait(entry) and entry.passed]
        expect(f"{report.vm}: SMCCC_VERSION answers the version, not what its caller hopes for",
               taken, [])
    lines = []
    for report in reports:
        if not report.properties:
            lines.append(f"{report.vm}: {report.probe} reported nothing")
        lines += violated(report, ignore)
    if lines:
        first = reports[0].probe
        raise Finding(
            Verdict.FAIL,
            f"guests/probes/{first}.c: {len(lines)} of {sum(len(r.properties) for r in reports)} "
            "properties", where=[*lines, *machine.where()],
        )
    for report in reports:
        numbers = [entry.number for entry in report.entries
                   if entry.number or not report.is_bait(entry)]
        expect(
            f"{report.vm}: {report.probe} ran once, from its start to its end",
            numbers,
            list(range(1, len(numbers) + 1)),
        )
