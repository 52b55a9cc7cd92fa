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
_PLAIN = re.compile(r'"([^"\\]*)"')
_PREFIX = re.compile(r"(\d*)([\^*+=~@&])")


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
        plain = _PLAIN.match(self.text, self.at)
        if plain:
            self.at = plain.end()
            return plain[1]
        self.take('"')
        parts: list[str] = []
        while (char := self.peek()) != '"':
            if not char:
                raise ValueError(f"unterminated string in {self.text!r}")
            self.at += 1
            parts.append(self._escape() if char == "\\" else char)
        self.at += 1
        return "".join(parts)

    def _escape(self) -> str:
        octal = re.compile(r"[0-7]{1,3}").match(self.text, self.at)
        if octal:
            self.at = octal.end()
            return chr(int(octal[0], 8))
        char = self.peek()
        self.at += 1
        return _ESCAPES.get(char, char)

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
