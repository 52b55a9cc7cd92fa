# SPDX-License-Identifier: MIT
"""The recorded costs, which no change may raise by more than 2 % without saying so.

    -m bench.gate --image build/solution-lab06/strata.bin            compare
    -m bench.gate --image build/solution-lab06/strata.bin --record   write; also: make bench-record

counts.json has the medians of each compiler: another one makes other instructions. Two machines
run, each a few seconds: guests/bench/bench.c, and the payload with two vCPUs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path

from bench.bars import ROWS
from bench.paper import ONE
from bench.rows import rows_of
from bench.run import DONE, Setup, hypervisor_command, run_until
from bench.systems import strata_job
from tools.errors import UserError, run_main
from tools.files import write_atomically
from tools.vms import MIB, VmConfig

RECORD = Path(__file__).parent / "counts.json"
COMMAND = "make bench-record"
CPU = "cortex-a76"
MORE = 1.02
EMPTY = "empty"  # the cost of measuring
LAST = "DONE:"  # what a probe prints last

Counts = dict[str, int]


def compiler() -> str:
    """gcc's major version, for example "gcc 12"."""
    for prefix in ("aarch64-none-elf-", "aarch64-linux-gnu-"):
        if shutil.which(f"{prefix}gcc"):
            done = subprocess.run([f"{prefix}gcc", "-dumpversion"], check=True, capture_output=True,
                                  text=True)
            return f"gcc {done.stdout.split('.')[0].strip()}"
    raise UserError("no AArch64 compiler; `make doctor` says how to get one")


def measure(setup: Setup) -> Counts:
    """The medians of both machines. Names of the payload's rows begin with its own."""
    vms = [VmConfig(name, 16 * MIB, setup.guest("bench")) for name in ("measured", "partner")]
    console = run_until(hypervisor_command(setup, vms, cpu=CPU, name="gate"), LAST, len(vms))
    if any(match[1] != match[2] for match in DONE.finditer(console)):
        raise UserError(f"guests/bench/bench.c failed: {console[-400:]}")
    counts = {bar.key: rows_of(console, "bench")[bar.key].median for bar in ROWS}
    job = strata_job(setup, CPU, ONE)
    assert job
    payload = {f"payload {name}": row.median for name, row in job.run().items() if name != EMPTY}
    return counts | payload


def recorded() -> dict[str, Counts]:
    found: dict[str, Counts] = json.loads(RECORD.read_text("utf-8"))
    return found


def risen(before: Counts, now: Counts) -> list[str]:
    """A line for each row that costs more than the record allows, or is not in it, or is gone."""
    lines = [f"{name}: {old} before, {now[name]} now ({100 * (now[name] - old) / old:+.1f} %)"
             for name, old in before.items() if name in now and now[name] > old * MORE]
    lines += [f"{name}: not in the record" for name in now if name not in before]
    lines += [f"{name}: no longer measured" for name in before if name not in now]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.gate", description="compare with the record")
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--qemu", default="qemu-system-aarch64")
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--record", action="store_true", help="write counts.json anew")
    arguments = parser.parse_args()
    setup = Setup(arguments.build, arguments.image, arguments.qemu, "bench")
    known, now = recorded(), measure(setup)
    before = known.get(compiler(), {})
    for name, count in now.items():
        if before.get(name) != count:
            print(f"{name}: {before.get(name, '-')} before, {count} now")
    if arguments.record:
        text = json.dumps(known | {compiler(): now}, indent=1, sort_keys=True)
        write_atomically(RECORD, text + "\n")
        return 0
    problems = risen(before, now)
    for line in problems:
        print(f"over the record: {line}")
    return int(bool(problems))


if __name__ == "__main__":
    run_main(main)
