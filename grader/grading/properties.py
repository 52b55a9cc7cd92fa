# SPDX-License-Identifier: MIT
"""Which properties each test's probes have: a probe that leaves some out has shown nothing.

grader/grading/properties.json is generated like the budgets (`python3 -m grader.grading.grade --lab
n --impl solution --measure`): it has each test's probes with the number of their properties and a
checksum over their words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from course.registry import ROOT
from grader.grading.plan import short
from grader.machine.options import current
from grader.machine.verdict import Finding, Verdict
from tools.files import write_atomically

FILE = Path(__file__).resolve().parent / "properties.json"
WHAT = "looks at all of its properties"  # of a finding that is about the probe
REMEDY = "when that is as it should be: "  # before the command that writes the file anew


@cache
def measured() -> dict[str, list[str]]:
    return dict(json.loads(FILE.read_text("utf-8"))) if FILE.exists() else {}


def write(digests: Mapping[str, list[str]]) -> None:
    """Replace what is known of these tests; those of the same files that are gone leave it."""
    files = {name.split("::")[0] for name in digests}
    kept = {name: found for name, found in measured().items() if name.split("::")[0] not in files}
    write_atomically(FILE, json.dumps({**kept, **digests}, indent=1, sort_keys=True) + "\n")
    measured.cache_clear()


def remedy(nodeid: str) -> list[str]:
    """How to write the file anew, for who has the solution: nobody else changes probes."""
    lab = re.match(r"test_lab(\d\d)", short(nodeid))
    if lab is None or not (ROOT / "solution").is_dir():
        return []
    return [f'{REMEDY}"$(tools/doctor --python)" -m grader.grading.grade --lab {int(lab[1])} '
            "--impl solution --measure"]


def expect_all(nodeid: str, digests: Iterable[str]) -> None:
    """FAIL unless the test's probes report exactly the known properties; tests of a lab alone."""
    if not short(nodeid).startswith("test_lab"):
        return
    known = measured().get(short(nodeid))
    if known is None:
        raise Finding(Verdict.ERROR, f"{FILE.name} does not know this test", where=remedy(nodeid))
    for digest in digests:
        if digest not in known:
            probe = digest.split(":")[0]
            counts = [text.split()[-2] for text in known if text.startswith(probe + ":")]
            raise Finding(
                Verdict.FAIL,
                f"{probe} {WHAT}",
                observed=f"{digest.split()[-2]} properties, checksum {digest.split()[-1]}",
                expected=f"{' or '.join(counts)} properties, "
                         "as grader/grading/properties.json has them",
                where=remedy(nodeid) if current().impl == "solution" else [],
            )
