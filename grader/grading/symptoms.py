# SPDX-License-Identifier: MIT
"""The table of symptoms: what a state of the machine usually means (grader/grading/symptoms.toml).

A condition is an arithmetic expression over the numbers that the plugin read from the standing
machine. One that names what could not be read does not hold.
"""

from __future__ import annotations

import ast
import operator
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "symptoms.toml"

_OPERATORS: dict[type[ast.AST], Callable[[int, int], int]] = {
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.RShift: operator.rshift,
    ast.LShift: operator.lshift, ast.Add: operator.add, ast.Sub: operator.sub,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class Symptom:
    cause: str
    verdicts: tuple[str, ...]
    when: tuple[str, ...]
    text: str  # a regular expression that the message must match


@cache
def table(path: Path = TABLE) -> tuple[Symptom, ...]:
    entries = tomllib.loads(path.read_text("utf-8"))["symptom"]
    return tuple(Symptom(" ".join(entry["cause"].split()), tuple(entry.get("verdicts", ())),
                         tuple(entry.get("when", ())), entry.get("text", "")) for entry in entries)


def holds(condition: str, facts: Mapping[str, int]) -> bool:
    """Whether a condition is true; KeyError when it names a fact that is not there."""

    def value(node: ast.AST) -> int:
        if isinstance(node, ast.Expression):
            return value(node.body)
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name):
            return facts[node.id]
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return _OPERATORS[type(node.ops[0])](value(node.left), value(node.comparators[0]))
        if isinstance(node, ast.BoolOp):
            parts = [bool(value(part)) for part in node.values]
            return any(parts) if isinstance(node.op, ast.Or) else all(parts)
        raise ValueError(f"{condition!r}: {ast.dump(node)} is not understood")

    return bool(value(ast.parse(condition, mode="eval")))


def explain(facts: Mapping[str, int], verdict: str, text: str) -> str:
    """The first cause whose conditions all hold, or nothing."""
    for symptom in table():
        if symptom.verdicts and verdict not in symptom.verdicts:
            continue
        if not symptom.when and not symptom.text:
            continue
        try:
            fits = all(holds(condition, facts) for condition in symptom.when)
        except KeyError:
            continue
        if fits and re.search(symptom.text, text):
            return symptom.cause
    return ""
