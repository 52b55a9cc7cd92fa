# SPDX-License-Identifier: MIT
"""The payload's machines: without a hypervisor, and under ours. The peers' are in bench/peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bench.paper import NATIVE, ONE, STRATA, SWITCH
from bench.run import Setup, hypervisor_command, run_until
from bench.rows import Row, rows_of
from tools.qemu import qemu_words
from tools.vms import MIB, VmConfig

CPUS = ("cortex-a72", "cortex-a76")  # without VHE and with it: what KVM makes of the two differs
END = "BENCH END"  # the payload's last line


@dataclass(frozen=True)
class Job:
    """One machine to run to its end, and whose rows it gives."""

    system: str
    cpu: str
    part: str
    qemu: str
    make_command: Callable[[], list[str]]
    ends: int = 1  # payloads that say END
    versions: dict[str, str] = field(default_factory=dict)

    def run(self) -> dict[str, Row]:
        return rows_of(run_until(self.make_command(), END, self.ends), self.what)

    @property
    def what(self) -> str:
        return f"{self.system}, {self.cpu}, {self.part}"


def outer_machine(qemu: str, cpu: str, *, smp: int, memory: int) -> list[str]:
    """The physical machine that every system gets: one instruction a nanosecond and a tick."""
    return [*qemu_words(qemu), "-M", "virt,virtualization=on,gic-version=3",
            "-cpu", f"{cpu},cntfrq=1000000000", "-smp", str(smp), "-m", f"{memory // MIB}M",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-icount", "shift=0,sleep=off", "-serial", "stdio"]


def native_job(setup: Setup, cpu: str, part: str) -> Job | None:
    if part != ONE:
        return None

    def command() -> list[str]:
        return [*outer_machine(setup.qemu, cpu, smp=2, memory=512 * MIB),
                "-kernel", str(setup.guest("payload")), "-append", "bench=native,one"]
    return Job(NATIVE, cpu, part, setup.qemu, command)


def strata_job(setup: Setup, cpu: str, part: str) -> Job | None:
    if part not in (ONE, SWITCH):
        return None
    smp = 2 if setup.lab >= 6 else 1  # without layer 6 the rows of two CPUs are missing
    vm = VmConfig("measured", 16 * MIB, setup.guest("payload"), cpus=smp,
                  pin=tuple((cpu_number,) for cpu_number in range(smp)), cmdline="bench=strata,one")
    vms = [vm]
    if part == SWITCH:
        vms = [replace(vm, cpus=1, pin=(), name=name, cmdline=f"bench=strata,switch{which}")
               for name, which in (("measured", ""), ("partner", ",second"))]
        smp = 1
    return Job(STRATA, cpu, part, setup.qemu,
               lambda: hypervisor_command(setup, vms, cpu=cpu, smp=smp, name=f"{part}-{cpu}"),
               len(vms))


OWN = (native_job, strata_job)
