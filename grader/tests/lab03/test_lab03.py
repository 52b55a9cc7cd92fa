# SPDX-License-Identifier: MIT
"""Lab 3: virtual interrupts, list registers and their overflow, the distributor's registers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.conftest import Lab, MakeLab
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine, StopKind
from grader.machine.symbols import symbols_of
from grader.machine.verdict import Verdict, expect, expect_that
from grader.oracle import address_space as space
from grader.oracle.decode import el2_registers as el2
from grader.oracle.decode.list_register import ListRegister, ich_hcr
from grader.oracle.objects import Object, Objects
from grader.oracle.probe import (LOAD_OFFSET, RAM_BASE, ProbeVm, finish_probes, judge,
                                 watch_probes)

LAB = 3
GICD = 0x0800_0000
LR_COUNT = 4  # of QEMU's GIC, both versions
NO_LR = 0xFF
LEAST_INTERRUPTS = 5
INTID_MAINTENANCE = 25
UIE, NPIE = 1 << 1, 1 << 3

ALONE = [
    "gic_enable",
    "gic_groups",
    "gic_level",
    "gic_nesting",
    "gic_no_trap",
    "gic_priority",
    "gic_registers",
    "gic_sgi",
]
IN_PAIRS = ["gic_two_vms", "gic_nesting", "gic_priority", "gic_level", "gic_sgi"]


@pytest.mark.parametrize("probe", ALONE)
def test_a_guest_sees_the_architecture(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(probe)


def test_guests_that_take_no_interrupt_run_as_before(lab: Lab, gic: int) -> None:
    lab.probe("hypercalls")


@pytest.mark.parametrize("probe", IN_PAIRS)
def test_two_guests_do_not_disturb_each_other(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(ProbeVm(probe), ProbeVm(probe))


@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
def test_older_and_newer_cpus(lab: Lab, cpu: str) -> None:
    lab.probe("gic_priority", cpu=cpu)


# What GDB sees.


def in_guest(lab: Lab, *vms: ProbeVm | str) -> Machine:
    """The machine at the first instruction of VM 0."""
    machine = lab.start(*vms)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    return machine


def interrupts_taken(machine: Machine, count: int) -> Iterator[Object]:
    """Stops at the guest's IRQ vector; yields the vCPU that takes the interrupt."""
    guest = machine.guests[0]
    vector = guest.load_address + symbols_of(guest.elf)["guest_vectors"] + 0x280
    objects = Objects(machine)
    with machine.breakpoint(vector, EL1_ONLY):
        for number in range(count):
            stop = machine.run()
            if stop.kind is StopKind.POWER_OFF and number >= LEAST_INTERRUPTS:
                return
            if stop.kind is not StopKind.BREAKPOINT:
                raise machine.finding_for(stop, "the guest takes interrupts")
            vcpu = objects.loaded_vcpu()
            assert vcpu is not None
            yield vcpu


def list_registers(vcpu: Object) -> list[ListRegister]:
    """Those that the hypervisor filled."""
    used = vcpu.get("vgic.lr_used")
    return [ListRegister(vcpu.get(f"vgic.lr[{i}]")) for i in range(16) if used >> i & 1]


def interrupts_of(vcpu: Object) -> list[Object]:
    """Every struct vgic_irq that the vCPU can be interrupted by."""
    objects = vcpu.objects
    offset, _ = objects.member("struct vcpu", "vgic.private_irqs")
    size = objects.machine.layout("sizeof(struct vgic_irq)")
    found = [Object(objects, "struct vgic_irq", vcpu.address + offset + size * i)
             for i in range(32)]
    vm = vcpu.pointer("vm", "struct vm")
    assert vm is not None
    spis = vm.get("vgic.spis")
    return found + [Object(objects, "struct vgic_irq", spis + size * i) for i in range(224)]


def word(machine: Machine, address: int) -> int:
    """A device's register, as the machine itself has it."""
    return int(machine.qmp.hmp(f"xp /1xw {address:#x}").split()[-1], 16)


def test_interrupts_are_routed_to_el2_and_the_controller_is_its_own(lab: Lab) -> None:
    machine = in_guest(lab, "gic_enable")
    hcr = machine.register("HCR_EL2")
    expect_that(
        "IMO and FMO give the guest virtual interrupts",
        el2.hcr_has(hcr, "IMO", "FMO"),
        el2.hcr(hcr),
    )
    expect("the physical distributor is on for EL2: GICD_CTLR has ARE and EnableGrp1",
           word(machine, GICD) & 0x12, 0x12)
    expect("and lets the UART's interrupt through: GICD_ISENABLER1", word(machine, GICD + 0x104)
           >> 1 & 1, 1)
    machine.run_to(machine.pc + 4, EL1_ONLY)
    devices = [
        str(a) for a in space.reach_of(machine, Objects(machine).vm(0)) if a.start < RAM_BASE
    ]
    expect("stage 2 maps no device", devices, [])


def test_gicv2_guests_find_the_virtual_interface_where_theirs_would_be(make_lab: MakeLab) -> None:
    """GICV (0x08040000) appears at the guest's GICC (0x08010000); nothing else does."""
    machine = in_guest(make_lab(LAB, 2), "gic_enable", "gic_enable")
    machine.run_to(machine.pc + 4, EL1_ONLY)
    for vm in Objects(machine).vms():
        table = space.stage2_of(machine, vm)
        expect("GICC leads to GICV", table.walk(0x0801_0000).output, 0x0804_0000)
        devices = [(w, leaf) for w, leaf in table.leaves() if (w.output or 0) < RAM_BASE]
        for walk, leaf in devices:
            expect_that(f"{walk} is the first page of GICV; the second, with GICV_DIR alone, stays "
                        "away, since it cannot deactivate what is in no list register",
                        (walk.output, walk.input) == (0x0804_0000, 0x0801_0000), walk)
            expect_that(f"{walk} is device memory", leaf.is_device, leaf)
            expect_that(f"{walk} is not executable", not leaf.executable, leaf)


