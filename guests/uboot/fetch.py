# SPDX-License-Identifier: MIT
"""Puts Debian's U-Boot for QEMU's virt, u-boot.bin, into a directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from guests.linux.fetch import say
from tools.apt import PrivateApt, read_member
from tools.bundle import write_atomically
from tools.errors import UserError, run_main

PACKAGE = "u-boot-qemu"


def fetch(out: Path) -> None:
    apt = PrivateApt(out / "apt")
    apt.update()
    write_atomically(out / "u-boot.bin",
                     read_member(apt.download(PACKAGE), "qemu_arm64/u-boot.bin"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="guests/uboot/fetch.py", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    if not (out / "u-boot.bin").exists():
        say(f"fetching {PACKAGE}")
        try:
            fetch(out)
        except UserError as problem:
            raise UserError(f"{problem}; put a u-boot.bin into {out}") from None
    return 0


if __name__ == "__main__":
    run_main(main)
