# SPDX-License-Identifier: MIT
"""What Linux' work costs in a VM, against the same work without a hypervisor.

guests/linux/init-work does each piece and powers off. What a boot takes whose work is nothing is
subtracted from the instructions of both machines, so that their ratio is that of the work.
"""

from __future__ import annotations

import statistics

from bench.bars import WORKLOAD_TIME, WORKLOADS, Result
from bench.run import (Outcome, Setup, bare_command, ended_well, execute, hypervisor_command,
                       plugin_arguments)
from tools.errors import UserError
from tools.vms import MIB, VmConfig

NOTHING = "nothing"


def commands(setup: Setup, cpu: str, work: str, extra: list[str]) -> dict[str, list[str]]:
    """The machine without a hypervisor, and the one with it."""
    linux = setup.build / "linux"
    vm = VmConfig("linux", 512 * MIB, linux / "Image", initrd=linux / "work.cpio.gz",
                  cmdline=f"console=ttyAMA0 quiet strata.work={work}")
    return {"bare": bare_command(setup, vm, cpu=cpu, name=f"bare-{work}", extra=extra),
            "hosted": hypervisor_command(setup, [vm], cpu=cpu, name=f"hosted-{work}", extra=extra)}


def did_its_work(outcome: Outcome) -> Outcome:
    if "work: done" not in ended_well(outcome).console:
        raise UserError(f"Linux did not do its work: {outcome.console[-400:]}")
    return outcome


def retired(setup: Setup, cpu: str, work: str) -> dict[str, int]:
    """Instructions of all exception levels to power-off, by machine."""
    return {where: did_its_work(*execute(command)).retired
            for where, command in commands(setup, cpu, work, plugin_arguments(setup)).items()}


def instructions(setup: Setup, cpu: str) -> list[Result]:
    """A row for each kind of work."""
    boot, results = retired(setup, cpu, NOTHING), []
    for work, bar in WORKLOADS.items():
        took = {where: count - boot[where] for where, count in retired(setup, cpu, work).items()}
        results.append(Result(bar, f"{cpu} v3", took["hosted"] / took["bare"], {**took}))
    return results


def times(setup: Setup, cpu: str, rounds: int) -> list[Result]:
    """The emulator's time; both machines of a round run at once, each the first in turn."""
    results = []
    for work, bar in WORKLOAD_TIME.items():
        machines = commands(setup, cpu, work, [])
        seconds: dict[str, list[float]] = {where: [] for where in machines}
        for index in range(rounds):
            order = list(machines) if index % 2 else list(reversed(machines))
            outcomes = execute(*(machines[where] for where in order))
            for where, outcome in zip(order, outcomes, strict=True):
                seconds[where].append(did_its_work(outcome).cpu_seconds)
        ratios = [hosted / bare
                  for hosted, bare in zip(seconds["hosted"], seconds["bare"], strict=True)]
        results.append(Result(bar, f"{cpu} v3", statistics.median(ratios),
                              {"ratios": ratios, **seconds}))
    return results
