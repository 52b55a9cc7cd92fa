# SPDX-License-Identifier: MIT
"""KVM: Debian's kernel at EL2 (VHE) or at EL1 with a part of it at EL2, and vmm.c as its /init."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.paper import KVM, KVM_VHE, ONE, SWITCH
from bench.peers import fetch
from bench.run import Setup
from bench.systems import Job, outer_machine
from tools import cpio, dtb
from tools.errors import UserError
from tools.files import write_atomically
from tools.vms import MIB

COMPILER = "aarch64-linux-gnu-gcc"  # the one of Debian's two names that has a C library
VMM = Path(__file__).parent / "vmm.c"
VM_MEMORY = 16 * MIB
VMS = {ONE: 1, SWITCH: 2}  # that a part has
# On a CPU with VHE Linux uses it; without, or when told, it does not.
MODES = ((KVM, "cortex-a72", ""), (KVM, "cortex-a76", "kvm-arm.mode=nvhe"),
         (KVM_VHE, "cortex-a76", ""))


def build_vmm(setup: Setup) -> bytes:
    target = setup.out / "vmm"
    try:
        done = subprocess.run([COMPILER, "-O2", "-Wall", "-Wextra", "-Werror", "-static",
                               "-pthread", "-o", str(target), str(VMM)], check=False,
                              capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(f"{COMPILER} is not here: apt-get install gcc-aarch64-linux-gnu") from None
    if done.returncode:
        raise UserError(f"{VMM} does not compile (apt-get install libc6-dev-arm64-cross?): "
                        f"{done.stderr.strip().splitlines()[0]}")
    return target.read_bytes()


def initramfs(setup: Setup) -> Path:
    """The VMM, the payload, and the device trees of its VMs."""
    trees = [cpio.executable(f"{part}.dtb", bytes(dtb.make_dtb(
        cpus=cpus, memory=VM_MEMORY, gic_version=3, cmdline=f"bench=kvm,{part}", initrd=None)))
        for part, cpus in (("one", 2), ("switch", 1))]
    path = setup.out / "kvm.cpio.gz"
    write_atomically(path, cpio.make_initramfs([
        cpio.directory("dev"), cpio.directory("proc"),
        cpio.character_device("dev/console", 5, 1),
        cpio.executable("init", build_vmm(setup)),
        cpio.executable("payload", setup.guest("payload").read_bytes()), *trees]))
    return path


def jobs(setup: Setup, parts: list[str], say: Callable[[str], None]) -> list[Job]:
    """A machine for each mode and part."""
    kernel, package = fetch.kernel(setup, say)
    initrd = initramfs(setup)

    def command(cpu: str, mode: str, part: str) -> list[str]:
        return [*outer_machine(setup.qemu, cpu, smp=2, memory=1024 * MIB),
                "-kernel", str(kernel), "-initrd", str(initrd),
                "-append", f"console=ttyAMA0 loglevel=4 payload={part} {mode}".strip()]
    return [Job(system, cpu, part, setup.qemu, partial(command, cpu, mode, part),
                ends=VMS[part], versions={"KVM": package})
            for system, cpu, mode in MODES for part in parts]
