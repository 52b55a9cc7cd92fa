# SPDX-License-Identifier: MIT
"""Lab 5: what a VM sees of its devices, whose interrupts it gets, and what a neighbour pays for a
storm."""

from __future__ import annotations

import pytest

from grader.conftest import Lab, on_gics
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine
from grader.machine.verdict import expect, expect_that
from grader.oracle import crash, dma
from grader.oracle.address_space import leaves_of
from grader.oracle.decode.smmu import positions
from grader.oracle.dma import Smmu
from grader.oracle.objects import Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm
from grader.oracle.witness import Witness
from tools.vms import DeviceConfig

LAB = 5
BUDGET = 1_000_000_000
FIRST, SECOND = "00:02.0", "00:06.0"  # both on INTID 37
STREAM = 0x10
EDU = (DeviceConfig(FIRST, "edu"), DeviceConfig(SECOND, "edu"))
BAR_WINDOW = range(0x1000_0000, 0x3EFF_0000)
ECAM = 0x40_1000_0000
CR0_CMDQEN = 1 << 3

ALONE = ["pci_edu", "hostile_pci"]
ON_GICV2 = ["pci_edu"]


def some(count: int, first: int = 2) -> tuple[str, ...]:
    """Addresses of so many devices."""
    return tuple(f"00:{slot:02x}.0" for slot in range(first, first + count))


def edus(*addresses: str) -> tuple[DeviceConfig, ...]:
    return tuple(DeviceConfig(address, "edu") for address in addresses)


def in_guest(lab: Lab, *vms: ProbeVm, devices: tuple[DeviceConfig, ...] = EDU) -> Machine:
    """The machine at the first instruction of VM 0."""
    machine = lab.start(*vms, devices=devices)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    return machine


# ---- 5.1 -----------------------------------------------------------------------------------------


def test_order_of_the_enables(lab: Lab) -> None:
    """At the first command the SMMU takes commands and does nothing else; then its caches are
    emptied."""
    machine = lab.start("hypercalls", devices=EDU)
    machine.run_to("*smmu_issue", EL2_ONLY)
    smmu = Smmu(machine)
    expect("CR0ACK at the first command: the command queue alone",
           smmu.register(dma.CR0ACK), CR0_CMDQEN)
    expect("interrupts come later: IRQ_CTRL", smmu.register(dma.IRQ_CTRL), 0)
    expect("both queues are known: their sizes",
           (smmu.commands.log2_count > 0, smmu.events.log2_count > 0), (True, True))
    expect_that("and the stream table", smmu.stream_count >= 256)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    names = [command.name for command in smmu.commands_since(0)]
    expect("commands of the start: STEs, then translations, then all is complete", names[:3],
           ["CFGI_STE_RANGE", "TLBI_NSNH_ALL", "SYNC"])


# ---- 5.4 -----------------------------------------------------------------------------------------


def test_events_of_a_device_are_its_former_owners(lab: Lab) -> None:
    """What is in the queue when a device is taken back is charged to who had it."""
    machine = in_guest(lab, ProbeVm("dma_edu", devices=(FIRST,)), devices=EDU[:1])
    smmu, vm = Smmu(machine), Objects(machine).vm(0)
    first = smmu.events.prod
    machine.run_to("*smmu_detach_stream", EL2_ONLY, budget=BUDGET)
    machine.finish()
    queue = smmu.events
    expect_that("the event queue is empty", queue.is_empty)
    records = len(positions(queue.prod, first, queue.log2_count))
    expect("the VM is charged with all its records", vm.get("dma.event_count"), records)
    expect_that("there were some", records > 0)


def test_a_vm_that_resets_gets_its_device_as_new(lab: Lab, gic: int) -> None:
    """Its device asks for an interrupt when it ends; in the next life the line is quiet."""
    machine, _ = lab.probe(ProbeVm("pci_reset", devices=(FIRST,)), devices=EDU[:1], budget=BUDGET)
    expect("the VM was reset", Objects(machine).vm(0).get("reset_count"), 1)


# ---- 5.5 -----------------------------------------------------------------------------------------


