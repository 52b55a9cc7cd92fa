# SPDX-License-Identifier: MIT
"""The numbers that a lab's questions ask for: what a student says, and what the grader measures.

Answers stand in the lab's answers.toml, one key a question, "" while it is open. They earn no
points. A wrong answer is reported, and which test measures it; the number is the student's to find.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from course.registry import ANSWERS as FILE
from course.registry import Lab, Question

BITS = 64
BYTES_MAX = 8 << 10  # tomllib takes time and memory by the square of a key's length


@dataclass(frozen=True)
class Answers:
    """What an answers.toml holds: numbers by question, or why it cannot be read."""

    values: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


def parse(data: bytes, lab: Lab) -> Answers:
    """Of a file that nobody trusts. An error is one line."""
    where = f"labs/{lab.directory}/{FILE}"
    if len(data) > BYTES_MAX:
        return Answers(error=f"{where}: {len(data)} bytes; at most {BYTES_MAX} are read")
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # one is of a number with too many digits
        return Answers(error=f"{where}: {' '.join(str(error).split())[:200]}")
    known = [question.id for question in lab.questions]
    values = {}
    for key, value in found.items():
        if key not in known:
            return Answers(error=f"{where}: {key[:40]!a} is none of the lab's questions: "
                           f"{', '.join(known)}")
        if value == "":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << BITS:
            return Answers(error=f"{where}: {_line_of(data, key)}{key} = {_start_of(value)}: "
                                 "an answer is a whole number "
                                 f"below 2^{BITS}, decimal or 0x..., without quotes, "
                                 'or "" while it is open')
        values[key] = value
    return Answers(values)


def _line_of(data: bytes, key: str) -> str:
    """"line 7: ", which gives this answer; "" if it is written in an unusual way."""
    lines = data.decode("utf-8").split("\n")
    return next((f"line {at}: " for at, line in enumerate(lines, 1)
                 if line.partition("=")[0].strip() == key), "")


def _start_of(value: object) -> str:
    """For a message: neither a number of any length nor a list of any depth can be written out."""
    if isinstance(value, (list, dict)):
        return "no number"
    if type(value) is int and value.bit_length() > 2 * BITS:
        return f"a number of {value.bit_length()} bits"
    return ascii(str(value)[:40])


def read_file(path: Path, lab: Lab) -> Answers:
    """A missing file is one without answers."""
    try:
        return parse(path.read_bytes(), lab)
    except FileNotFoundError:
        return Answers()
    except OSError as error:
        return Answers(error=f"labs/{lab.directory}/{FILE}: {error.strerror}")


@dataclass(frozen=True)
class Row:
    """How one question stands."""

    question: Question
    answer: int | None  # None: open
    measured: int | None  # None: not asked, or it could not be measured
    problem: str = ""  # why it could not

    @property
    def state(self) -> str:
        if self.answer is None:
            return "open"
        if self.measured is None:
            return "not measured"
        return "right" if is_right(self.question, self.answer, self.measured) else "wrong"

    def __str__(self) -> str:
        head = f"question {self.question.number}, {self.question.id}"
        if self.state == "open":
            return f"{head}: open"
        if self.measured is None:
            return f"{head}: not measured: {self.problem or 'its test gave no result'}"
        if self.state == "right":
            return f"{head}: right"
        tolerance = f" (within {self.question.tolerance} %)" if self.question.tolerance else ""
        return (f"{head}: you say {number(self.answer)}, on your image {self.question.test} "
                f"measures another number{tolerance}: {self.question.asks}")


def number(value: int | None) -> str:
    """Decimal, and what is long also in hexadecimal."""
    return "" if value is None else f"{value}" if value < 0x1000 else f"{value} ({value:#x})"


def counts(rows: Sequence[Row]) -> str:
    """3 of 6 right, 1 wrong, 2 open."""
    found = Counter(row.state for row in rows)
    words = [f"{found['right']} of {len(rows)} right"]
    return ", ".join(words + [f"{found[state]} {state}"
                              for state in ("wrong", "open", "not measured") if found[state]])


def is_right(question: Question, told: int, measured: int) -> bool:
    return abs(told - measured) * 100 <= measured * question.tolerance
