# SPDX-License-Identifier: MIT
"""Where functions begin and end, according to universal-ctags, which parses C and assembly."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.errors import UserError

# The marks of the course expand to nothing.
IGNORED = "EXERCISE+,EXERCISE_PRIVATE+"


@dataclass(frozen=True)
class Symbol:
    """A function or prototype of C; a label or macro of assembly. Lines count from 1."""

    name: str
    kind: str
    line: int
    end: int  # the line of the closing brace, or `line` where there is none


def symbols(path: Path) -> list[Symbol]:
    """What a source file defines, in the order of its lines."""
    command = ["ctags", "--options=NONE", "--output-format=json", "--fields=+ne", "--map-C=+.h",
               "--map-C++=-.h", "--kinds-C=fp", "--kinds-Asm=lm", "-I", IGNORED,
               "-o", "-", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UserError("ctags is missing: apt-get install universal-ctags") from error
    if done.returncode or "json" in done.stderr:
        raise UserError(f"{path}: ctags: {done.stderr.strip()} "
                        "(universal-ctags with JSON is needed)")
    found = []
    for text in done.stdout.splitlines():
        tag = json.loads(text)
        if tag.get("_type") == "tag":
            line = int(tag["line"])
            found.append(Symbol(tag["name"], tag["kind"], line, int(tag.get("end", line))))
    return sorted(found, key=lambda symbol: (symbol.line, symbol.name))
