# SPDX-License-Identifier: MIT
"""Images that tests run: hypervisor and guests by `make`, the grader's own by the compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from grader.machine import options
from grader.machine.verdict import Finding, Verdict, infrastructure
from tools import files

ROOT = Path(__file__).resolve().parents[2]
SELFTEST = ROOT / "grader" / "proof" / "selftest"


def build_directory() -> Path:
    return (ROOT / options.current().build).resolve()


@dataclass(frozen=True)
class Image:
    """A program for the machine or for a VM: flat binary, and ELF with its symbols."""

    binary: Path
    elf: Path


def exclusive(name: str) -> AbstractContextManager[None]:
    """One process at a time among all that test at once."""
    return files.exclusive(build_directory() / "grader" / f"{name}.lock")


@cache
def cross_prefix() -> str:
    """The cross toolchain, by either of its names."""
    for prefix in ("aarch64-none-elf-", "aarch64-linux-gnu-"):
        if shutil.which(prefix + "gcc"):
            return prefix
    raise infrastructure("no AArch64 compiler; `make doctor` says how to get one")


def make(*arguments: str, build: str = "") -> None:
    """Run make once for these arguments; a failing build is BLOCKED, with the compiler's words.

    With --prebuilt all has been built already, elsewhere: a submission is never built by the
    process that judges it.
    """
    if options.current().prebuilt:
        return
    with exclusive("make"):
        command = ["make", "-C", str(ROOT), "--no-print-directory", *arguments]
        command += [f"BUILD={build or options.current().build}"]
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        if full := files.full_disk(done.stdout + done.stderr, build_directory()):
            raise infrastructure(f"there is room for what make {' '.join(arguments)} builds", full)
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise Finding(Verdict.BLOCKED, f"make {' '.join(arguments)} builds", observed=tail)


@cache
def hypervisor(lab: int, impl: str | None = None) -> Image:
    """The image with layers 1..lab of a tree, by default that of the options."""
    base = options.current().base if impl is None else "own"
    impl = impl or options.current().impl
    make("image", f"LAB={lab}", f"IMPL={impl}", f"BASE={base}")
    suffix = "-reference" if base == "reference" else ""
    folder = build_directory() / f"{impl}-lab{lab:02}{suffix}"
    return Image(folder / "strata.bin", folder / "strata.elf")


@cache
def guest(name: str) -> Image:
    """A probe or demo by its file name without suffix."""
    folder = build_directory() / "guests"
    image = Image(folder / f"{name}.bin", folder / f"{name}.elf")
    _make_guests()
    if not image.binary.exists():
        raise infrastructure(f"there is no guest named {name}")
    return image


def layouts() -> Path:
    """An object with the types of all headers that are given to students, and no code."""
    _make_guests()
    return build_directory() / "guests" / "layouts.o"


@cache
def _make_guests() -> None:
    make("guests")


@cache
def selftest(name: str) -> Image:
    """One of the grader's own images, grader/proof/selftest/<name>.S."""
    folder = build_directory() / "grader" / "selftest"
    image = Image(folder / f"{name}.bin", folder / f"{name}.elf")
    source, script = SELFTEST / f"{name}.S", SELFTEST / "selftest.lds"
    newest = max(path.stat().st_mtime_ns for path in SELFTEST.iterdir())
    with exclusive("selftest"):
        if image.binary.exists() and image.binary.stat().st_mtime_ns > newest:
            return image
        folder.mkdir(parents=True, exist_ok=True)
        prefix = cross_prefix()
        compile_ = [prefix + "gcc", "-g", "-nostdlib", "-static", "-no-pie"]
        compile_ += ["-Xassembler", f"-I{SELFTEST}", "-Wl,--build-id=none",
                     "-Wl,--no-warn-rwx-segments"]
        compile_ += ["-T", str(script), "-o", str(image.elf), str(source)]
        copy = [prefix + "objcopy", "-O", "binary", str(image.elf), str(image.binary)]
        for command in (compile_, copy):
            done = subprocess.run(command, capture_output=True, text=True,
                                  errors="backslashreplace")
            if done.returncode:
                raise infrastructure(f"{source.name} does not build", done.stderr)
    return image
