# SPDX-License-Identifier: MIT
"""The machine's serial port as a socketpair: what it printed, and a keyboard for the tests."""

from __future__ import annotations

import select
import socket

LIMIT_BYTES = 4 << 20


def escape(text: str) -> str:
    """Printable text: control characters of a machine never reach the reader's terminal."""
    return "".join(
        c if c == "\n" or c.isprintable() else f"\\x{ord(c):02x}"
        for c in text.replace("\r\n", "\n")
    )


class Console:
    """Our end of the serial line."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self.raw = bytearray()
        self.dropped = 0
        self.closed = False

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def poll(self) -> None:
        """Take in what has been printed; a flood is cut off, not stored."""
        while not self.closed:
            try:
                data = self._sock.recv(65536)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
                return
            room = max(0, LIMIT_BYTES - len(self.raw))
            self.raw += data[:room]
            self.dropped += max(0, len(data) - room)

    def type(self, text: str) -> None:
        """Send keys. QEMU takes them as its UART has room; the socket holds the rest."""
        data = text.encode()
        while data:
            select.select([], [self._sock], [], 10)
            data = data[self._sock.send(data) :]

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8", "replace").replace("\r\n", "\n")

    def tail(self, lines: int = 12) -> list[str]:
        """The last lines, safe to print."""
        return escape(self.text).splitlines()[-lines:]
