# SPDX-License-Identifier: MIT
"""A machine with the layers of one lab, as a test wants it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from grader.grading import properties
from grader.machine.launch import MachineConfig
from grader.machine.machine import Machine
from grader.machine.options import current
from grader.machine.verdict import Finding
from grader.oracle.probe import ProbeVm, Report, expect_turns, judge, prepare, run_probes

PROBE_BUDGET = 200_000_000


class Lab:
    """A machine with the layers of one lab, as a test wants it."""

    def __init__(
        self,
        start: Callable[[MachineConfig], Machine],
        folder: Path,
        qemu: str,
        seed: int,
        gic: int,
        number: int,
        test: str,
    ) -> None:
        self._start, self._folder, self._qemu, self._seed = start, folder, qemu, seed
        self.gic = gic
        self.number = number
        self.test = test

    def start(self, *vms: ProbeVm | str, **options: object) -> Machine:
        """The machine with these VMs (a name is a probe), before its first instruction."""
        configs = [ProbeVm(vm) if isinstance(vm, str) else vm for vm in vms]
        folder = self._folder / "machine"
        folder.mkdir(exist_ok=True)
        config = prepare(
            self.number, configs, folder, seed=self._seed, gic=self.gic, qemu=self._qemu,
            **options,  # type: ignore[arg-type]
        )  # fmt: skip
        return self._start(config)

    def probe(
        self,
        *vms: ProbeVm | str,
        budget: int = PROBE_BUDGET,
        ignore: tuple[str, ...] = (),
        turns: bool = False,
        **options: object,
    ) -> tuple[Machine, list[Report]]:
        """Run probes to their end; FAIL when one of them saw a property violated.

        With `turns`, also when each ran from its start to its end alone.
        """
        configs = [ProbeVm(vm) if isinstance(vm, str) else vm for vm in vms]
        machine = self.start(*configs, **options)
        reports = run_probes(machine, configs, self.number, budget)
        judge(machine, reports, ignore)
        if turns:
            expect_turns(reports)
        if not current().measure:
            try:
                properties.expect_all(self.test, (report.digest for report in reports))
            except Finding as finding:
                finding.where += machine.where()
                raise
        return machine, reports
