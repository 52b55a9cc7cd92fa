# SPDX-License-Identifier: MIT
"""`python3 -m tools.picture FILE.svg`: the picture in the README, from a real `make run`.

Types a short session at the terminal of `make run`, line by line as a person would, and draws what
came back. Needs the image and the guests' Linux, so `make run` once before.
"""

from __future__ import annotations

import argparse
import html
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tools.errors import UserError, run_main

NEXT_VM = "\x1d"
SESSION = ("uname -nrm", "grep RAM /proc/iomem", "while :; do :; done &", NEXT_VM,
           "uname -nrm", "grep RAM /proc/iomem", "poweroff -f", "poweroff -f")
PROMPT = ":/# "
OFF = "powered off, 0 stopped"
PATIENCE_SECONDS = 120
QUIET_SECONDS = 2

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
# What a shell says when it starts.
NOISE = re.compile(r"^\[\w+\]( BusyBox v| Enter 'help'|$)")
COLUMNS = 100
CHARACTER_WIDTH, LINE_HEIGHT, MARGIN, BAR = 8, 18, 14, 28
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
BACKGROUND, TEXT, MUTED = "#0f1720", "#d7dee6", "#7d8a98"
PREFIX_COLOURS = ("#e0b354", "#6cb6ff", "#8bd48b", "#d79be8")


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, command: Sequence[str]) -> None:
        self.seen = ""
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)

    def read(self, seconds: float) -> bool:
        """Whether the program printed something within this time."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 4096)
        except OSError:  # the other side is closed
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def wait_for(self, text: str, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.seen.count(text) < count:
            is_over = self.process.poll() is not None or time.monotonic() > deadline
            if not self.read(1) and is_over:
                raise UserError(f'"{text}" was not printed; the output ends with '
                                f'{self.seen[-300:]!r}')

    def type(self, text: str) -> None:
        """Type as a person does: when the program has printed nothing for a while."""
        while self.read(QUIET_SECONDS):
            pass
        os.write(self.master, text.encode() if text == NEXT_VM else f"{text}\r".encode())


def record() -> list[str]:
    """The lines of a session; the VMs are off at its end."""
    terminal = Terminal(["make", "--no-print-directory", "run"])
    try:
        terminal.wait_for(PROMPT, 1)
        for text in SESSION:
            terminal.type(text)
        terminal.wait_for(OFF, 1)
        terminal.process.wait(PATIENCE_SECONDS)
    finally:
        terminal.process.kill()
    shown = terminal.seen[terminal.seen.index("[strata]"):]
    return clean(shown)


def clean(text: str) -> list[str]:
    """The lines as a terminal shows them; of a line that another VM interrupted, the whole one."""
    lines = [CONTROL.sub("", line).rstrip() for line in text.split("\n")]
    lines = [line for line in lines if line and not NOISE.match(line)]
    return [line for number, line in enumerate(lines)
            if not next((later.startswith(line) for later in lines[number + 1:]
                         if split_prefix(later)[0] == split_prefix(line)[0]), False)]


def draw(lines: Sequence[str], title: str) -> str:
    """An SVG without scripts, foreign fonts or links; each `[name]` has a colour of its own."""
    names: list[str] = []
    width = COLUMNS * CHARACTER_WIDTH + 2 * MARGIN
    height = BAR + len(lines) * LINE_HEIGHT + 2 * MARGIN
    rows = []
    for number, line in enumerate(lines):
        y = BAR + MARGIN + (number + 1) * LINE_HEIGHT - 5
        name, rest = split_prefix(line if len(line) <= COLUMNS else f"{line[:COLUMNS - 1]}…")
        if name and name not in names:
            names.append(name)
        colour = PREFIX_COLOURS[names.index(name) % len(PREFIX_COLOURS)] if name else TEXT
        rows.append(f'<text x="{MARGIN}" y="{y}" xml:space="preserve">'
                    f'<tspan fill="{colour}">{html.escape(name)}</tspan>'
                    f'{html.escape(rest)}</text>')
    dots = "".join(f'<circle cx="{MARGIN + 6 + 18 * n}" cy="{BAR // 2}" r="5" fill="{MUTED}"/>'
                   for n in range(3))
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{html.escape(title)}">',
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>', dots,
        f'<g font-family="{html.escape(FONT)}" font-size="13" fill="{TEXT}">',
        f'<text x="{width // 2}" y="{BAR // 2 + 5}" fill="{MUTED}" text-anchor="middle">'
        f'{html.escape(title)}</text>',
        *rows, "</g>", "</svg>", ""])


def split_prefix(line: str) -> tuple[str, str]:
    """`[alpha] text` as `[alpha]` and ` text`."""
    match = re.match(r"\[[a-z0-9-]+\]", line)
    return (match[0], line[match.end():]) if match else ("", line)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/picture.py",
                                     description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    lines = record()
    arguments.file.write_text(draw(lines, "make run"), "utf-8")
    print(f"{arguments.file}: {len(lines)} lines")
    return 0


if __name__ == "__main__":
    run_main(main)
