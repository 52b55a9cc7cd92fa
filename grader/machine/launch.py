# SPDX-License-Identifier: MIT
"""What machine to start, and the processes and descriptors that belong to it."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from grader.machine import options, prestart
from grader.machine.budget import Budget, build_plugin, build_prestart
from grader.machine.console import Console
from grader.machine.memory import PhysicalMemory
from grader.machine.verdict import infrastructure
from tools.qemu import (HEARTBEAT, SLOW_HEARTBEAT_MICROSECONDS, MachineOptions, heartbeat,
                        option_value, qemu_command, qemu_version)
from tools.stub import Stub
from tools.vms import DeviceConfig

MIB = 1 << 20

# QEMU takes 5,000 page faults to start; with 2 MiB pages for its heap there are 3,100.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


@dataclass(frozen=True)
class Guest:
    """A guest whose symbols are known: its ELF, and where byte 0 of its image lies in VM memory."""

    name: str
    elf: Path
    load_address: int


@dataclass(frozen=True)
class MachineConfig:
    """One machine. `image` is the flat binary that boots, `elf` holds its symbols."""

    image: Path
    elf: Path
    bundle: Path | None = None
    guests: tuple[Guest, ...] = ()
    gic: int = 3
    cpu: str = "cortex-a76"
    smp: int = 1
    el2: bool = True  # False: a guest's own machine, without a hypervisor
    memory_mib: int = 512
    qemu: str = "qemu-system-aarch64"
    deterministic: bool = True  # False: CPUs are threads of the host, and time is the host's
    processor_seconds: float = 0  # of the host, that the emulator may use; 0: as most tests
    extra: tuple[str, ...] = ()
    smmu: bool = False
    devices: tuple[DeviceConfig, ...] = ()
    build: Path = field(default_factory=lambda: Path(options.current().build))


def _heartbeat(config: MachineConfig) -> list[str]:
    """A transfer of the device edu takes 100 ms of the machine's time, for which guests sleep."""
    return heartbeat(SLOW_HEARTBEAT_MICROSECONDS) if config.devices else HEARTBEAT


def _clock_of(pid: int) -> int:
    """The processor time of a process and all its threads, as Linux numbers clocks."""
    return ~pid << 3 | 2


class Process:
    """QEMU, stopped before its first instruction, and our ends of all that it was given."""

    def __init__(self, config: MachineConfig) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="strata-")
        folder = Path(self.directory.name)
        self.stub = Stub(folder)
        self._stderr_path = folder / "stderr"
        plugin = build_plugin(config.qemu, config.build / "grader")
        library = build_prestart(config.build / "grader")
        self.version = qemu_version(config.qemu)
        self.budget = Budget()
        self.memory = PhysicalMemory(config.memory_mib * MIB)
        self.monitor, monitor_child = socket.socketpair()
        self.console = Console(folder / "serial")
        serial = [
            "-chardev", f"socket,id=qmp,fd={monitor_child.fileno()}",
            "-mon", "chardev=qmp,mode=control",
            "-chardev", f"pipe,id=serial0,path={option_value(self.console.path)}",
            "-serial", "chardev:serial0",
        ]  # fmt: skip
        control = [
            *self.stub.arguments(),
            "-S",
            "-action", "shutdown=pause,panic=pause,reboot=shutdown",
            "-plugin", self.budget.argument(plugin, self.memory, config.deterministic),
            *self.memory.arguments(),
            *(_heartbeat(config) if config.deterministic else []),
            *config.extra,
        ]  # fmt: skip
        options = MachineOptions(
            qemu=config.qemu,
            cpu=config.cpu,
            gic=config.gic,
            smp=config.smp,
            memory=config.memory_mib * MIB,
            icount=config.deterministic,
            smmu=config.smmu,
            devices=config.devices,
            el2=config.el2,
        )
        command = qemu_command(options, config.image, config.bundle, serial=serial, extra=control)
        self.command = command
        fds = (monitor_child.fileno(), self.stub.fileno(), self.memory.fd)
        with self._stderr_path.open("wb") as stderr:
            try:
                self._qemu = prestart.start(
                    command,
                    library,
                    {**os.environ, **ENVIRONMENT},
                    stderr.fileno(),
                    (*fds, *self.budget.child_fds),
                )
            except OSError as error:
                raise infrastructure(f"{config.qemu} cannot be run", str(error)) from error
        self.pid = self._qemu.pid
        self._call = Path(f"/proc/{self.pid}/syscall")
        monitor_child.close()
        self.stub.inherited()
        self.budget.close_child_ends()

    def errors(self) -> str:
        """What QEMU said on its error output."""
        lines = self._stderr_path.read_text("utf-8", "replace").splitlines()
        return "\n".join(lines[-6:])

    def main_thread_call(self) -> str:
        """The system call in which QEMU's main thread sleeps, with its first argument."""
        try:
            words = self._call.read_text().split()
        except OSError:
            return "unknown"
        return " ".join(words[:2])

    def processor_seconds(self) -> float:
        """What QEMU has used so far; 0 when it is gone."""
        try:
            return time.clock_gettime(_clock_of(self.pid))
        except OSError:
            return 0.0

    def status(self, seconds: float) -> int | None:
        """How QEMU ended, negative for a signal; None when it still runs after `seconds`."""
        return self._qemu.wait(seconds)

    def close(self) -> None:
        """End QEMU and give everything back."""
        self._qemu.kill()
        self._qemu.wait()
        self.monitor.close()
        self.stub.close()
        self.console.close()
        self.budget.close()
        self.memory.close()
        self.directory.cleanup()
