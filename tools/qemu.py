# SPDX-License-Identifier: MIT
"""The one place that builds QEMU's command line.

The machine is QEMU's virt with EL2. EL2 ends it with status 0 by PSCI SYSTEM_OFF, and with status 1
through the pvpanic device when a VM failed or EL2 itself did.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.bundle import BUNDLE_ADDRESS, size_argument
from tools.errors import UserError
from tools.vms import (GIB, MACHINE_CPUS_MAX, MIB, DeviceConfig, VmsFile, format_size,
                       pci_number)

CPUS = ("cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1", "max")
MEMORY_MIN, MEMORY_MAX = 256 * MIB, 255 * GIB  # QEMU's high devices begin above
MINIMUM_VERSION = (7, 2)

# A timer of the emulator that never stops. With sleep=off QEMU lets time jump to the next deadline
# whenever all CPUs are idle, and a CPU that stands at a breakpoint counts as idle. The jump is then
# at most this long; and it is never one to the end of time, which a timer of the guest that has
# expired already sets as its next deadline and at which QEMU would loop for ever. A packet filter
# on a port without traffic is the smallest thing in QEMU that has such a timer.
HEARTBEAT_MICROSECONDS = 500
SLOW_HEARTBEAT_MICROSECONDS = 4000  # where guests sleep for long: each beat wakes the emulator


def heartbeat(microseconds: int) -> list[str]:
    """QEMU's options for a timer with this interval."""
    return ["-netdev", "hubport,id=beat,hubid=0",
            # A peer, or QEMU warns that there is none.
            "-netdev", "hubport,id=rest,hubid=255,netdev=beat",
            "-object", f"filter-buffer,id=heartbeat,netdev=beat,interval={microseconds}"]


HEARTBEAT = heartbeat(HEARTBEAT_MICROSECONDS)


@dataclass(frozen=True)
class MachineOptions:
    """The physical machine; qemu and extra are shell words, as in QEMU= and QEMU_EXTRA=."""

    qemu: str = "qemu-system-aarch64"
    cpu: str = "cortex-a76"
    gic: int = 3
    smp: int = 1
    memory: int = 512 * MIB
    icount: bool = False
    extra: str = ""
    smmu: bool = False
    devices: tuple[DeviceConfig, ...] = ()
    el2: bool = True  # False: the machine of a guest, which begins at EL1


def qemu_words(qemu: str) -> list[str]:
    """QEMU= may hold arguments: "DIR/usr/bin/qemu-system-aarch64 -L DIR/usr/share/qemu"."""
    words = shlex.split(qemu)
    if not words or shutil.which(words[0]) is None:
        raise UserError(f"QEMU={qemu}: no such program; `make doctor` says how to get it")
    return words


@cache
def qemu_version(qemu: str) -> tuple[int, int, int]:
    """The version of an emulator, for example (7, 2, 22)."""
    done = subprocess.run([*qemu_words(qemu), "--version"], check=False,
                          capture_output=True, text=True)
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", done.stdout)
    if not match:
        said = (done.stdout + done.stderr).strip()
        raise UserError(f"QEMU={qemu}: --version prints no version: {said!r}")
    return int(match[1]), int(match[2]), int(match[3])


def option_value(path: Path) -> str:
    """A path as a value among others of an option, which commas separate."""
    return str(path).replace(",", ",,")


def device_arguments(device: DeviceConfig, version: tuple[int, int, int]) -> list[str]:
    """A PCI device, whose DMA goes through the SMMU, and the file or hub at its other end."""
    name = f"device{pci_number(device.address):x}"
    words = [device.model, f"addr={device.address.split(':')[1]}"]
    other_end: list[str] = []
    if device.file:
        other_end = ["-drive", f"if=none,format=raw,id={name},file={option_value(device.file)}"]
        words += [f"drive={name}"]
    if device.hub is not None:
        other_end = ["-netdev", f"hubport,id={name},hubid={device.hub}"]
        words += [f"netdev={name}", "romfile="]  # whose file a minimal Debian does not have
    if device.model.startswith("virtio"):
        words += ["iommu_platform=on", "disable-legacy=on"]
    if device.model == "nvme":
        words += ["serial=strata"]
        if version >= (10,):
            words += ["dbcs=off"]  # with shadow doorbells its INTx stays up
    if device.model == "edu":
        words += ["dma_mask=0xffffffffffffffff"]
    if device.options:
        words += [device.options]  # the last of two that disagree counts
    return [*other_end, "-device", ",".join(words)]


def qemu_command(options: MachineOptions, image: Path, bundle: Path | None, *,
                 serial: list[str], extra: list[str] | None = None) -> list[str]:
    """The whole command; `serial` are the arguments that connect the UART and the monitor."""
    if options.memory < MEMORY_MIN:
        raise UserError(f"MEM={options.memory // MIB}M is too small: at least {MEMORY_MIN // MIB}M")
    if options.memory > MEMORY_MAX:
        raise UserError(f"a machine with {format_size(options.memory)} is too large: at most "
                        f"{format_size(MEMORY_MAX)}")
    cpu = options.cpu
    if cpu == "max":
        cpu += ",pauth-impdef=on"  # QARMA5 in software is ten times slower
    if options.icount:
        cpu += ",cntfrq=1000000000"
    command = [*qemu_words(options.qemu),
               "-M", f"virt{',virtualization=on' if options.el2 else ''}"
                     f",gic-version={options.gic},acpi=off"
                     f"{',iommu=smmuv3' if options.smmu else ''}",
               "-cpu", cpu, "-smp", str(options.smp), "-m", f"{options.memory // MIB}M",
               "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
               "-device", "pvpanic-pci", "-action", "panic=exit-failure",
               "-kernel", str(image)]
    if bundle is not None:
        command += ["-device",
                    f"loader,file={option_value(bundle)},addr={BUNDLE_ADDRESS:#x},force-raw=on"]
    if options.icount:
        command += ["-icount", "shift=0,sleep=off"]
    for device in options.devices:
        command += device_arguments(device, qemu_version(options.qemu))
    return [*command, *serial, *(extra or []), *shlex.split(options.extra)]


def ends_with_us(command: list[str]) -> list[str]:
    """The command for a program that must not outlive the one that starts it, however that ends.

    util-linux's setpriv arranges that, not a preexec_fn: Python copies itself to run one, which
    takes longer than to start both programs. Without setpriv the program starts all the same.
    """
    setpriv = _setpriv()
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command


@cache
def _setpriv() -> str | None:
    return shutil.which("setpriv")


def add_machine_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that the Makefile hands to run and debug."""
    parser.add_argument("--qemu", default=MachineOptions.qemu)
    parser.add_argument("--cpu", default=MachineOptions.cpu, choices=CPUS)
    parser.add_argument("--gic", type=int, default=3, choices=(2, 3))
    parser.add_argument("--smp", type=int, default=1, choices=range(1, MACHINE_CPUS_MAX + 1))
    parser.add_argument("--memory", type=size_argument,
                        help="the machine's memory (default: enough for the VMs)")
    parser.add_argument("--icount", action="store_true")
    parser.add_argument("--extra", default="")


def machine_options(arguments: argparse.Namespace, memory: int, file: VmsFile) -> MachineOptions:
    """The machine that was asked for, with the devices of `file`; `memory` if no size is given."""
    return MachineOptions(arguments.qemu, arguments.cpu, arguments.gic, arguments.smp,
                          arguments.memory or memory, arguments.icount, arguments.extra,
                          file.has_smmu, tuple(file.devices))
