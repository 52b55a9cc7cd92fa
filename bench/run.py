# SPDX-License-Identifier: MIT
"""Runs machines for the measurements: with the hypervisor and a bundle, or a bare one at EL1."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tools import dtb
from tools.bundle import build_bundle, machine_memory_for
from tools.errors import UserError
from tools.files import write_atomically
from tools.qemu import MachineOptions, option_value, qemu_command, qemu_version, qemu_words
from tools.vms import MIB, VmConfig

PLUGIN_SOURCE = Path(__file__).parent / "plugin" / "retired.c"
NET_SECONDS = 900  # only against an emulator that hangs; no result depends on it
DONE = re.compile(r"DONE: (\d+) of (\d+)")


@dataclass(frozen=True)
class Outcome:
    """What one run of QEMU left behind."""

    console: str
    stderr: str
    status: int
    wall_seconds: float
    cpu_seconds: float

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

    @property
    def out(self) -> Path:
        path = self.build / "measure"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def guest(self, name: str) -> Path:
        return self.build / "guests" / f"{name}.bin"


def execute(command: list[str]) -> Outcome:
    """Run to the end; time is that of the whole process."""
    before = os.times()
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=NET_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"no end after {NET_SECONDS} s: {' '.join(command)}") from None
    wall = time.monotonic() - start
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    console = done.stdout.decode(errors="replace").replace("\r", "")
    return Outcome(console, done.stderr.decode(errors="replace"), done.returncode, wall, cpu)


def plugin_arguments(setup: Setup) -> list[str]:
    """-plugin with the counting plugin, compiled for this emulator."""
    version = qemu_version(setup.qemu)
    api = 1 if version < (9, 0) else 2 if version < (9, 1) else 3 if version < (9, 2) else 4
    target = setup.out / f"retired-api{api}.so"
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        raise UserError("a host C compiler is needed to count instructions")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-fvisibility=hidden",
                    f"-DPLUGIN_API_VERSION={api}", "-o", str(target), str(PLUGIN_SOURCE)], check=True)
    return ["-plugin", option_value(target)]


def run_hypervisor(setup: Setup, vms: list[VmConfig], *, cpu: str, gic: int = 3, icount: bool = True,
                   extra: list[str] | None = None) -> Outcome:
    """Boot the hypervisor with these VMs; a machine that does not end well is an error."""
    memory = machine_memory_for(vms)
    bundle = setup.out / "measure.bundle"
    write_atomically(bundle, build_bundle(vms, "bench", gic_version=gic, machine_memory=memory))
    options = MachineOptions(qemu=setup.qemu, cpu=cpu, gic=gic, memory=memory, icount=icount)
    outcome = execute(qemu_command(options, setup.image, bundle, serial=["-serial", "stdio"], extra=extra))
    if outcome.status != 0:
        raise UserError(f"the machine ended with status {outcome.status}: {outcome.console[-400:]}")
    return outcome


def run_bare(setup: Setup, vm: VmConfig, *, cpu: str, gic: int = 3, icount: bool = True,
             extra: list[str] | None = None) -> Outcome:
    """Boot the same kernel at EL1 of the same machine without EL2, with the VM's own device tree."""
    tree = setup.out / "bare.dtb"
    write_atomically(tree, bytes(dtb.make_dtb(cpus=vm.cpus, memory=vm.memory, gic_version=gic,
                                              cmdline=vm.cmdline, initrd=None)))
    model = f"{cpu},cntfrq=1000000000" if icount else cpu
    command = [*qemu_words(setup.qemu), "-M", f"virt,gic-version={gic}", "-cpu", model, "-smp", str(vm.cpus),
               "-m", f"{vm.memory // MIB}M", "-nodefaults", "-no-user-config", "-display", "none",
               "-no-reboot", "-kernel", str(vm.kernel), "-dtb", str(tree), "-append", vm.cmdline,
               "-serial", "stdio", *(extra or [])]
    if vm.initrd:
        command += ["-initrd", str(vm.initrd)]
    if icount:
        command += ["-icount", "shift=0,sleep=off"]
    outcome = execute(command)
    if outcome.status != 0:
        raise UserError(f"the bare machine ended with status {outcome.status}: {outcome.stderr[-400:]}")
    return outcome
