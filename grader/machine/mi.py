# SPDX-License-Identifier: MIT
"""GDB/MI: what GDB prints, as Python values (GDB manual, "GDB/MI Output Syntax")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Value = Any  # str | list[Value] | dict[str, Value]

_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "f": "\f",
    "b": "\b",
    "v": "\v",
    "a": "\a",
    "e": "\x1b",
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL)
_PREFIX = re.compile(r"(\d*)([\^*+=~@&])")


def _meant(escaped: re.Match[str]) -> str:
    """The character that a backslash and what stands behind it mean."""
    text = escaped[1]
    return chr(int(text, 8)) if text[0] in "01234567" else _ESCAPES.get(text, text)


@dataclass(frozen=True)
class Record:
    """One line of output: `token` `kind` `name`, then results; stream records have text alone.

    kind is one of ^ (reply), * + = (asynchronous), ~ @ & (streams).
    """

    token: int | None
    kind: str
    name: str
    results: dict[str, Value]
    text: str = ""


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.text[self.at:self.at + 1]

    def take(self, expected: str) -> None:
        if self.peek() != expected:
            raise ValueError(f"{expected!r} expected at {self.at} of {self.text!r}")
        self.at += 1

    def name(self) -> str:
        match = _NAME.match(self.text, self.at)
        if match is None:
            raise ValueError(f"a name expected at {self.at} of {self.text!r}")
        self.at = match.end()
        return match[0]

    def string(self) -> str:
        match = _STRING.match(self.text, self.at)
        if match is None:
            raise ValueError(f"a whole string expected at {self.at} of {self.text!r}")
        self.at = match.end()
        return _ESCAPED.sub(_meant, match[1]) if "\\" in match[1] else match[1]

    def value(self) -> Value:
        if self.peek() == '"':
            return self.string()
        if self.peek() == "{":
            return self.tuple()
        return self.list()

    def tuple(self) -> dict[str, Value]:
        self.take("{")
        found = self.results("}")
        self.take("}")
        return found

    def results(self, end: str) -> dict[str, Value]:
        """name=value pairs; a repeated name (GDB does that in some replies) becomes a list."""
        found: dict[str, Value] = {}
        while self.peek() not in ("", end):
            name = self.name()
            self.take("=")
            value = self.value()
            if name in found and not isinstance(found[name], list):
                found[name] = [found[name]]
            if name in found:
                found[name].append(value)
            else:
                found[name] = value
            if self.peek() == ",":
                self.at += 1
        return found

    def list(self) -> list[Value]:
        self.take("[")
        items: list[Value] = []
        while self.peek() != "]":
            if self.peek() not in ('"', "{", "["):
                self.name()
                self.take("=")
            items.append(self.value())
            if self.peek() == ",":
                self.at += 1
        self.at += 1
        return items


def parse(line: str) -> Record | None:
    """A line of GDB's output; None for the prompt and for what is no record."""
    match = _PREFIX.match(line)
    if match is None:
        return None
    token = int(match[1]) if match[1] else None
    reader = _Reader(line)
    reader.at = match.end()
    if match[2] in "~@&":
        return Record(token, match[2], "", {}, reader.string())
    name = reader.name()
    if reader.peek() == ",":
        reader.at += 1
    return Record(token, match[2], name, reader.results(""))


def quote(text: str) -> str:
    """A C string for an MI argument."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
