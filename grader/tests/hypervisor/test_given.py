# SPDX-License-Identifier: MIT
"""What a lab gives and no exercise asks for: vCPUs on several CPUs, how VMs end and start again,
the GICv2's driver, barriers of the world switch and of the GIC."""

from __future__ import annotations

import pytest

from grader.conftest import WHOLE, MakeLab
from grader.machine.machine import EL2_ONLY
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import findings
from grader.oracle.calls import Bench
from grader.oracle.decode.list_register import ListRegister
from grader.oracle.objects import Objects
from grader.oracle.probe import ProbeVm
from grader.tests.lab03.test_lab03_barriers import RETURN
from grader.tests.lab03.test_lab03_steps import (GICD, IGROUPR, ISACTIVER, ISENABLER, ISPENDR,
                                                 claimed, stage_of)
from grader.tests.lab04.test_lab04 import BUDGET, MASK64, VM_RUNNING, VM_STOPPED, in_guest, runs_on

RESAMPLED = 40
LAB = 3  # whose image has what is looked for in the disassembly
GICC_APR0, GICC_NSAPR0 = 0x0801_00D0, 0x0801_00E0


@pytest.mark.parametrize("failing", range(5))
def test_a_vm_that_cannot_be_built_again_ends_alone(make_lab: MakeLab, failing: int) -> None:
    """Each allocation of the VM's second life fails once, as when other VMs have all memory."""
    machine = in_guest(make_lab(4), "hostile_spin", "hostile_reset")
    objects = Objects(machine)
    pages = machine.symbols["free_page_count"]
    machine.run_to("*paged_create", EL2_ONLY, budget=BUDGET)
    free = machine.memory.u64(pages)
    for _ in range(failing + 1):
        machine.run_to("*page_alloc_zeroed", EL2_ONLY)
    machine.gdb.set_core_registers({"x0": MASK64, "pc": machine.register("x30")})
    expect_that("the machine runs on", runs_on(machine, 30_000_000))
    expect("state of VM 1", objects.vm(1).get("state"), VM_STOPPED)
    expect("its reason", objects.vm(1).text("stop_reason"), "no memory to start again")
    expect("state of VM 0", objects.vm(0).get("state"), VM_RUNNING)
    expect("nothing of VM 1 is left: free pages", machine.memory.u64(pages), free)


def test_gicv2_is_set_up_whatever_firmware_left(make_lab: MakeLab) -> None:
    bench = Bench.at(make_lab(3, 2).start("gic_enable"), 3, "init")
    for offset in (IGROUPR, ISENABLER, ISACTIVER, ISPENDR):
        for word in (0, 1):
            bench.store32(GICD + offset + 4 * word, 0x3000_0000)
    bench.store32(GICD + 0xF20, 0x0101_0101)  # GICD_SPENDSGIR0: SGIs 0 to 3
    for at in (GICC_APR0, GICC_NSAPR0):
        bench.store32(at, 1 << 4)  # an interrupt at 0x20 was acknowledged and not completed
    bench = bench.go_on(3, "vm_create")
    read = bench.device32
    for word in (0, 1):
        at = GICD + 4 * word
        expect(f"GICD_IGROUPR{word}: Group 0", read(at + IGROUPR), 0)
        expect(f"GICD_ISENABLER{word}: what the registry claims", read(at + ISENABLER) & ~0xFFFF,
               claimed(bench, word) & ~0xFFFF)
        expect(f"GICD_ISACTIVER{word}", read(at + ISACTIVER), 0)
        expect(f"GICD_ISPENDR{word}", read(at + ISPENDR) & 0x3000_FFFF, 0)
    expect("GICC_APR0, GICC_NSAPR0: no priority is active", [read(GICC_APR0), read(GICC_NSAPR0)],
           [0, 0])


@pytest.mark.parametrize(("version", "iar"), [(3, r"mrs x\d+, icc_iar1_el1"), (2, r"ldr w")])
def test_interrupt_is_acknowledged_before_its_handler_touches_a_device(
        version: int, iar: str) -> None:
    expect("a DSB follows the read of IAR",
           findings(LAB, iar, ("dsb",), RETURN, f"gic_v{version}_acknowledge", first=True), [])


@pytest.mark.parametrize(("version", "eoir"), [(3, r"msr icc_eoir1_el1"), (2, r"str w")])
def test_handler_is_done_with_its_device_before_the_priority_drops(version: int, eoir: str) -> None:
    expect("a DSB stands before the write of EOIR",
           findings(LAB, "dsb", (eoir,), RETURN, f"gic_v{version}_end", first=True), [])


