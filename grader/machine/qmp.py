# SPDX-License-Identifier: MIT
"""QMP over a socketpair: commands, and the events that tell what became of the machine."""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from typing import Any

from grader.machine.verdict import infrastructure


class Qmp:
    """One end of the socketpair whose other end QEMU got as a chardev."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self.events: list[dict[str, Any]] = []  # but STOP and RESUME
        self.stops = 0  # how often it has come to stand, for the debugger too
        self.closed = False
        self._replies: deque[dict[str, Any]] = deque()  # of which nobody has asked for yet

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def handshake(self, deadline: float) -> None:
        """Wait for the greeting and enable commands."""
        greeting = self._next_reply(deadline)
        if "QMP" not in greeting:
            raise infrastructure("QMP greeting expected", str(greeting))
        self.version = tuple(
            greeting["QMP"]["version"]["qemu"][part] for part in ("major", "minor", "micro")
        )
        self.command("qmp_capabilities", deadline=deadline)

    def send(self, name: str, **arguments: object) -> None:
        """Send a command without waiting for its reply (take it with `reply`).

        In as few bytes as can be: QEMU takes one at a time, by seven system calls.
        """
        message: dict[str, object] = {"execute": name}
        if arguments:
            message["arguments"] = arguments
        try:
            self._sock.sendall(json.dumps(message, separators=(",", ":")).encode())
        except OSError as error:
            raise infrastructure("QEMU closed its monitor", str(error)) from error

    def reply(self, deadline: float | None = None) -> Any:
        """The reply to the oldest command sent; events met on the way are kept."""
        message = self._next_reply(time.monotonic() + 60 if deadline is None else deadline)
        if "error" in message:
            raise infrastructure("QMP refused a command", message["error"]["desc"])
        return message["return"]

    def command(self, name: str, deadline: float | None = None, **arguments: object) -> Any:
        self.send(name, **arguments)
        return self.reply(deadline)

    def hmp(self, line: str) -> str:
        """A command of the human monitor, and what it prints."""
        self.send("human-monitor-command", **{"command-line": line})
        return str(self.reply())

    def poll(self) -> None:
        """Take in what has arrived."""
        while select.select([self._sock], [], [], 0)[0] and self._fill():
            pass
        self._sort()

    @property
    def replied(self) -> bool:
        """Whether a reply is there that has not been taken."""
        return bool(self._replies)

    def event(self, *names: str) -> dict[str, Any] | None:
        """The first event of one of these names that has come so far."""
        return next((event for event in self.events if event["event"] in names), None)

    def _sort(self) -> None:
        while (message := self._take()) is not None:
            name = message.get("event")
            if name is None:
                self._replies.append(message)
            elif name == "STOP":
                self.stops += 1
            elif name != "RESUME":
                self.events.append(message)

    def _next_reply(self, deadline: float) -> dict[str, Any]:
        while not self._replies:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._sock], [], [], left)[0]:
                raise infrastructure("QEMU's monitor did not answer")
            if not self._fill():
                raise infrastructure("QEMU closed its monitor")
            self._sort()
        return self._replies.popleft()

    def _fill(self) -> bool:
        try:
            data = self._sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self._buffer += data
        self.closed = not data
        return bool(data)

    def _take(self) -> dict[str, Any] | None:
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            return None
        self._buffer = rest
        message = json.loads(line)
        return message if isinstance(message, dict) else {}
