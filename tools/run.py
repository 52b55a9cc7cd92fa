# SPDX-License-Identifier: MIT
"""`make run`: packs the VMs and boots them under the hypervisor.

With a terminal on standard input the VMs' consoles are on it. Without one the VMs get strata.batch
on their command line, upon which the fetched Linux prints `uname -a` and powers off, and the exit
status says whether every VM ended well.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.bundle import build_bundle, machine_memory_for, write_atomically
from tools.errors import UserError, run_main
from tools.qemu import (MINIMUM_VERSION, MachineOptions, add_machine_arguments, ends_with_us,
                        machine_options, qemu_command, qemu_version)
from tools.vms import VmConfig, load_vms

KEYS = "keys: Ctrl-A x quits, Ctrl-] moves the keyboard to the next VM, Ctrl-A h lists QEMU's own"
BATCH = "strata.batch"
USERSPACE = "userspace: Linux"
KERNEL_PANIC = "Kernel panic - not syncing"


def add_vm_arguments(parser: argparse.ArgumentParser) -> None:
    """What run and debug have in common beside the machine."""
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--lab", type=int, default=6)
    parser.add_argument("--append", default="", help="text added to every VM's command line")
    parser.add_argument("--out", type=Path, required=True, help="directory for the bundle")
    parser.add_argument("vms", type=Path)


@contextmanager
def prepared(arguments: argparse.Namespace,
             append: str) -> Iterator[tuple[MachineOptions, list[VmConfig], Path]]:
    """Machine, VMs and a bundle that is there for as long as the machine runs.

    Everything that can be wrong with them is said before QEMU starts. The bundle is this run's own,
    so that several can run at once.
    """
    vms = load_vms(arguments.vms, lab=arguments.lab)
    options = machine_options(arguments, machine_memory_for(vms))
    version = qemu_version(options.qemu)
    if version[:2] < MINIMUM_VERSION:
        raise UserError(f"QEMU={options.qemu}: version {version[0]}.{version[1]} is too old; "
                        f"7.2 or newer is needed")
    with tempfile.TemporaryDirectory(dir=arguments.out, prefix="run.") as directory:
        bundle = Path(directory) / "bundle"
        write_atomically(bundle, build_bundle(vms, str(arguments.vms), gic_version=options.gic,
                                              machine_memory=options.memory,
                                              machine_cpus=options.smp, append=append))
        yield options, vms, bundle


def run_interactive(command: list[str]) -> int:
    print(KEYS, flush=True)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # belongs to the guest; QEMU has the terminal
            continue


def run_batch(command: list[str], expected: list[str]) -> int:
    """Pass the console through; the named VMs must reach userspace, and a dead kernel ends the run."""
    missing = set(expected)
    panicked = False
    with subprocess.Popen(ends_with_us(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            text = line.decode("utf-8", "replace")
            missing -= {name for name in missing if f"{USERSPACE} {name} " in text}
            if KERNEL_PANIC in text:
                panicked = True
                process.terminate()
    if process.returncode < 0 and not panicked:
        raise UserError(f"QEMU was ended by signal {-process.returncode}")
    for name in sorted(missing):
        print(f'error: vm "{name}" never reached userspace', file=sys.stderr)
    if panicked:
        print("error: a guest's kernel panicked, which no power-off would have followed", file=sys.stderr)
    return process.returncode or int(bool(missing) or panicked)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/run.py", description="boot VMs under the hypervisor")
    add_machine_arguments(parser)
    add_vm_arguments(parser)
    arguments = parser.parse_args()
    interactive = os.isatty(0)
    append = arguments.append if interactive else f"{arguments.append} {BATCH}".strip()
    with prepared(arguments, append) as (options, vms, bundle):
        serial = ["-serial", "mon:stdio"] if interactive else ["-serial", "stdio", "-monitor", "none"]
        command = qemu_command(options, arguments.image, bundle, serial=serial)
        if interactive:
            return run_interactive(command)
        # Only the initramfs that the build made says when userspace is there.
        own = arguments.vms.with_name("initramfs.cpio.gz").resolve()
        return run_batch(command, [vm.name for vm in vms
                                   if vm.initrd == own and f"hostname={vm.name}" in vm.cmdline])


if __name__ == "__main__":
    run_main(main)
