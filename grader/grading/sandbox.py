# SPDX-License-Identifier: MIT
"""Where a submission is built and run: bubblewrap, resource limits, no network.

The build sees the compiler and a tree of this course without solutions, nothing else: no home
directory, no other submission, no layer of the reference but as an archive. QEMU and GDB run where
everything may be read and nothing written but the directory of this one grading.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from course.handout import build_reference
from course.registry import ROOT
from course.starters import changed_files, read_manifest
from grader.grading.bounded import Done, bounded
from grader.machine.verdict import infrastructure

INSIDE = "/strata"  # the tree's place in the sandbox: the same for all, so objects can be shared
GIVEN = ("Makefile", "course.toml", "course", "kit", "tools", "labs")
GIB = 1 << 30
# For each process: all files of a lab together must not reach BUILD_SECONDS, which blames the host.
BUILD_CPU_SECONDS, BUILD_MEMORY, BUILD_FILE = 20, 2 * GIB, 8 << 20
BUILD_SECONDS, BUILD_OUTPUT, BUILD_DISK = 900, 4 << 20, 64 << 20
# The file is that of a machine's memory, which QEMU shares with the grader.
RUN_CPU_SECONDS, RUN_MEMORY, RUN_FILE = 900, 16 * GIB, 6 * GIB
RUN_SECONDS = 3600  # one image's tests; on an idle machine they take 20
PROCESSES, OPEN_FILES = 512, 1024
OUTPUT_BYTES = 64 << 10


def _limits(cpu: int, memory: int, file: int) -> list[str]:
    return ["prlimit", f"--cpu={cpu}", f"--as={memory}", f"--fsize={file}", f"--nproc={PROCESSES}",
            f"--nofile={OPEN_FILES}", "--core=0", "--"]  # fmt: skip


def _base(terminal: bool = False) -> list[str]:
    """`terminal`: keep that of the caller, who made it for this command alone."""
    program = shutil.which("bwrap")
    if program is None:
        raise infrastructure("bubblewrap is not installed; `make doctor` says how to get it")
    return [program, "--unshare-all", "--die-with-parent", *([] if terminal else ["--new-session"]),
            "--uid", "65534", "--gid", "65534", "--hostname", "strata"]


def system() -> list[str]:
    """The compiler and what it needs, read-only."""
    words = ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for name in ("bin", "sbin", "lib", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for path in (Path("/etc/alternatives"), Path("/etc/ld.so.cache"), Path("/opt")):
        if path.exists():
            words += ["--ro-bind", str(path), str(path)]
    return words


def build_command(tree: Path, labs: Path, build: Path, command: list[str]) -> list[str]:
    """A command in the tree: tree and labs read-only, its build directory writable."""
    return [*_base(), "--clearenv", "--setenv", "PATH", "/usr/bin:/bin",
            "--setenv", "LC_ALL", "C.UTF-8", "--setenv", "HOME", "/tmp",
            "--setenv", "PYTHONPYCACHEPREFIX", "", *system(),
            "--ro-bind", str(tree), INSIDE, "--ro-bind", str(labs), f"{INSIDE}/labs",
            "--bind", str(build), f"{INSIDE}/build", "--chdir", INSIDE,
            *_limits(BUILD_CPU_SECONDS, BUILD_MEMORY, BUILD_FILE), *command]  # fmt: skip


def run_command(work: Path, readable: tuple[Path, ...], command: list[str],
                labs: Path | None = None, terminal: bool = False) -> list[str]:
    """The tests: everything read-only but `work`. Environment and descriptors are handed on.

    /tmp is the sandbox's own; what has to be seen of the real one is in `readable`. With `labs` the
    sources that a debugger finds below labs/ are those of that directory.
    """
    seen = [word for path in readable for word in ("--ro-bind", str(path), str(path))]
    seen += ["--ro-bind", str(labs), str(ROOT / "labs")] if labs else []
    return [*_base(terminal), "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev",
            "--tmpfs", "/tmp", *seen, "--bind", str(work), str(work), "--chdir", str(ROOT),
            *_limits(RUN_CPU_SECONDS, RUN_MEMORY, RUN_FILE), *command]  # fmt: skip


def available() -> str:
    """Why there is no sandbox on this machine, or "" when there is."""
    try:
        done = subprocess.run([*_base(), *system(), "true"], capture_output=True,
                              text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


@dataclass(frozen=True)
class Template:
    """A pristine tree and its objects: only a submission's changed files are compiled anew."""

    folder: Path
    lab: int

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def build(self) -> Path:
        return self.folder / "build"

    @property
    def plugin(self) -> Path:
        """The emulator's plugin: put into place when no submission's build can write any more."""
        return self.folder / "plugin"


def _copy(names: Iterable[str], target: Path) -> None:
    for name in names:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)


def make_template(folder: Path, lab: int, build: str) -> Template:
    """Make it anew: it is not for long, and what it was made from may have changed."""
    edited = changed_files(ROOT / "labs")
    if edited:
        raise infrastructure(f"labs/{edited[0]} is not as it was generated: "
                             "grade from a clean checkout")
    template = Template(folder, lab)
    shutil.rmtree(folder, ignore_errors=True)
    template.build.mkdir(parents=True)
    template.tree.mkdir()
    _copy(GIVEN, template.tree)
    known = read_manifest(ROOT / "labs")
    labs = template.tree / "labs"
    for path in sorted(labs.rglob("*")):
        is_source = path.is_file() and path.suffix in (".c", ".h", ".S")
        if is_source and path.relative_to(labs).as_posix() not in known:
            path.unlink()
    (template.tree / "build").mkdir()
    reference = template.tree / "handout" / "reference"
    reference.mkdir(parents=True)
    for archive in _reference(lab, build):
        shutil.copy2(archive, reference / archive.name)
    command = build_command(template.tree, labs, template.build, image_command(lab, "own"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise infrastructure("the starter does not build in the sandbox", done.stdout + done.stderr)
    return template


def build(command: list[str], folder: Path) -> Done:
    """Run what build_command() returns, with an end to its time, its words and its files' sizes."""
    done = bounded(command, BUILD_SECONDS, BUILD_OUTPUT)
    if done.took_too_long:  # its processor time has a limit of its own: the host was too slow
        raise infrastructure("the image can be built", done.ended)
    if done.ended:
        return replace(done, returncode=done.returncode or 1,
                       output=done.output[-OUTPUT_BYTES:] + f"\nerror: {done.ended}\n".encode())
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink())
    if not done.returncode and size > BUILD_DISK:
        return Done(1, f"error: what was built takes {size >> 20} MiB; "
                       f"the limit is {BUILD_DISK >> 20}\n".encode())
    return done


def image_command(lab: int, base: str) -> list[str]:
    """What builds an image of labs/ in the tree."""
    return ["make", "-j2", "--no-print-directory", "image", f"LAB={lab}", "IMPL=labs",
            f"BASE={base}"]


def _reference(lab: int, build: str) -> list[Path]:
    given = sorted((ROOT / "handout" / "reference").glob("lab0?.a"))
    if given or not (ROOT / "solution").is_dir():
        return given
    return [ROOT / path for path in build_reference(lab, Path(build))]


def cut(text: str) -> str:
    """Output of a build, of a bounded length."""
    return text if len(text) <= OUTPUT_BYTES else text[:OUTPUT_BYTES] + "\n(cut off)"
