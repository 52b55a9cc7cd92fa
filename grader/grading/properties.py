# SPDX-License-Identifier: MIT
"""Which properties each test's probes have: a probe that leaves some out has shown nothing.

grader/grading/properties.json is generated like the budgets (`python3 -m grader.grading.grade --lab
n --impl solution --measure`): it has each test's probes with the number of their properties and a
checksum over their words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from grader.grading.plan import short
from grader.machine.verdict import Finding, Verdict, infrastructure
from tools.files import write_atomically

FILE = Path(__file__).resolve().parent / "properties.json"


@cache
def measured() -> dict[str, list[str]]:
    return dict(json.loads(FILE.read_text("utf-8"))) if FILE.exists() else {}


def write(digests: Mapping[str, list[str]]) -> None:
    """Replace what is known of these tests; those of the same files that are gone leave it."""
    files = {name.split("::")[0] for name in digests}
    kept = {name: found for name, found in measured().items() if name.split("::")[0] not in files}
    write_atomically(FILE, json.dumps({**kept, **digests}, indent=1, sort_keys=True) + "\n")
    measured.cache_clear()


def expect_all(nodeid: str, digests: Iterable[str]) -> None:
    """FAIL unless the test's probes report exactly the known properties; tests of a lab alone."""
    if not short(nodeid).startswith("test_lab"):
        return
    known = measured().get(short(nodeid))
    if known is None:
        raise infrastructure(f"{FILE.name} does not know this test",
                             "grader.grading.grade --impl solution --measure adds it")
    for digest in digests:
        if digest not in known:
            probe = digest.split(":")[0]
            counts = [text.split()[-2] for text in known if text.startswith(probe + ":")]
            raise Finding(
                Verdict.FAIL,
                f"{probe} looks at all of its properties",
                observed=f"{digest.split()[-2]} properties, checksum {digest.split()[-1]}",
                expected=f"{' or '.join(counts)} properties, "
                         "as grader/grading/properties.json has them",
            )
