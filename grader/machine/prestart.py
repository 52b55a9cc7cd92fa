# SPDX-License-Identifier: MIT
"""Starts the emulator: by a copy of one that stands before its main() (plugin/prestart.c).

That takes half of the time, of which a graded run needs much: it starts 100 machines. Where it
cannot be done, the emulator is started as any program is.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import struct
import subprocess
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from tools.qemu import ends_with_us

PR_SET_CHILD_SUBREAPER = 36
FD_MAX, HIGH_FD = 64, 512  # as in prestart.c
READY_SECONDS = 20.0


class Child:
    """A process that runs; what is wanted of subprocess.Popen and no more."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        self._status: int | None = None

    def wait(self, seconds: float | None = None) -> int | None:
        """How it ended, negative for a signal; None when it still runs after `seconds`."""
        if self._status is None and select.select([self._fd], [], [], seconds)[0]:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._fd)
        return self._status

    def kill(self) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)


class Prestarted:
    """A program that stands before its main()."""

    def __init__(self, program: str, library: Path, environment: Mapping[str, str]) -> None:
        if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1):
            raise OSError("this process cannot adopt what its descendants leave")
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [program], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, pass_fds=(theirs.fileno(),),
                env={**environment, "LD_PRELOAD": str(library),
                     "PRESTART_FD": str(theirs.fileno())})
        self._control.settimeout(READY_SECONDS)
        try:
            self._receive()
        except OSError:
            self.close()
            raise

    def start(self, arguments: Sequence[str], fds: Mapping[int, int]) -> Child:
        """Run it with these arguments, in this directory; `fds`: its number of a descriptor, and
        ours."""
        words = [os.getcwd(), *arguments]
        numbers = list(fds) + [0] * (FD_MAX - len(fds))
        message = struct.pack(f"<I{FD_MAX}i", len(fds), *numbers)
        message += b"".join(os.fsencode(word) + b"\0" for word in words)
        rights = array("i", fds.values())
        self._control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        return Child(int(struct.unpack("<i", self._receive())[0]))

    def _receive(self) -> bytes:
        data = self._control.recv(64)
        if not data:
            raise OSError("it has ended")
        return data

    def close(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()


_programs: dict[tuple[int, str], Prestarted | None] = {}  # by the process that started it
_lock = Lock()


def start(command: Sequence[str], library: Path | None, environment: Mapping[str, str],
          stderr: int, fds: Sequence[int]) -> Child:
    """Run a command in a session of its own, with these descriptors; it ends with this process."""
    key = (os.getpid(), command[0])
    with _lock:
        if key not in _programs and library is not None:
            _programs[key] = None
            with suppress(OSError):
                _programs[key] = Prestarted(command[0], library, environment)
        program = _programs.get(key)
        if program is not None and max((stderr, *fds)) < HIGH_FD:
            try:
                return program.start(command[1:], {1: stderr, 2: stderr, **{fd: fd for fd in fds}})
            except OSError:
                program.close()
                _programs[key] = None
    process = subprocess.Popen(ends_with_us(list(command)), stdin=subprocess.DEVNULL, stdout=stderr,
                               stderr=stderr, pass_fds=fds, env=dict(environment),
                               start_new_session=True)
    process.returncode = 0  # it is waited for by its number
    return Child(process.pid)
