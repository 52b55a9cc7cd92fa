# SPDX-License-Identifier: MIT
"""The socket at which QEMU waits for GDB."""

from __future__ import annotations

import os
import socket
from contextlib import AbstractContextManager
from pathlib import Path


class Stub(AbstractContextManager["Stub"]):
    """A socket in `folder` that QEMU inherits; it listens already, so GDB can connect at any time.

    The name of a socket has 107 bytes at most, and TMPDIR may be longer. So a descriptor of this
    process names the folder; the descriptor stays open as long as GDB may connect.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self.path = Path(f"/proc/{os.getpid()}/fd/{self._folder}/gdb")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(1)

    def fileno(self) -> int:
        return self._listener.fileno()

    def arguments(self) -> list[str]:
        """QEMU's options; fileno() has to be inherited."""
        return ["-chardev", f"socket,id=gdb,fd={self.fileno()},server=on,wait=off",
                "-gdb", "chardev:gdb"]

    def inherited(self) -> None:
        """QEMU has inherited the socket: close ours, so that GDB notices when QEMU ends."""
        self._listener.close()

    def close(self) -> None:
        self._listener.close()
        os.close(self._folder)

    def __exit__(self, *_: object) -> None:
        self.close()
