# SPDX-License-Identifier: MIT
"""`make compile_commands.json`: how each source is compiled, for clangd and other editors.

Reads the commands that `make -Bn V=1` prints. Of a source that several compile, the first counts.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.errors import UserError, run_main

SOURCES = (".c", ".S")
COMPILER = "gcc"


def compile_commands(lines: Iterable[str], directory: str) -> Iterator[dict[str, object]]:
    """One entry a source, in the JSON Compilation Database's form."""
    known: set[str] = set()
    for line in lines:
        if not line.split(" ", maxsplit=1)[0].endswith(COMPILER):
            continue
        arguments = shlex.split(line)
        sources = [word for word in arguments if word.endswith(SOURCES)]
        for source in sources:
            if source not in known:
                known.add(source)
                others = {name for name in sources if name != source}
                yield {"directory": directory, "file": source,
                       "arguments": [word for word in arguments if word not in others]}


def main() -> int:
    entries = list(compile_commands(sys.stdin, os.getcwd()))
    if not entries:
        raise UserError("make printed no compiler's command; `make -Bn V=1 images` says why")
    Path("compile_commands.json").write_text(json.dumps(entries, indent=1) + "\n", "utf-8")
    print(f"compile_commands.json: {len(entries)} sources")
    return 0


if __name__ == "__main__":
    run_main(main)
