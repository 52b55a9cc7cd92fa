# SPDX-License-Identifier: MIT
"""The machine's serial port as two pipes: what it printed, and a keyboard for the tests.

Pipes and no socket: a machine prints byte by byte, and a pipe holds as many bytes as it has room,
so that nobody has to be woken for each.
"""

from __future__ import annotations

import os
import re
import select
from pathlib import Path

CONSOLE_BYTES = 1 << 20  # no test of ours prints a tenth of it
FAILS = re.compile(r"(\[[^]]*\] )?FAIL: ")  # of a probe; a VM's name stands before it
FAILS_SHOWN = 8


def escape(text: str) -> str:
    """Printable text: control characters of a machine never reach the reader's terminal."""
    return "".join(
        c if c == "\n" or c.isprintable() else f"\\x{ord(c):02x}"
        for c in text.replace("\r\n", "\n")
    )


class Console:
    """Our end of the serial line: the named pipes that a chardev of QEMU's kind `pipe` opens."""

    def __init__(self, path: Path) -> None:
        """Make the pipes, PATH.in and PATH.out; QEMU is given `path`."""
        self.path = path
        self._ends: list[int] = []
        for suffix in (".in", ".out"):
            os.mkfifo(f"{path}{suffix}")
            # For both directions: then it is open before QEMU comes and after it has gone.
            self._ends.append(os.open(f"{path}{suffix}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self._keys, self._printed = self._ends
        self.raw = bytearray()
        self.dropped = 0

    def close(self) -> None:
        while self._ends:
            os.close(self._ends.pop())

    def poll(self) -> bool:
        """Read what the machine has printed; False if nothing. A flood is cut off, not stored.

        While the pipe is full QEMU waits.
        """
        found = False
        while self._ends:
            try:
                data = os.read(self._printed, 65536)
            except BlockingIOError:
                break
            found = True
            room = max(0, CONSOLE_BYTES - len(self.raw))
            self.raw += data[:room]
            self.dropped += max(0, len(data) - room)
        return found

    def type(self, text: str) -> None:
        """Send keys. QEMU takes them as its UART has room; the pipe holds the rest."""
        data = text.encode()
        while data:
            select.select([], [self._keys], [], 10)
            data = data[os.write(self._keys, data):]

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8", "replace").replace("\r\n", "\n")

    def tail(self, lines: int = 12) -> list[str]:
        """The last lines, safe to print; before them what a probe found wrong earlier."""
        all_lines = escape(self.text).splitlines()
        wrong = [line for line in all_lines[:-lines] if FAILS.match(line)]
        return [*wrong[:FAILS_SHOWN], *(["..."] if wrong else []), *all_lines[-lines:]]
