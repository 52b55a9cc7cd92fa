# SPDX-License-Identifier: MIT
"""`make bench`: the microbenchmarks of the paper on this machine, for Strata and without a
hypervisor; with PEERS=1 for KVM and Xen, too.

Instruction counts are exact and repeat, so machines may run side by side. The results go to
bench.json and a report in HTML; the exit status is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import scaling
from bench.paper import (BENCHMARKS, GROUPS, KVM, KVM_VHE, NATIVE, ONE, PART_OF, PEERS, ROWS,
                         STRATA, XEN, XEN_PART_OF, Measured, Verdict, find, verdicts)
from bench.published import Published
from bench.report import render
from bench.rows import Row
from bench.run import Setup
from bench.systems import CPUS, OWN, Job
from tools.errors import UserError, run_main
from tools.files import write_atomically
from tools.qemu import qemu_version

SYSTEMS = (STRATA, NATIVE, *PEERS)


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def parts_of(benchmark: str, part_of: dict[str, str]) -> list[str]:
    """The parts of the payload that a benchmark needs, or all of them do."""
    chosen = [benchmark] if benchmark else BENCHMARKS
    return list(dict.fromkeys(part_of.get(name, ONE) for name in chosen))


def own_jobs(setup: Setup, benchmark: str) -> list[Job]:
    return [job for cpu in CPUS for make in OWN for part in parts_of(benchmark, PART_OF)
            if (job := make(setup, cpu, part))]


def peer_jobs(setup: Setup, benchmark: str) -> tuple[list[Job], dict[str, str]]:
    """The peers' machines, and of each peer that cannot be had, why."""
    from bench.peers import kvm, xen  # what they need is fetched when they are asked for

    jobs: list[Job] = []
    missing: dict[str, str] = {}
    for module, names, part_of in ((kvm, (KVM, KVM_VHE), PART_OF), (xen, (XEN,), XEN_PART_OF)):
        try:
            jobs += module.jobs(setup, parts_of(benchmark, part_of), say)
        except UserError as error:
            missing.update(dict.fromkeys(names, str(error)))
            say(f"{names[0]} cannot be had: {error}")
    return jobs, missing


def run_jobs(jobs: list[Job]) -> tuple[dict[str, dict[str, Row]], dict[str, str]]:
    """The rows of each job by what it is; of a peer whose machine fails the reason."""
    results: dict[str, dict[str, Row]] = {}
    failed: dict[str, str] = {}
    start = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {pool.submit(job.run): job for job in jobs}
        for done in as_completed(running):
            job = running[done]
            try:
                results[job.what] = done.result()
            except UserError as error:
                if job.system not in PEERS:
                    raise UserError(f"{job.what}: {error}") from None
                failed[job.system] = str(error)
                say(f"{job.what}: {error}")
                continue
            say(f"{len(results)} of {len(jobs)} machines, "
                f"{time.monotonic() - start:.0f} s: {job.what}")
    return results, failed


def versions(setup: Setup, jobs: list[Job]) -> dict[str, str]:
    """What was measured, and with what."""
    described = subprocess.run(["git", "describe", "--always", "--dirty"], check=False,
                               capture_output=True, text=True).stdout.strip()
    found = {"Strata": described or "unknown", "image": str(setup.image)}
    for job in jobs:
        found[f"QEMU of {job.system}"] = ".".join(map(str, qemu_version(job.qemu)))
        found.update(job.versions)
    return found