def test_what_a_guest_makes_pending_is_in_a_list_register(lab: Lab) -> None:
    """Its first interrupt: nothing has been acknowledged, so that no fold has changed anything."""
    machine = in_guest(lab, "gic_enable")
    guest = machine.guests[0]
    acknowledge = guest.load_address + symbols_of(guest.elf)["gic_ack"]
    with machine.breakpoint(acknowledge, EL1_ONLY):
        for _ in range(2):  # the first time the interrupt is disabled
            stop = machine.run()
            if stop.kind is not StopKind.BREAKPOINT:
                raise machine.finding_for(stop, "the guest acknowledges its first interrupt")
    vcpu = Objects(machine).loaded_vcpu()
    assert vcpu is not None
    spi = interrupts_of(vcpu)[40]
    wanted = ListRegister.make(40, priority=spi.get("priority"))
    expect("list registers when the guest is about to acknowledge INTID 40, which it has made "
           "pending and enabled", [str(lr) for lr in list_registers(vcpu)], [str(wanted)])
    expect("INTID 40 knows its list register", spi.get("lr"), 0)


@pytest.mark.parametrize("probe", ["gic_priority", "gic_nesting"])
def test_no_interrupt_is_in_two_list_registers(lab: Lab, gic: int, probe: str) -> None:
    """IHI 0069, "ICH_LR<n>_EL2": two with one vINTID are UNPREDICTABLE."""
    machine = in_guest(lab, probe)
    for vcpu in interrupts_taken(machine, 30):
        lrs = [lr for lr in list_registers(vcpu) if lr.state]
        intids = [lr.vintid for lr in lrs]
        expect("each vINTID is in one list register", sorted(intids), sorted(set(intids)))


def test_list_registers_hold_the_most_urgent(lab: Lab, gic: int) -> None:
    """Whatever waits in memory is not more urgent than what is pending in a list register."""
    machine = in_guest(lab, "gic_priority")
    overflowed = 0
    for vcpu in interrupts_taken(machine, 12):
        irqs = interrupts_of(vcpu)
        waiting = [
            (irq.get("priority"), irq.get("intid"))
            for irq in irqs
            if irq.get("enabled") and irq.get("pending_latch") and irq.get("lr") == NO_LR
        ]
        cached = [lr for lr in list_registers(vcpu) if lr.state]
        if not waiting:
            continue
        overflowed += 1
        expect_that(
            "every list register is in use", len(cached) == LR_COUNT, [str(lr) for lr in cached]
        )
        pending = [lr.priority for lr in cached if lr.pending]
        expect_that(
            "the least urgent in a list register is at least as urgent as the first that waits",
            not pending or max(pending) <= min(waiting)[0],
            f"in list registers {[str(lr) for lr in cached]}, waiting {sorted(waiting)[:3]}",
        )
        hcr = vcpu.get("vgic.hcr")
        expect_that(
            "a maintenance interrupt will call for the rest", bool(hcr & (UIE | NPIE)), ich_hcr(hcr)
        )
    expect_that("the probe had more pending than list registers", overflowed > 0)


def test_list_registers_agree_with_memory(lab: Lab, gic: int) -> None:
    machine = in_guest(lab, "gic_priority")
    for vcpu in interrupts_taken(machine, 6):
        irqs = {irq.get("intid"): irq for irq in interrupts_of(vcpu)}
        for lr in list_registers(vcpu):
            if not lr.state:
                continue
            irq = irqs[lr.vintid]
            expect_that(
                f"INTID {lr.vintid} knows its list register", irq.get("lr") != NO_LR, str(lr)
            )
            expect(f"INTID {lr.vintid}: priority", lr.priority, irq.get("priority") & 0xF8)
            expect(f"INTID {lr.vintid}: group", lr.group, irq.get("group1"))
            expect(f"INTID {lr.vintid}: no physical interrupt behind it", lr.hardware, False)


def maintenance_handler(machine: Machine) -> int:
    """Address of the function that the image registered for INTID 25."""
    for entry in Objects(machine).registry("irq_entry", "registry_irqs"):
        if entry.get("intid") == INTID_MAINTENANCE:
            return entry.get("handler")
    raise machine.finding(Verdict.FAIL, "a handler is registered for INTID 25")


@pytest.mark.parametrize(("probe", "most"), [("gic_nesting", 200), ("gic_enable", 40)])
def test_maintenance_interrupts_come_when_there_is_work(
    lab: Lab, gic: int, probe: str, most: int
) -> None:
    """A condition that stays true would interrupt again at once, for ever. The probe is right, too:
    where no interrupts are delivered there is nothing to maintain."""
    vms = [ProbeVm(probe)]
    machine = lab.start(*vms)
    witness = watch_probes(machine, vms, LAB)
    storms = 0
    with machine.breakpoint(maintenance_handler(machine), EL2_ONLY):
        while (stop := machine.run()).kind is StopKind.BREAKPOINT:
            storms += 1
            expect_that(f"at most {most} maintenance interrupts", storms <= most, storms)
    judge(machine, finish_probes(machine, vms, witness, stop))
