# SPDX-License-Identifier: MIT
"""Instruction budgets: builds the TCG plugin for the QEMU at hand and talks to it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from grader.machine.memory import RAM_BASE, PhysicalMemory
from grader.machine.shared import Shared, Word
from grader.machine.verdict import infrastructure
from tools.qemu import option_value, qemu_version

SOURCES = Path(__file__).parent / "plugin"
KIT = Path(__file__).parents[2] / "kit"
NO_LIMIT = (1 << 64) - 1
_IN_LOOP, _FINISHED, _IN_VAIN = 2, 3, 4  # enum reason in plugin/budget.c


def plugin_api(version: tuple[int, int]) -> int:
    """The plugin API that this QEMU accepts; 1 up to 8.2, 2 in 9.0, 3 in 9.1, 4 from 9.2 on."""
    if version < (9, 0):
        return 1
    if version < (9, 1):
        return 2
    if version < (9, 2):
        return 3
    return 4


def build_plugin(qemu: str, directory: Path, name: str = "budget") -> Path:
    """Compile a plugin for this QEMU once; safe when several processes ask at the same time."""
    api = plugin_api(qemu_version(qemu)[:2])
    return _library(f"{name}.c", directory / f"{name}-api{api}.so", "-fvisibility=hidden",
                    f"-DPLUGIN_API_VERSION={api}", f"-I{KIT}")


def build_prestart(directory: Path) -> Path:
    """The same for what the emulator is started with (grader/machine/prestart.py)."""
    return _library("prestart.c", directory / "prestart.so")


@cache
def _library(name: str, target: Path, *flags: str) -> Path:
    source = SOURCES / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = max(path.stat().st_mtime for path in (source, *SOURCES.glob("*.h")))
        if target.exists() and target.stat().st_mtime >= newest:
            return target
        compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
        if compiler is None:
            raise infrastructure(f"a host C compiler is needed for {name}")
        partial = target.with_suffix(".new")
        command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *flags]
        done = subprocess.run([*command, "-o", str(partial), str(source)], capture_output=True,
                              text=True)
        if done.returncode:
            raise infrastructure(f"{name} does not compile", done.stderr)
        partial.rename(target)
    return target


class Budget:
    """The shared memory and the two pipes of one machine's plugin."""

    def __init__(self) -> None:
        self.shared = Shared()
        self.notify_fd, self._notify_child = os.pipe()
        self._resume_child, self._resume_fd = os.pipe()
        os.set_blocking(self.notify_fd, False)
        self.limit = NO_LIMIT

    @property
    def child_fds(self) -> tuple[int, int, int]:
        return self.shared.fd, self._notify_child, self._resume_child

    def argument(self, plugin: Path, memory: PhysicalMemory, one_thread: bool) -> str:
        """Value of QEMU's -plugin option; `one_thread` of the emulator runs all CPUs."""
        return (
            f"{option_value(plugin)},shared=/proc/self/fd/{self.shared.fd}"
            f",notify={self._notify_child},resume={self._resume_child}"
            f",one_thread={'on' if one_thread else 'off'}"
            f",ram=/proc/self/fd/{memory.fd},base={RAM_BASE:#x},bytes={memory.size:#x}"
        )

    def close_child_ends(self) -> None:
        os.close(self._notify_child)
        os.close(self._resume_child)

    def close(self) -> None:
        self.shared.close()
        for fd in (self.notify_fd, self._resume_fd):
            os.close(fd)

    @property
    def retired(self) -> int:
        return self.shared.get(Word.RETIRED)

    def retired_by(self, cpu: int) -> int:
        """How much of that one CPU executed."""
        return self.shared.retired_by(cpu)

    @property
    def reached(self) -> bool:
        """Whether the plugin holds a vCPU, or did before the machine was stopped."""
        return bool(self.shared.get(Word.REACHED))

    @property
    def pc(self) -> int:
        """First instruction of the block in which the limit was crossed."""
        return self.shared.get(Word.PC)

    @property
    def cpu(self) -> int:
        return self.shared.get(Word.CPU)

    @property
    def limit(self) -> int:
        return self.shared.get(Word.LIMIT)

    @limit.setter
    def limit(self, value: int) -> None:
        """Only while the machine is stopped."""
        self.shared.put(Word.LIMIT, value)
        self.shared.put(Word.REACHED, 0)

    @property
    def looping(self) -> bool:
        """Whether it is held since it raises the same exception for ever."""
        return self.shared.get(Word.REACHED) == _IN_LOOP

    @property
    def in_vain(self) -> bool:
        """Whether it is held since EL2 enters a guest again and again that comes no further."""
        return self.shared.get(Word.REACHED) == _IN_VAIN

    @property
    def finished(self) -> bool:
        """Whether it is held since all probes have come to their end."""
        return self.shared.get(Word.REACHED) == _FINISHED

    def watch_entries(self, start: int, end: int, vectors: int) -> None:
        """Where EL2 is. Before the first instruction."""
        for word, value in ((Word.EL2_START, start), (Word.EL2_END, end),
                            (Word.EL2_VECTORS, vectors)):
            self.shared.put(word, value)

    def allow_loops(self) -> None:
        """Hold nobody for that any more. Only while the machine is stopped."""
        self.shared.put(Word.LOOPS_ALLOWED, 1)
        self.shared.put(Word.REACHED, 0)

    def release(self) -> None:
        """Let the vCPU thread go on: take the notification, wake the sleeper."""
        try:
            os.read(self.notify_fd, 64)
        except BlockingIOError:
            pass
        try:
            os.write(self._resume_fd, b"g")
        except BrokenPipeError:  # QEMU has ended
            pass