def print_table(results: list[Measured], bars: list[Verdict], missing: dict[str, str],
                published: Published, benchmark: str) -> None:
    """A line a row, a column a system, CPU by CPU."""
    systems = [s for s in SYSTEMS if s in missing or any(m.system == s for m in results)]
    for cpu in dict.fromkeys(m.cpu for m in results):
        table = Table(title=f"Instructions, median, {cpu}")
        table.add_column("", no_wrap=True)
        columns = [s for s in systems if s in missing or any(
            m.system == s and m.cpu == cpu for m in results)]
        for system in columns:
            table.add_column(system, justify="right", no_wrap=True)
        rows = [row for row in ROWS if not benchmark or row.benchmark == benchmark]
        has_bars = any(b.row in rows and b.cpu == cpu for b in bars)
        if has_bars:
            table.add_column("Strata may take", no_wrap=True)
        for name in published.columns:
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            its_bars = [b for b in bars if b.row == row and b.cpu == cpu]
            cells = []
            for system in columns:
                found = find(results, row.name, system, cpu)
                text = str(found.median) if found else "-"
                is_over = system == STRATA and not all(b.passed for b in its_bars)
                cells.append(f"[bold red]{text} ![/]" if is_over else text)
            least = min(its_bars, key=lambda b: b.limit, default=None)
            if has_bars:
                cells.append(f"{least.limit:.0f}: {least.reason}" if least else "")
            table.add_row(row.title, *cells, *published.cells(row.name))
        Console(width=max(120, Console().width)).print(table)
    for system, reason in missing.items():
        print(f"{system}: not measured: {reason}")


def breakdown(results: list[Measured]) -> dict[str, dict[str, int]]:
    """Of each CPU what saving and restoring a group of registers costs."""
    costs: dict[str, dict[str, int]] = {}
    for cpu in dict.fromkeys(m.cpu for m in results if m.system == NATIVE):
        nothing = find(results, "group_nothing", NATIVE, cpu)
        for name in GROUPS:
            found = find(results, name, NATIVE, cpu)
            if found and nothing:
                costs.setdefault(cpu, {})[name] = found.median - nothing.median
    return costs


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.bench", description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("--qemu", default="qemu-system-aarch64")
    parser.add_argument("--image", type=Path, required=True, help="strata.bin")
    parser.add_argument("--lab", type=int, default=6, help="the layers that it has")
    parser.add_argument("--peers", action="store_true", help="measure KVM and Xen, too")
    parser.add_argument("--benchmark", default="", choices=("", *BENCHMARKS))
    arguments = parser.parse_args()
    setup = Setup(arguments.build, arguments.image, arguments.qemu, "bench", arguments.lab)

    jobs = own_jobs(setup, arguments.benchmark)
    missing: dict[str, str] = {}
    if arguments.peers:
        more, missing = peer_jobs(setup, arguments.benchmark)
        jobs += more
    crowds = [] if arguments.benchmark or arguments.lab < 4 else scaling.jobs(setup)
    by_job, failed = run_jobs([*jobs, *crowds])
    missing |= failed
    results = [Measured(name, job.system, job.cpu, row)
               for job in jobs for name, row in by_job.get(job.what, {}).items()]
    charts = scaling.charts({job.part: by_job[job.what] for job in crowds})
    bars = [*(b for b in verdicts(results)
              if not arguments.benchmark or b.row.benchmark == arguments.benchmark),
            *scaling.verdicts(charts)]
    published = Published.read(Path(__file__).parent / "published.toml")
    report = {
        "passed": all(bar.passed for bar in bars),
        "versions": versions(setup, jobs),
        "missing": missing,
        "rows": [measured.as_json() for measured in results],
        "breakdown": breakdown(results),
        "scaling": charts,
        "bars": [bar.as_json() for bar in bars],
        "published": published.as_json(),
    }
    write_atomically(setup.out / "bench.json", json.dumps(report, indent=1) + "\n")
    write_atomically(setup.out / "report.html", render(results, bars, published, report))
    print_table(results, bars, missing, published, arguments.benchmark)
    for bar in bars:
        if not bar.passed:
            print(f"missed: {bar.row.title.strip()}, {bar.cpu}: {bar.value} > {bar.limit:.0f} "
                  f"({bar.reason})")
    print(f"{setup.out / 'bench.json'}, {setup.out / 'report.html'}")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    run_main(main)