def test_priority_has_dropped_before_the_interrupt_is_deactivated() -> None:
    expect("an ISB follows ICC_EOIR1_EL1",
           findings(LAB, r"msr icc_eoir1_el1", ("isb",), rf"msr icc_dir|{RETURN}"), [])


def test_reason_of_a_maintenance_interrupt_is_gone_before_the_next_is_asked_for() -> None:
    expect("an ISB follows ICH_HCR_EL2",
           findings(LAB, r"msr ich_hcr_el2", ("isb",), RETURN), [])


def test_sgi_is_sent_behind_what_was_written() -> None:
    expect("a DSB stands before ICC_SGI1R_EL1",
           findings(LAB, "dsb", (r"msr icc_sgi1r",), RETURN, "gic_v3_send_sgi", first=True), [])
    expect("a DSB stands before GICD_SGIR",
           findings(LAB, "dsb", (r"str w",), RETURN, "gic_v2_send_sgi", first=True), [])


# Of a CPU that has not started there is a queue, and nothing else: enough to see who goes where.

OFF, RUNNABLE, RUNNING, BLOCKED = range(4)
STOPPED = 1 << 2  # REQ_STOP
EBUSY, ECANCELED = 16, 125


def two_cpus(make_lab: MakeLab) -> tuple[Bench, Objects, int]:
    """Before the first entry; VM 0 has the only vCPU in the queue of CPU 0."""
    bench = Bench.at_first_entry(make_lab(1).start("hypercalls"), seed=1)
    return bench, bench.objects, bench.objects.cpu(1).address


def test_a_vcpu_that_is_about_to_be_loaded_is_asked_to_leave(make_lab: MakeLab) -> None:
    """CPU 1 took the vCPU off its queue and has not loaded it yet."""
    bench, objects, other = two_cpus(make_lab)
    vcpu = objects.vm(0).vcpu(0)
    bench.put(vcpu, cpu=other, state=RUNNING, requests=0)
    bench.call("vm_request_reset", objects.vm(0).address)
    expect("it is not OFF before it has been there", vcpu.get("state"), RUNNING)
    expect("it will look before its first instruction", vcpu.get("requests") & STOPPED, STOPPED)


def test_a_sleeping_vcpu_that_is_loaded_comes_back_to_leave(make_lab: MakeLab) -> None:
    bench, objects, other = two_cpus(make_lab)
    vcpu = objects.vm(0).vcpu(0)
    bench.put(objects.cpu(1), vcpu=vcpu.address)
    bench.put(vcpu, cpu=other, state=BLOCKED, requests=0)
    bench.call("vm_request_reset", objects.vm(0).address)
    expect("it is on its CPU's queue", (vcpu.get("state"), objects.cpu(1).get("runnable_count")),
           (RUNNABLE, 1))
    expect("to leave for good", vcpu.get("requests") & STOPPED, STOPPED)


def test_a_vcpu_wakes_on_the_queue_of_its_cpu(make_lab: MakeLab) -> None:
    bench, objects, other = two_cpus(make_lab)
    vcpu = objects.vm(0).vcpu(0)
    before = objects.cpu(0).get("runnable_count")
    bench.put(vcpu, cpu=other, state=BLOCKED)
    bench.call("vcpu_wake", vcpu.address)
    expect("state", vcpu.get("state"), RUNNABLE)
    counts = objects.cpu(0).get("runnable_count"), objects.cpu(1).get("runnable_count")
    expect("vCPUs on the queues of CPU 0 and CPU 1", counts, (before, 1))
    bench.call("vcpu_wake", vcpu.address)
    expect("and only once", objects.cpu(1).get("runnable_count"), 1)


def test_a_vcpu_is_not_started_twice_nor_while_its_vm_ends(make_lab: MakeLab) -> None:
    bench, objects, other = two_cpus(make_lab)
    vcpu = objects.vm(0).vcpu(0)

    def start() -> int:
        return -(bench.call("vcpu_start", vcpu.address, 0x1234, 5) | ~0xFFFF_FFFF) & 0xFFFF_FFFF

    bench.put(vcpu, cpu=other, state=OFF)
    expect("vcpu_start() of one that is OFF: error",
           bench.call("vcpu_start", vcpu.address, 0x1234, 5), 0)
    expect("its entry point and x0", (vcpu.get("frame.pc"), vcpu.get("frame.x[0]")), (0x1234, 5))
    expect("vcpu_start() of one that is on: error", start(), EBUSY)
    bench.call("vm_request_reset", objects.vm(0).address)
    expect("the VM has no vCPU left", vcpu.get("state"), OFF)
    expect("vcpu_start() in a VM that is reset: error", start(), ECANCELED)


