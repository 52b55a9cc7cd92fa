# SPDX-License-Identifier: MIT
"""What a VM costs EL2 beside its exits: to make it and to clear it up, and the memory meanwhile."""

from __future__ import annotations

from bench.bars import VM_LIFE, VM_PAGES, VM_TABLES, Result
from bench.memory import Memory, Variables
from bench.run import Setup, hypervisor_command, plugin_arguments, run_hypervisor, run_until
from bench.systems import END
from tools.bundle import machine_memory_for
from tools.vms import KIB, MIB, VmConfig

CPU = "cortex-a76"
FEW, MANY = 2, 12
PAGE = 4 * KIB


def life(setup: Setup) -> Result:
    """Instructions that each VM more takes, from the bundle to the last page that comes back.

    The guest prints one line and powers itself off; its image, which is copied, is one page.
    """
    extra = plugin_arguments(setup)
    few, many = (run_hypervisor(setup, [VmConfig(f"vm{i}", 64 * MIB, setup.guest("hello"),
                                                 page_size=PAGE) for i in range(count)],
                                cpu=CPU, extra=extra).retired for count in (FEW, MANY))
    return Result(VM_LIFE, f"{CPU} v3", round((many - few) / (MANY - FEW)),
                  {str(FEW): few, str(MANY): many})


def memory(setup: Setup) -> list[Result]:
    """EL2's own pages, the guests' RAM left out, that each VM more takes while it sleeps."""
    variables = Variables(setup.image.with_suffix(".elf"))
    own, tables = {}, {}
    for count in (FEW, MANY):
        vms = [VmConfig(f"vm{i}", 64 * MIB, setup.guest("payload"), page_size=PAGE,
                        cmdline=f"bench=strata,{'sleep' if i else 'alone'}") for i in range(count)]
        with Memory(machine_memory_for(vms)) as ram:
            run_until(hypervisor_command(setup, vms, cpu=CPU, name=f"memory-{count}",
                                         extra=ram.arguments()), END, 1)
            mapped = sum(stage2(ram, variables, index, "mapped_bytes") for index in range(count))
            start, end, free = (ram.number(variables.address(name), 8)
                                for name in ("range_start", "range_end", "free_page_count"))
            own[count] = end - start - free * PAGE - mapped
            tables[count] = sum(stage2(ram, variables, i, "table_bytes") for i in range(count))
    return [Result(bar, f"{CPU} v3", round((of[MANY] - of[FEW]) / (MANY - FEW)),
                   {str(count): value for count, value in of.items()})
            for bar, of in ((VM_PAGES, own), (VM_TABLES, tables))]


def stage2(ram: Memory, variables: Variables, index: int, member: str) -> int:
    """A number of the table of the VM with this index."""
    vm = ram.number(variables.address("vms") + 8 * index, 8)
    at = (("vm", "stage2"), ("stage2", "table"), ("pgtable", member))
    return ram.number(vm + sum(variables.offset(*one) for one in at), 8)
