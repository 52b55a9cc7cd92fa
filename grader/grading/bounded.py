# SPDX-License-Identifier: MIT
"""Runs a program that may be up to anything: with an end, and with an end to what it prints."""

from __future__ import annotations

import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 16


@dataclass(frozen=True)
class Done:
    """How it ended, and what it printed on either stream."""

    returncode: int
    output: bytes
    ended: str = ""  # why it was ended, if it did not end by itself
    took_too_long: bool = False  # and that this was for the time of the host

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")


def bounded(command: list[str], seconds: float, most: int, cwd: Path | None = None) -> Done:
    """Run it; when it takes too long or prints more than `most` bytes, it is killed.

    Its output is a socket: nothing can open that anew by a name such as /dev/fd/1 and then wait for
    itself, as for a pipe.
    """
    ours, theirs = socket.socketpair()
    why, late = list[str](), list[bool]()
    with ours:
        with theirs:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=cwd,
                                       stdout=theirs.fileno(), stderr=theirs.fileno())

        def end(reason: str) -> None:
            why.append(reason)
            process.kill()
            ours.shutdown(socket.SHUT_RDWR)  # what it has started may still hold the other end

        def too_long() -> None:
            late.append(True)
            end(f"it took longer than {seconds:g} seconds")

        clock = threading.Timer(seconds, too_long)
        clock.start()
        output = bytearray()
        try:
            while data := _receive(ours):
                output += data
                if len(output) > most:
                    end(f"it printed more than {most} bytes")
                    break
            process.wait()
        finally:
            clock.cancel()
            process.kill()
            process.wait()
    return Done(process.returncode, bytes(output[:most]), why[0] if why else "", bool(late))


def _receive(ours: socket.socket) -> bytes:
    try:
        return ours.recv(CHUNK)
    except ConnectionError:
        return b""
