# SPDX-License-Identifier: MIT
"""Instruction budgets: builds the TCG plugin for the QEMU at hand and talks to it."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from mmap import mmap
from pathlib import Path

from grader.machine.memory import RAM_BASE, PhysicalMemory
from grader.machine.verdict import infrastructure
from grader.oracle.witness import SHARED_BYTES, Witness
from tools.qemu import option_value, qemu_version

SOURCE = Path(__file__).parent / "plugin" / "budget.c"
NO_LIMIT = (1 << 64) - 1
_IN_LOOP, _FINISHED = 2, 3  # enum reason in plugin/budget.c

# Layout of struct shared in plugin/budget.c.
_RETIRED, _LIMIT, _REACHED, _PC, _CPU, _LOOPS_ALLOWED = range(0, 48, 8)


def plugin_api(version: tuple[int, int]) -> int:
    """The plugin API that this QEMU accepts; 1 up to 8.2, 2 in 9.0, 3 in 9.1, 4 from 9.2 on."""
    if version < (9, 0):
        return 1
    if version < (9, 1):
        return 2
    if version < (9, 2):
        return 3
    return 4


def build_plugin(qemu: str, directory: Path) -> Path:
    """Compile the plugin for this QEMU once; safe when several processes ask at the same time."""
    api = plugin_api(qemu_version(qemu)[:2])
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"budget-api{api}.so"
    with (directory / "budget.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists() and target.stat().st_mtime >= SOURCE.stat().st_mtime:
            return target
        compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
        if compiler is None:
            raise infrastructure("a host C compiler is needed for the budget plugin")
        partial = target.with_suffix(".new")
        command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        command += ["-fvisibility=hidden", f"-DPLUGIN_API_VERSION={api}"]
        done = subprocess.run(
            [*command, "-o", str(partial), str(SOURCE)], capture_output=True, text=True
        )
        if done.returncode:
            raise infrastructure("the budget plugin does not compile", done.stderr)
        partial.rename(target)
    return target


class Budget:
    """The shared page and the two pipes of one machine's plugin."""

    def __init__(self) -> None:
        self._memfd = os.memfd_create("strata-budget")
        os.ftruncate(self._memfd, SHARED_BYTES)
        self._page = mmap(self._memfd, SHARED_BYTES)
        self.witness = Witness(self._page)
        self.notify_fd, self._notify_child = os.pipe()
        self._resume_child, self._resume_fd = os.pipe()
        os.set_blocking(self.notify_fd, False)
        self.limit = NO_LIMIT

    @property
    def child_fds(self) -> tuple[int, int, int]:
        return self._memfd, self._notify_child, self._resume_child

    def argument(self, plugin: Path, memory: PhysicalMemory) -> str:
        """Value of QEMU's -plugin option."""
        return (
            f"{option_value(plugin)},shared=/proc/self/fd/{self._memfd}"
            f",notify={self._notify_child},resume={self._resume_child}"
            f",ram=/proc/self/fd/{memory.fd},base={RAM_BASE:#x},bytes={memory.size:#x}"
        )

    def close_child_ends(self) -> None:
        os.close(self._notify_child)
        os.close(self._resume_child)

    def close(self) -> None:
        self._page.close()
        for fd in (self._memfd, self.notify_fd, self._resume_fd):
            os.close(fd)

    @property
    def retired(self) -> int:
        return self._get(_RETIRED)

    @property
    def reached(self) -> bool:
        """Whether the plugin holds a vCPU, or did before the machine was stopped."""
        return bool(self._get(_REACHED))

    @property
    def pc(self) -> int:
        """First instruction of the block in which the limit was crossed."""
        return self._get(_PC)

    @property
    def cpu(self) -> int:
        return self._get(_CPU)

    @property
    def limit(self) -> int:
        return self._get(_LIMIT)

    @limit.setter
    def limit(self, value: int) -> None:
        """Only while the machine is stopped."""
        self._put(_LIMIT, value)
        self._put(_REACHED, 0)

    @property
    def looping(self) -> bool:
        """Whether it is held since it raises the same exception for ever."""
        return self._get(_REACHED) == _IN_LOOP

    @property
    def finished(self) -> bool:
        """Whether it is held since all probes have come to their end."""
        return self._get(_REACHED) == _FINISHED

    def allow_loops(self) -> None:
        """Hold nobody for that any more. Only while the machine is stopped."""
        self._put(_LOOPS_ALLOWED, 1)
        self._put(_REACHED, 0)

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

    def _get(self, offset: int) -> int:
        return int(struct.unpack_from("<Q", self._page, offset)[0])

    def _put(self, offset: int, value: int) -> None:
        struct.pack_into("<Q", self._page, offset, value)
