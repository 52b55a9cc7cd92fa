# SPDX-License-Identifier: MIT
"""Runs machines for the measurements: with the hypervisor and a bundle, or a bare one at EL1."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.plugins import compile_plugin
from tools import dtb, fdt
from tools.bundle import HEADER_SMMU, build_bundle, machine_memory_for
from tools.errors import UserError
from tools.files import write_atomically
from tools.qemu import (MachineOptions, device_arguments, ends_with_us, option_value, qemu_command,
                        qemu_version, qemu_words)
from tools.vms import MIB, DeviceConfig, VmConfig

NET_SECONDS = 900  # only against an emulator that hangs; no result depends on it
DONE = re.compile(r"DONE: (\d+) of (\d+)")


@dataclass(frozen=True)
class Outcome:
    """What one run of QEMU printed, counted and took."""

    console: str
    stderr: str
    status: int
    cpu_seconds: float  # of the whole process

    @property
    def retired(self) -> int:
        match = re.search(r"RETIRED (\d+)", self.stderr)
        if not match:
            raise UserError(f"the counting plugin said nothing: {self.stderr.strip()[-200:]!r}")
        return int(match[1])


@dataclass(frozen=True)
class Setup:
    """Where things are, and the emulator."""

    build: Path
    image: Path
    qemu: str
    name: str = "measure"  # what its files stand below
    lab: int = 6  # the layers that the image has

    @property
    def out(self) -> Path:
        path = self.build / self.name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def guest(self, name: str) -> Path:
        return self.build / "guests" / f"{name}.bin"


@contextmanager
def on_one_cpu() -> Iterator[None]:
    """Processes started inside share one CPU of the host."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processor_time_of_children() -> float:
    """Processor time of the children that have ended and were waited for."""
    times = os.times()
    return times.children_user + times.children_system


def execute(*commands: list[str], on_all_cpus: bool = False) -> list[Outcome]:
    """Run all commands to their end, at the same time, as a rule on one CPU of the host.

    Other work on the host slows a machine down through caches and the other half of a core, more at
    one moment than at the next. Machines that take turns on one CPU every few milliseconds are
    slowed down alike.
    """
    with ExitStack() as stack:
        started = []
        with nullcontext() if on_all_cpus else on_one_cpu():
            for command in commands:
                files: list[IO[bytes]] = [stack.enter_context(tempfile.TemporaryFile())
                                          for _ in range(2)]
                started.append((stack.enter_context(subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=files[0], stderr=files[1])), files))
        try:
            outcomes = [_outcome(process, files) for process, files in started]
        finally:
            for process, _ in started:
                process.kill()  # does nothing to one that has ended
    return outcomes


def run_until(command: list[str], text: str, count: int) -> str:
    """What a machine prints until it ends, or until it has printed `text` so many times."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as errors, subprocess.Popen(
            ends_with_us(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors) as process:
        assert process.stdout
        net = threading.Timer(NET_SECONDS, process.kill)
        net.start()
        try:
            for line in process.stdout:
                lines.append(line.decode(errors="replace").rstrip())
                count -= text in lines[-1]
                if count <= 0:
                    break
        finally:
            net.cancel()
            process.kill()
        if count > 0:
            errors.seek(0)
            lines.append(errors.read().decode(errors="replace"))
            raise UserError(f"the machine ended too early: {' | '.join(lines)[-600:]}")
    return "\n".join(lines)


def _outcome(process: subprocess.Popen[bytes], files: list[IO[bytes]]) -> Outcome:
    before = processor_time_of_children()
    try:
        status = process.wait(NET_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"no end after {NET_SECONDS} s: {process.args!r}") from None
    seconds = processor_time_of_children() - before
    for file in files:
        file.seek(0)
    console, stderr = (file.read().decode(errors="replace") for file in files)
    return Outcome(console.replace("\r", ""), stderr, status, seconds)


def plugin_arguments(setup: Setup) -> list[str]:
    """-plugin with the counting plugin, compiled for this emulator."""
    return ["-plugin", option_value(compile_plugin("retired", setup.qemu, setup.out))]


def hypervisor_command(setup: Setup, vms: list[VmConfig], *, cpu: str, gic: int = 3, smp: int = 1,
                       icount: bool = True, devices: tuple[DeviceConfig, ...] = (),
                       name: str = "measure", extra: list[str] | None = None) -> list[str]:
    """Boot the hypervisor with these VMs; bundles of different `name` can exist side by side."""
    memory = machine_memory_for(vms)
    bundle = setup.out / f"{name}.bundle"
    write_atomically(bundle, build_bundle(vms, "bench", gic_version=gic, machine_memory=memory,
                                          machine_cpus=smp, flags=HEADER_SMMU if devices else 0))
    options = MachineOptions(qemu=setup.qemu, cpu=cpu, gic=gic, smp=smp, memory=memory,
                             icount=icount, smmu=bool(devices), devices=devices)
    return qemu_command(options, setup.image, bundle, serial=["-serial", "stdio"], extra=extra)


def bare_tree(vm: VmConfig, *, gic: int, with_pci: bool) -> bytes:
    """The VM's device tree; nobody but its kernel has placed the BARs."""
    blob = bytes(dtb.make_dtb(cpus=vm.cpus, memory=vm.memory, gic_version=gic, cmdline=vm.cmdline,
                              initrd=None, pci=with_pci))
    tree = fdt.read(blob)
    tree.root.children["chosen"].properties.pop("linux,pci-probe-only", None)
    return bytes(fdt.write(tree, size_hint=2 * len(blob)))


def bare_command(setup: Setup, vm: VmConfig, *, cpu: str, gic: int = 3, icount: bool = True,
                 devices: tuple[DeviceConfig, ...] = (), name: str = "bare",
                 extra: list[str] | None = None) -> list[str]:
    """Boot the VM's kernel with the VM's device tree at EL1 of the same machine without EL2."""
    tree = setup.out / f"{name}.dtb"
    write_atomically(tree, bare_tree(vm, gic=gic, with_pci=bool(devices)))
    command = [*qemu_words(setup.qemu), "-M", f"virt,gic-version={gic}",
               "-cpu", f"{cpu},cntfrq=1000000000" if icount else cpu,
               "-smp", str(vm.cpus), "-m", f"{vm.memory // MIB}M", "-nodefaults", "-no-user-config",
               "-display", "none", "-no-reboot", "-kernel", str(vm.kernel), "-dtb", str(tree),
               "-append", vm.cmdline, "-serial", "stdio",
               *(["-icount", "shift=0,sleep=off"] if icount else []), *(extra or [])]
    for device in devices:
        command += device_arguments(device, qemu_version(setup.qemu))
    if vm.initrd:
        command += ["-initrd", str(vm.initrd)]
    return command


def ended_well(outcome: Outcome) -> Outcome:
    """Run one machine to its end; a machine that does not power itself off is an error."""
    if outcome.status != 0:
        raise UserError(f"the machine ended with status {outcome.status}: "
                        f"{outcome.console[-400:]}{outcome.stderr[-400:]}")
    return outcome


def run_hypervisor(setup: Setup, vms: list[VmConfig], *, cpu: str, gic: int = 3, smp: int = 1,
                   devices: tuple[DeviceConfig, ...] = (),
                   extra: list[str] | None = None) -> Outcome:
    return ended_well(*execute(hypervisor_command(setup, vms, cpu=cpu, gic=gic, smp=smp,
                                                  devices=devices, extra=extra)))
