# SPDX-License-Identifier: MIT
"""`make run`: packs the VMs and boots them under the hypervisor.

If standard input is a terminal, the VMs' consoles are on it. If not, VMs with the initramfs of
guests/linux get strata.batch on their command line: they print `uname -a` and power off. The exit
status then says whether every VM ended well.
"""

from __future__ import annotations

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.bundle import build_bundle, header_flags, machine_memory_for, seed_of
from tools.errors import UserError, run_main
from tools.files import write_atomically
from tools.qemu import (MINIMUM_VERSION, MachineOptions, add_machine_arguments, ends_with_us,
                        machine_options, qemu_command, qemu_version)
from tools.vms import VmConfig, VmsFile, load_file

KEYS = ("keys: Ctrl-A x quits, Ctrl-] moves the keyboard to the next VM, "
        "Ctrl-^ shows what each does, Ctrl-A h lists QEMU's own")
BATCH = "strata.batch"
INITRAMFS_MAX = 16 << 20  # of an archive that may be ours, unpacked
USERSPACE = "userspace: Linux"
TODO = "TODO: exercise "  # EL2's last words where something is not written
KERNEL_PANIC = "Kernel panic - not syncing"


def add_vm_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of run and debug that are not about the machine."""
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--lab", type=int, default=6)
    parser.add_argument("--append", default="", help="text added to every VM's command line")
    parser.add_argument("--seed",
                        help="text that yields the VMs' random seeds "
                             "(default: random, with --icount always the same)")
    parser.add_argument("--out", type=Path, required=True, help="directory for the bundle")
    parser.add_argument("vms", type=Path)


def knows_batch(vm: VmConfig) -> bool:
    """Whether the VM's initramfs is the one of guests/linux: it alone has heard of strata.batch."""
    if vm.initrd is None:
        return False
    try:
        with gzip.open(vm.initrd) as archive:
            return BATCH.encode() in archive.read(INITRAMFS_MAX)
    except (OSError, EOFError, zlib.error):
        return False


@contextmanager
def prepared(arguments: argparse.Namespace, *,
             batch: bool = False) -> Iterator[tuple[MachineOptions, VmsFile, Path]]:
    """Machine, what the file says, and a bundle that exists for as long as the machine runs.

    With `batch` VMs that know how power off once they have shown that they live. Every mistake in
    the VMs' configuration is an error before QEMU starts. Each run has its own bundle, so that
    several can run at once.
    """
    file = load_file(arguments.vms, lab=arguments.lab, machine_cpus=arguments.smp)
    vms = file.vms
    options = machine_options(arguments, machine_memory_for(vms), file)
    version = qemu_version(options.qemu)
    if version[:2] < MINIMUM_VERSION:
        raise UserError(f"QEMU={options.qemu}: version {version[0]}.{version[1]} is too old; "
                        f"7.2 or newer is needed")
    append = {vm.name: f"{arguments.append} {BATCH if batch and knows_batch(vm) else ''}".strip()
              for vm in vms}
    seed = "0" if options.icount and arguments.seed is None else arguments.seed
    with tempfile.TemporaryDirectory(dir=arguments.out, prefix="run.") as directory:
        bundle = Path(directory) / "bundle"
        write_atomically(bundle, build_bundle(vms, str(arguments.vms), gic_version=options.gic,
                                              machine_memory=options.memory,
                                              machine_cpus=options.smp, append=append,
                                              seed=seed_of(seed), flags=header_flags(file),
                                              vmids=file.vmids))
        yield options, file, bundle


def run_interactive(command: list[str]) -> int:
    print(KEYS, flush=True)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # belongs to the guest; QEMU has the terminal
            continue


def run_batch(command: list[str], expected: list[str], texts: tuple[str, ...]) -> int:
    """Pass the console through; the named VMs must reach userspace, and lines must hold the texts.

    A kernel panic ends the run.
    """
    missing = set(expected)
    unseen = list(texts)
    panicked = unwritten = False
    with subprocess.Popen(ends_with_us(command), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            text = line.decode("utf-8", "replace")
            unseen = [wanted for wanted in unseen if wanted not in text]
            unwritten = unwritten or TODO in text
            missing -= {name for name in missing if f"{USERSPACE} {name} " in text}
            if KERNEL_PANIC in text:
                panicked = True
                process.terminate()
    if process.returncode < 0 and not panicked:
        raise UserError(f"QEMU was ended by signal {-process.returncode}")
    for name in [] if unwritten else sorted(missing):  # EL2 has said why
        print(f'error: vm "{name}" never reached userspace', file=sys.stderr)
    for text in unseen:
        print(f'error: the console never showed "{text}"', file=sys.stderr)
    if panicked:
        print("error: a guest's kernel panicked; it would never have powered off, so the run was "
              "ended", file=sys.stderr)
    return process.returncode or int(bool(missing or unseen) or panicked)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/run.py",
                                     description="boot VMs under the hypervisor")
    add_machine_arguments(parser)
    add_vm_arguments(parser)
    arguments = parser.parse_args()
    interactive = os.isatty(0)
    with prepared(arguments, batch=not interactive) as (options, file, bundle):
        serial = ["-serial", *(["mon:stdio"] if interactive else ["stdio", "-monitor", "none"])]
        command = qemu_command(options, arguments.image, bundle, serial=serial)
        if interactive:
            return run_interactive(command)
        return run_batch(command, [vm.name for vm in file.vms
                                   if knows_batch(vm) and f"hostname={vm.name}" in vm.cmdline],
                         file.expect)


if __name__ == "__main__":
    run_main(main)
