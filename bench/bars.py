# SPDX-License-Identifier: MIT
"""The rows that `make measure` measures, their bars, and the table that compares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Bar:
    """A limit: `value <= limit` must hold; None only informs.

    `paper`: the row of bench/paper.py that measures the same on every system.
    """

    key: str
    title: str
    limit: float | None
    paper: str = ""
    unit: str = "instructions"


ROWS = (
    Bar("hypercall_smccc_version", "hypercall: SMCCC_VERSION by HVC", 100, "hypercall"),
    Bar("gicd_iidr_read", "trapped read of GICD_IIDR", 180, "gic_trap"),
    Bar("virq_ack_eoi", "virtual IRQ: acknowledge + EOI", 2, "virq_completion"),
    Bar("vm_switch_yield", "switch between two VMs (yield)", 720, "vm_switch"),
    Bar("hypercall_psci_version", "hypercall: PSCI_VERSION", None, "hypercall_psci"),
    Bar("hypercall_unknown", "hypercall: unknown id", None),
    Bar("gicd_isenabler1_read", "trapped read of GICD_ISENABLER1", 340, "gic_trap_enable"),
    Bar("self_sgi_send", "SGI to itself, sender's trap", 360, "self_sgi"),
    Bar("vm_switch_yield_simd", "switch when both use SIMD", None),
    Bar("yield_alone", "yield with nobody else", None),
    Bar("id_register_read", "trapped ID register", 150),
    Bar("uart_fr_read", "trapped read of the PL011", None),
    Bar("cntp_ctl_read", "trapped read of CNTP_CTL_EL0", None),
    Bar("self_sgi_to_handler", "SGI to itself, to the vector", None),
    Bar("timer_expiry_to_handler", "CNTV deadline to the vector", 500),
    Bar("cntp_expiry_to_handler", "CNTP deadline to the vector", None),
    Bar("wfi_wake_up", "CNTV deadline to the end of WFI", None),
    Bar("release_page", "give a page back", 800),
    Bar("touch_released_page", "touch it again", 800),
)

BOOT_INSTRUCTIONS = Bar("boot_instructions", "Linux boot to power-off, instructions, ratio",
                        1.015, unit="ratio")
BOOT_TIME = Bar("boot_time", "Linux boot to power-off, the emulator's time, ratio",
                1.10, unit="ratio")
# A VM has to boot in few instructions however its memory is mapped: by pages, as `make run` maps
# it (page_size = "4K" in vms.toml), and by blocks. The bar of time holds for pages alone: the
# hypervisor has no say in what QEMU makes of a block.
BOOT_BLOCKS = {
    BOOT_INSTRUCTIONS: Bar("boot_instructions_2m", "by 2 MiB blocks: instructions, ratio",
                           1.015, unit="ratio"),
    BOOT_TIME: Bar("boot_time_2m", "by 2 MiB blocks: the emulator's time, ratio",
                   None, unit="ratio"),
}
# By the name that guests/linux/init-work knows. They inform: work costs what its exits cost.
WORKLOADS = {name: Bar(f"work_{name}", f"Linux {does}, instructions, ratio", None, unit="ratio")
             for name, does in (("compute", "computes: a loop of the shell"),
                                ("processes", "forks and executes 300 processes"),
                                ("memory", "fills 64 MiB of files and frees it"),
                                ("console", "prints 19,200 characters"))}
WORKLOAD_TIME = {name: Bar(f"{bar.key}_time", "the same and the boot: the emulator's time, ratio",
                           None, unit="ratio") for name, bar in WORKLOADS.items()}
# A GICv2 has list registers of another format, and one more look at memory for each access to them.
INTERRUPT = {
    3: Bar("intx_to_handler", "interrupt of an assigned device, line to the vector", 400),
    2: Bar("intx_to_handler", "the same on a GICv2", 400),
}
FAULT = Bar("dma_fault", "refused DMA to its record, and back in the guest", 1500)
FAULT_MORE = Bar("dma_fault_more", "each more that is drained with it", 200)
LINES = Bar("lines_missing", "16 devices on 4 lines: interrupts that 100,000 lack", 0,
            unit="interrupts")
STORM = Bar("storm", "work beside a VM whose 4 devices storm, ratio of time", 1.05, unit="ratio")
EXITS = Bar("exits_without_devices", "instructions more than with LAB=4, most of the rows", 0)
DISK_INSTRUCTIONS = Bar("disk_instructions", "Linux reads 256 MiB of its disk, instructions, ratio",
                        1.03, unit="ratio")
DISK_TIME = Bar("disk_time", "Linux reads 256 MiB, the emulator's time, ratio", 1.15, unit="ratio")
# Instructions of both CPUs: the emulator runs one at a time.
IPI_ROWS = (
    Bar("ipi_running", "IPI to a vCPU that runs, to its vector", 400, "ipi_running"),
    Bar("ipi_running_send", "of which the sender's trap", 215, "ipi_running_send"),
    Bar("ipi_asleep", "IPI to a vCPU in WFI, its CPU idle", 1000, "ipi_asleep"),
    Bar("ipi_asleep_send", "of which the sender's trap", None, "ipi_asleep_send"),
)
LINUX_SMP = Bar("linux_smp", "Linux boot with 4 vCPUs on 4 CPUs, instructions, ratio", 1.02,
                unit="ratio")
SMP_VMS = Bar("smp_vms_missing", "8 Linux VMs of 2 vCPUs on 4 CPUs: without userspace", 0,
              unit="VMs")
SMP_WORK = Bar("smp_work", "work of 8 VMs on 4 CPUs against 1, instructions, ratio", 1.02,
               unit="ratio")
SMP_MISSED = Bar("smp_missed", "the same: a vCPU waited for 5 ms beside a CPU that slept", 0,
                 unit="times")
# By the number of CPUs. Time charged, not instructions: the emulator gives these out unevenly.
FAIR = {
    1: Bar("fair_1", "8 busy VMs, 10 s, 1 CPU: farthest from a fair share", 0.02,
           unit="of the share"),
    4: Bar("fair_4", "the same on 4 CPUs", 0.02, unit="of the share"),
}
SMP_SPEED = Bar("smp_speed", "work of 8 VMs on 2 CPUs against 1, time without icount, ratio", 0.65,
                unit="ratio")
EL2_SIZE = Bar("el2_bytes", "EL2 text + data", 192 * 1024, unit="bytes")
TABLE_SIZE = Bar("table_bytes", "tables of a 512 MiB VM", 32 * 1024, unit="bytes")
VM_LIFE = Bar("vm_life", "a VM of 64 MiB: made, one line said, gone", 200_000)
VM_PAGES = Bar("vm_bytes", "EL2's pages of a VM that sleeps", None, unit="bytes")
VM_TABLES = Bar("vm_table_bytes", "of which tables of stage 2", None, unit="bytes")
MANY_VMS = Bar("vms_missing", "VMs of 64 MiB, all that may be, that ended badly", 0, unit="VMs")


@dataclass
class Result:
    """One measured value beside its bar."""

    bar: Bar
    machine: str
    value: float
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.bar.limit is None or self.value <= self.bar.limit

    def as_json(self) -> dict[str, Any]:
        """As the rows of bench.json are, and the bar with what it was computed from."""
        return {"name": self.bar.key, "system": "Strata", "cpu": self.machine,
                "median": self.value, "mean": self.detail.get("mean", self.value),
                "min": self.detail.get("min", self.value), "n": self.detail.get("samples", 1),
                "unit": self.bar.unit, "title": self.bar.title, "limit": self.bar.limit,
                "passed": self.passed, "detail": self.detail}


def number(value: float) -> str:
    is_whole = isinstance(value, int) or value.is_integer()
    return f"{int(value)}" if is_whole else f"{value:.4f}"


Peers = dict[str, dict[str, int]]  # of each system the medians by the paper's row


def print_table(results: list[Result], peers: Peers) -> None:
    """One line for each quantity, one column for each machine and each peer."""
    machines = list(dict.fromkeys(r.machine for r in results))
    bars = list(dict.fromkeys(r.bar for r in results))
    table = Table(title="Strata: costs (median; instructions under -icount shift=0, 1 GHz counter)")
    table.add_column("", no_wrap=True)
    for header in (*(machine.removeprefix("cortex-") for machine in machines), "reach", *peers):
        table.add_column(header, justify="right", no_wrap=True)
    for bar in bars:
        cells = []
        for machine in machines:
            found = [r for r in results if r.bar == bar and r.machine == machine]
            if not found:
                cells.append("")
            else:
                text = number(found[0].value)
                cells.append(text if found[0].passed else f"[bold red]{text} ![/]")
        limit = "" if bar.limit is None else f"<= {number(bar.limit)}"
        table.add_row(bar.title, *cells, limit,
                      *(str(theirs.get(bar.paper, "")) for theirs in peers.values()))
    Console(width=max(140, Console().width)).print(table)
