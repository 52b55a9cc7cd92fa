# SPDX-License-Identifier: MIT
"""What the peers are made of, from the Debian archives that this machine's apt knows: Linux, which
guests/linux has fetched already, Xen, and where this machine's is too old a QEMU.

apt checks signatures; what is there already is kept, so that later runs need no network.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.run import Setup
from tools.apt import PrivateApt, read_member, run
from tools.errors import UserError
from tools.files import write_atomically
from tools.qemu import qemu_version

XEN_METAPACKAGE = "xen-system-arm64"
# QEMU before 8 never lets another CPU run when one waits for it without YIELD or WFE, as Xen does.
QEMU_LEAST = (8, 0)
QEMU_PACKAGES = ("qemu-system-arm", "qemu-system-common", "qemu-system-data")

Say = Callable[[str], None]


def kernel(setup: Setup, say: Say) -> tuple[Path, str]:
    """Debian's kernel for arm64 and the name of its package."""
    linux = setup.build / "linux"
    image, package = linux / "Image", linux / "debian-package"
    if not (linux / "debian-Image").exists() or not package.exists():
        say("fetching Debian's kernel")
        run([sys.executable, "-m", "guests.linux.fetch", "--out", str(linux)])
    return image if image.exists() else linux / "debian-Image", package.read_text("utf-8").strip()


def xen(setup: Setup, say: Say) -> tuple[Path, str]:
    """Xen for arm64, and the name and version of its package."""
    image, package = setup.out / "xen", setup.out / "xen-package"
    if not image.exists() or not package.exists():
        say("fetching Debian's Xen")
        apt = PrivateApt(setup.out / "apt-arm64")
        apt.update()
        deb = apt.download(apt.dependency(XEN_METAPACKAGE, "xen-hypervisor-"))
        write_atomically(image, read_member(deb, "boot/xen-*"))
        write_atomically(package, deb.stem.replace("%3a", ":") + "\n")
    return image, package.read_text("utf-8").strip()


def newer_qemu(setup: Setup, say: Say) -> str:
    """This machine's QEMU if it will do, else one from Debian's backports, unpacked beside."""
    if qemu_version(setup.qemu) >= QEMU_LEAST:
        return setup.qemu
    root = setup.out / "qemu"
    if not (root / "complete").exists():
        say("fetching a newer QEMU")
        machine = run(["dpkg", "--print-architecture"]).strip()
        apt = PrivateApt(setup.out / "apt-host", architecture=machine, with_backports=True)
        apt.update()
        for package in QEMU_PACKAGES:
            deb = apt.download(package)
            subprocess.run(["dpkg-deb", "-x", str(deb), str(root)], check=True)
        (root / "complete").touch()
    qemu = f"{root}/usr/bin/qemu-system-aarch64 -L {root}/usr/share/qemu"
    if qemu_version(qemu) < QEMU_LEAST:
        raise UserError("Debian's backports have no QEMU that is new enough")
    return qemu