def test_a_storm_costs_the_neighbour_little(lab: Lab) -> None:
    """Eight devices of VM 0 go where they may not; VM 1 checks its memory and its share."""
    addresses = some(8)
    machine, _ = lab.probe(
        ProbeVm("dma_storm", name="hostile", devices=addresses),
        ProbeVm("victim", name="victim"),
        devices=edus(*addresses),
        budget=BUDGET,
    )
    expect_that("EL2 lives", crash.read(machine) is None, crash.read(machine))
    charged = [vm.get("dma.event_count") for vm in Objects(machine).vms()]
    expect_that("VM 0 is charged", charged[0] > 64, charged)
    expect("VM 1 is not", charged[1], 0)


# ---- 5.6 -----------------------------------------------------------------------------------------


@pytest.mark.seed_of_its_own
def test_interrupts_of_one_line_reach_their_owners(lab: Lab, gic: int) -> None:
    """Two VMs with two devices each, and all four on two lines."""
    mine, others = (some(2, 2), some(2, 6))
    vms = (ProbeVm("pci_lines", devices=mine), ProbeVm("pci_lines", devices=others))
    lab.probe(*vms, devices=edus(*mine, *others), budget=BUDGET)


@pytest.mark.seed_of_its_own
def test_a_device_that_asks_for_ever_harms_its_owner_alone(lab: Lab, gic: int) -> None:
    """VM 0 never makes its device quiet; VM 1 has one on the same line."""
    vms = (
        ProbeVm("hostile_intx", name="hostile", devices=(FIRST,), reports=False),
        ProbeVm("pci_edu", name="neighbour", devices=(SECOND,)),
    )
    machine, _ = lab.probe(*vms, devices=EDU, budget=BUDGET)
    expect_flood(machine)


def expect_flood(machine: Machine) -> None:
    """VM 0 has seen an interrupt since it began to ask, and EL2 lives."""
    told = [entry.number for entry in Witness(machine.budget.shared).entries(0) if entry.passed]
    expect_that("VM 0 says that it is being flooded", 2 in told, f"its reports: {told}")
    expect_that("EL2 lives", crash.read(machine) is None, crash.read(machine))


def test_the_neighbour_of_a_flood_keeps_its_share(lab: Lab) -> None:
    addresses = some(4)
    vms = (
        ProbeVm("hostile_intx", name="hostile", devices=addresses, reports=False),
        ProbeVm("victim", name="victim"),
    )
    machine, _ = lab.probe(*vms, devices=edus(*addresses), budget=BUDGET)
    expect_flood(machine)


# ---- 5.7 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gic", "probe"), on_gics(ALONE, ON_GICV2), indirect=["gic"])
def test_a_guest_sees_its_device_and_nothing_else(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(ProbeVm(probe, devices=(FIRST,)), devices=EDU, budget=BUDGET)


def test_registers_of_a_device_are_mapped_for_its_owner_alone(lab: Lab) -> None:
    vms = (ProbeVm("pci_edu", devices=(FIRST,)), ProbeVm("pci_edu", devices=(SECOND,)))
    machine = in_guest(lab, *vms)
    seen = []
    for vm in Objects(machine).vms():
        leaves = [(walk, leaf) for walk, leaf in leaves_of(machine, vm) if walk.input in BAR_WINDOW]
        expect("1 MiB of registers, as edu has", sum(walk.size for walk, _ in leaves), 1 << 20)
        for walk, leaf in leaves:
            expect("one to one", walk.output, walk.input)
            expect_that("as device memory, not to be executed",
                        leaf.is_device and not leaf.executable, leaf)
        seen.append({walk.output for walk, _ in leaves})
    expect("no register is both VMs'", seen[0] & seen[1], set())


def test_a_device_is_a_bus_master_only_while_it_is_attached(lab: Lab) -> None:
    """By its configuration space in the machine: when the guest has asked for it, and when its VM
    has ended."""
    machine = in_guest(lab, ProbeVm("dma_edu", devices=(FIRST,)), devices=EDU[:1])

    def command() -> int:
        return int(machine.qmp.hmp(f"xp /1wx {ECAM + (STREAM << 12) + 4:#x}").split()[-1],
                   16) & 0x406

    expect("the guest has asked for nothing yet: command", command(), 0)
    machine.run_to("*smmu_detach_stream", EL2_ONLY, budget=BUDGET)
    expect("taken back: INTx disabled and nothing else", command(), 0x400)