def test_an_sgi_arrives_at_its_cpu(make_lab: MakeLab) -> None:
    """CPU 0 sends itself the SGI while interrupts are masked: it is pending in GICR_ISPENDR0."""
    bench = Bench.at_first_entry(make_lab(3).start("hypercalls"), seed=1)
    before = bench.device32(0x080B_0200)
    bench.call("gic_send_sgi", 9, bench.cpu.address)
    expect("SGI 9 is pending", bench.device32(0x080B_0200), before | 1 << 9)


@pytest.mark.parametrize(("barriers", "read"),
                         [(("esb",), "disr_el1"), (("dsb", "isb"), "isr_el1")],
                         ids=["ras", "no-ras"])
def test_errors_of_the_guest_that_leaves_have_arrived_before_they_are_looked_for(
        barriers: tuple[str, ...], read: str) -> None:
    """Arm ARM, "Error synchronization event"; without FEAT_RAS a DSB completes what may fail."""
    expect(f"{' and '.join(barriers).upper()} before {read.upper()} is read",
           findings(LAB, barriers[0], barriers[1:], rf"mrs x\d+, {read}", "world_save", first=True),
           [])


@pytest.mark.parametrize("line", [1, 0])
def test_a_device_that_its_handler_makes_quiet_is_asked_once(make_lab: MakeLab, line: int) -> None:
    """List registers are filled anew while the handler runs and has not reached the device yet.
    Pending beside active would come after its EOI; its EOI asks for the line's level instead."""
    stage = stage_of(make_lab(3))
    bench = stage.bench
    stage.load()
    irq = stage.pend(RESAMPLED, edge=0, pending_latch=0, line_level=1, active=1)
    bench.put(irq, resample=bench.nowhere)
    stage.line_up(irq)
    bench.call("vgic_flush", stage.vcpus[0].address)
    active = ListRegister.make(RESAMPLED, state=2, priority=0xA0, eoi=True)
    expect("LR0: active, and EOI", stage.vcpus[0].get("vgic.lr[0]"), active.value, ListRegister)
    completed = ListRegister.make(RESAMPLED, state=0, priority=0xA0, eoi=True)
    bench.ask(stage.gic.get("write_lr"), 0, completed.value)
    bench.put(irq, changed=1)  # else its list register would be left alone
    bench.call("vgic_flush", stage.vcpus[0].address, stubs={bench.nowhere: line})
    expect("it has been completed, and its line is asked for: LR0",
           ListRegister(stage.vcpus[0].get("vgic.lr[0]")).state, line)


def test_the_distributor_is_looked_for_first(make_lab: MakeLab, gic: int) -> None:
    """A guest's access finds its device one region after the other, and uses this one most."""
    machine = in_guest(make_lab(WHOLE, gic), "gic_enable")
    expect("base of the first region", Objects(machine).vm(0).get("stage2.regions[0].base"), GICD)


def test_a_cpu_between_two_vcpus_is_no_idle_one(make_lab: MakeLab) -> None:
    """Time slices of all CPUs end at the same time, so CPU 0 may look at CPU 1 in the middle of its
    switch: one of its vCPUs is still loaded and waits again, the other one is not loaded yet."""
    machine = make_lab(WHOLE).start(ProbeVm("hypercalls", cpus=3), smp=2)
    bench = Bench.at_first_entry(machine, seed=1)
    vcpus = [bench.objects.vm(0).vcpu(index) for index in range(3)]
    cpus = [bench.objects.cpu(index) for index in range(2)]
    given: list[int] = []

    def migrate(_: int, to: int, *__: int) -> int:
        given.append(to)
        return 1

    with machine.alone(0):
        bench.call("vcpu_make_runnable", vcpus[1].address,
                   stubs={"balance_place": cpus[0].address, "smp_kick": 0})
        bench.put(cpus[0], slice_end=1)
        bench.put(vcpus[2], state=RUNNABLE)
        for loaded, waiting, what, wanted in (
                (vcpus[2].address, 1, "which is between two vCPUs", list[int]()),
                (0, 0, "which has none", [cpus[1].address])):
            bench.put(cpus[1], vcpu=loaded, runnable_count=waiting)
            bench.call("balance_load", vcpus[0].address,
                       stubs={"smp_kick": 0, "vcpu_migrate": migrate})
            expect(f"CPUs that get what waits on CPU 0 beside CPU 1, {what}", given, wanted)
