# SPDX-License-Identifier: MIT
"""Gets Debian's arm64 kernel and static busybox, and builds the guests' initramfs.

Works on any machine whose apt knows a Debian archive: the arm64 packages are taken through apt with
a state directory of its own, so nothing of the system changes and no root is needed. apt checks
signatures with the keys that the system has for that archive. What is there already is kept.
"""

from __future__ import annotations

import argparse
import lzma
import re
import subprocess
import tarfile
from pathlib import Path, PurePosixPath
from random import Random

from tools import cpio
from tools.apt import PrivateApt, read_member
from tools.bundle import read_kernel
from tools.errors import UserError, run_main
from tools.files import write_atomically

HERE = Path(__file__).parent
KERNEL_METAPACKAGE = "linux-image-arm64"
BUSYBOX_PACKAGE = "busybox-static"
# The drivers of devices that a VM can own. Debian has them as modules; where it has them built in,
# or a kernel of another kind is used, there is nothing to load.
DRIVERS = ("virtio_pci", "virtio_blk", "virtio_net", "nvme", "e1000e",
           "crc32c_generic", "ext4")
MODULE_PLACES = re.compile(r"kernel/(block|crypto|lib|net/core|fs/(ext4|jbd2|mbcache)"
                           r"|drivers/(block|virtio|nvme|net"
                           r"/(ethernet/intel/e1000e|phy)|net|ptp|pps))\b")
DISKS, DISK_SIZE = ("alpha.img", "beta.img"), 4 << 20  # of passthrough.toml
OTHER_WAY = "give your own with KERNEL=Image INITRD=initramfs.cpio.gz"


def say(text: str) -> None:
    print(f"  FETCH  {text}", flush=True)


# ---- modules -------------------------------------------------------------------------------------


def module_name(path: str) -> str:
    """Of .../virtio-blk.ko.xz what insmod knows it by: virtio_blk."""
    return PurePosixPath(path).name.partition(".ko")[0].replace("-", "_")


def read_modules(deb: Path) -> dict[str, bytes]:
    """The modules of a kernel's package that DRIVERS may need, by their names."""
    found = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as unpack:
        assert unpack.stdout
        with tarfile.open(fileobj=unpack.stdout, mode="r|") as tar:
            for member in tar:
                if not (member.isfile() and ".ko" in member.name
                        and MODULE_PLACES.search(member.name)):
                    continue
                file = tar.extractfile(member)
                assert file
                data = file.read()
                found[module_name(member.name)] = (
                    lzma.decompress(data) if member.name.endswith(".xz") else data)
    return found


def in_order(modules: dict[str, bytes]) -> list[str]:
    """DRIVERS and what they depend on, by each one's `depends=`, in an order to load them in."""
    order: list[str] = []

    def add(name: str) -> None:
        if name in order or name not in modules:
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", modules[name])
        for other in depends[1].decode("ascii").split(",") if depends else ():
            add(other.replace("-", "_"))
        order.append(name)

    for driver in DRIVERS:
        add(driver)
    return order


# ---- what the guests need ------------------------------------------------------------------------


def fetch(out: Path, *, kernel: bool, busybox: bool) -> None:
    """Put Debian's Image and busybox into out."""
    say("asking apt for Debian's arm64 packages")
    apt = PrivateApt(out / "apt")
    apt.update()
    if kernel:
        package = apt.dependency(KERNEL_METAPACKAGE, "linux-image-")
        say(f"fetching {package}")
        deb = apt.download(package)
        modules = read_modules(deb)
        (out / "modules").mkdir(exist_ok=True)
        for name in in_order(modules):
            write_atomically(out / "modules" / f"{name}.ko", modules[name])
        (out / "modules" / "order").write_text("".join(f"{name}\n" for name in in_order(modules)),
                                               "utf-8")
        (out / "modules" / "wanted").write_text(" ".join(DRIVERS), "utf-8")
        write_atomically(out / "debian-Image", read_member(deb, "boot/vmlinuz-*"))
        (out / "debian-package").write_text(package + "\n", "utf-8")
    if busybox:
        say(f"fetching {BUSYBOX_PACKAGE}")
        write_atomically(out / "busybox", read_member(apt.download(BUSYBOX_PACKAGE), "bin/busybox"))


def common_files(out: Path) -> list[cpio.Entry]:
    return [
        *(cpio.directory(name) for name in ("bin", "dev", "proc", "sys")),
        cpio.character_device("dev/console", 5, 1),
        cpio.executable("bin/busybox", (out / "busybox").read_bytes()),
    ]


def module_files(modules: Path) -> list[cpio.Entry]:
    """/modules of a guest that owns devices; empty for a kernel that is not Debian's."""
    if not (modules / "order").exists():
        return []
    names = (modules / "order").read_text("utf-8").split()
    return [cpio.directory("modules"),
            cpio.executable("modules/order", (modules / "order").read_bytes()),
            *(cpio.executable(f"modules/{name}.ko", (modules / f"{name}.ko").read_bytes())
              for name in names)]


def own_file(path: Path, variable: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{variable}={path}: {error.strerror}") from None


def main() -> int:
    parser = argparse.ArgumentParser(prog="guests/linux/fetch.py", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kernel", type=Path, help="an arm64 Image to use instead of Debian's")
    parser.add_argument("--initrd", type=Path, help="an initramfs to use instead of the built one")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    wanted = out / "modules/wanted"
    is_complete = wanted.exists() and wanted.read_text("utf-8") == " ".join(DRIVERS)
    need_kernel = not arguments.kernel and not ((out / "debian-Image").exists() and is_complete)
    need_busybox = not arguments.initrd and not (out / "busybox").exists()
    if need_kernel or need_busybox:
        try:
            fetch(out, kernel=need_kernel, busybox=need_busybox)
        except UserError as problem:
            raise UserError(f"{problem}; {OTHER_WAY}") from None

    source = arguments.kernel or out / "debian-Image"
    image = own_file(source, "KERNEL")
    try:
        image = read_kernel(source).data
    except ValueError as error:
        raise UserError(f"KERNEL={source}: {error}") from None
    write_atomically(out / "Image", image)

    if arguments.initrd:
        initramfs = own_file(arguments.initrd, "INITRD")
    else:
        initramfs = cpio.make_initramfs([*common_files(out),
                                         cpio.executable("init", (HERE / "init").read_bytes())])
        write_atomically(out / "devices.cpio.gz", cpio.make_initramfs([
            *common_files(out),
            *module_files(out / "modules"),
            cpio.executable("init", (HERE / "init-devices").read_bytes()),
        ]))
        write_atomically(out / "work.cpio.gz", cpio.make_initramfs([
            *common_files(out), cpio.executable("init", (HERE / "init-work").read_bytes())]))
    write_atomically(out / "initramfs.cpio.gz", initramfs)
    for name in DISKS:
        if not (out / name).exists():
            write_atomically(out / name, Random(name).randbytes(DISK_SIZE))
    return 0


if __name__ == "__main__":
    run_main(main)
