# SPDX-License-Identifier: MIT
"""The grader's vocabulary: eight verdicts, and the exception that carries one out of a test."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field


class Verdict(enum.Enum):
    """What a test says about the student's hypervisor. ERROR alone speaks about the grader."""

    PASS = "PASS"
    FAIL = "FAIL"
    BLOCKED = "BLOCKED"
    HANG = "HANG"
    BUDGET = "BUDGET"
    CRASH = "CRASH"
    TODO = "TODO"
    ERROR = "ERROR"


@dataclass
class Finding(AssertionError):
    """A verdict other than PASS.

    `where` is filled from the machine when the finding is raised while one is standing: place,
    backtraces, decoded registers. It is text only; nothing is read from the machine later.
    """

    verdict: Verdict
    what: str
    observed: str = ""
    expected: str = ""
    where: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.verdict.value}: {self.what}"]
        if self.observed:
            lines.append(f"  observed: {self.observed}")
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        lines += ["  " + line for line in self.where]
        return "\n".join(lines)


def infrastructure(what: str, detail: str = "") -> Finding:
    """The grader itself, QEMU or GDB did not work: never a student's fault."""
    return Finding(Verdict.ERROR, what, observed=detail)


def show(value: object) -> str:
    """A machine's numbers, those in a list too, in hexadecimal; a tuple that begins with a name as
    a call, members by their names; all else as Python prints it."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {show(member)}" for name, member in value.items()) or "none"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value) or "none"
    is_call = isinstance(value, tuple) and value and f"{value[0]}".isidentifier()
    if isinstance(value, tuple) and is_call:
        return f"{value[0]}({', '.join(map(show, value[1:]))})"
    if isinstance(value, list | tuple):
        inside = ", ".join(repr(item) if isinstance(item, str) else show(item) for item in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return f"{value:#x}" if abs(value) > 9 else str(value)


def members(what: str, count: int) -> list[str]:
    """The names that a sentence gives, in parentheses, to the members of a tuple."""
    begins, found = list[int](), list[str]()
    for at, letter in enumerate(what):
        if letter == "(":
            begins.append(at)
        elif letter == ")" and begins:
            begin = begins.pop()
            names = what[begin + 1:at].split(", ")
            if len(names) == count > 1:
                found = names
    return found


def with_names(what: str, value: tuple[object, ...]) -> str:
    """A tuple whose members a sentence names: "a 1, b 2"."""
    names = members(what, len(value))
    if not names:
        return show(value)
    return ", ".join(f"{name} {show(item)}" for name, item in zip(names, value, strict=True))


def expect(
    what: str,
    observed: object,
    expected: object,
    decode: Callable[[int], object] | None = None,
) -> None:
    """FAIL unless observed == expected; `decode` adds the fields of both numbers."""
    if observed == expected:
        return
    texts = []
    for value in (observed, expected):
        text = with_names(what, value) if isinstance(value, tuple) else show(value)
        if decode is not None and isinstance(value, int):
            text += f"  [{decode(value)}]"
        texts.append(text)
    if expected == [] and isinstance(observed, list) and isinstance(observed[0], str):
        texts[1] = ""  # sentences about faults: that there should be none goes without saying
    raise Finding(Verdict.FAIL, what, observed=texts[0], expected=texts[1])


def expect_that(what: str, holds: bool, observed: object = "", expected: str = "") -> None:
    """FAIL unless `holds`; for properties that are not equalities."""
    if not holds:
        raise Finding(Verdict.FAIL, what, observed=show(observed), expected=expected)
