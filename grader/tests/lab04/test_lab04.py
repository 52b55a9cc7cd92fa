# SPDX-License-Identifier: MIT
"""Lab 4: timers of running and sleeping vCPUs, WFI, time slices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.conftest import Lab, on_gics
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine, StopKind
from grader.machine.verdict import expect, expect_that
from grader.oracle.calls import Bench
from grader.oracle.decode import el2_registers as el2
from grader.oracle.decode.timer import timer_state
from grader.oracle.objects import Object, Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm

LAB = 4
BUDGET = 600_000_000
ENABLE, IMASK = 1, 2
CPU_SUSPEND, SYSTEM_RESET = 0xC400_0001, 0x8400_0009
MASK64 = (1 << 64) - 1
VM_RUNNING, VM_STOPPED = 0, 2
INTID_CNTV = 27
# ISACTIVER0 of the physical GIC: in the redistributor's SGI frame, or in the distributor.
ISACTIVER0 = {3: 0x080B_0300, 2: 0x0800_0300}

ALONE = [
    "counter",
    "timer_virtual",
    "timer_physical",
    "timer_el0",
    "wfi",
    "psci_suspend",
    "psci_reset",
    "hypercalls",
]
ON_GICV2 = ["timer_physical"]
IN_PAIRS = [
    "timer_two_vms",
    "timer_active_switch",
    "gic_foreign_active",
    "timer_orphan",
    "timer_virtual",
    "timer_physical",
    "counter",
    "wfi",
    "sched_fair",
    "gic_two_vms",
    "world_switch_el1",
    "world_switch_fp",
    "registers_preserved",
    "memory_reuse",
]
IN_PAIRS_ON_GICV2 = ["timer_active_switch", "gic_foreign_active", "timer_physical"]


@pytest.mark.parametrize(("gic", "probe"), on_gics(ALONE, ON_GICV2), indirect=["gic"])
def test_a_guest_sees_the_architecture(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(probe, budget=BUDGET)


@pytest.mark.parametrize(("gic", "probe"), on_gics(IN_PAIRS, IN_PAIRS_ON_GICV2), indirect=["gic"])
def test_two_guests_do_not_disturb_each_other(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(ProbeVm(probe), ProbeVm(probe), budget=BUDGET)


@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
@pytest.mark.parametrize("probe", ["timer_virtual", "timer_el0"])
def test_older_and_newer_cpus(lab: Lab, cpu: str, probe: str) -> None:
    lab.probe(probe, cpu=cpu, budget=BUDGET)


# What GDB sees.


def in_guest(lab: Lab, *vms: ProbeVm | str) -> Machine:
    """The machine at the first instruction of VM 0."""
    machine = lab.start(*vms)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    return machine


def runs_on(machine: Machine, instructions: int) -> bool:
    """Go on for so long; whether the machine still runs then. It may end, but in good order."""
    stop = machine.run(budget=instructions)
    if stop.kind not in (StopKind.BUDGET, StopKind.POWER_OFF):
        raise machine.finding_for(stop, "the guests run on")
    return stop.kind is StopKind.BUDGET


def at_guest_moments(machine: Machine, count: int, interval: int = 400_000) -> Iterator[Object]:
    """Stops `count` times while a guest has the CPU; yields the vCPU that it is."""
    objects, found = Objects(machine), 0
    for _ in range(count * 4):
        if found == count or not runs_on(machine, interval):
            return
        vcpu = objects.loaded_vcpu() if machine.exception_level < 2 else None
        if vcpu is not None:
            found += 1
            yield vcpu


def test_guests_own_cntv_and_nothing_else(lab: Lab) -> None:
    machine = in_guest(lab, "counter")
    cnthctl = machine.register("CNTHCTL_EL2")
    expect("reading the physical counter does not trap (EL1PCTEN)", cnthctl & 1, 1, el2.cnthctl)
    expect("the physical timer traps (EL1PCEN = 0)", cnthctl & 2, 0, el2.cnthctl)
    offset = machine.register("CNTVOFF_EL2")
    expect_that("the virtual counter has the VM's offset, not 0", offset > 0, offset)


def test_offset_of_a_vm_is_in_force_while_it_runs(lab: Lab) -> None:
    machine = in_guest(lab, "hostile_spin", "hostile_spin")
    seen = set()
    for vcpu in at_guest_moments(machine, 20, interval=1_000_000):
        vm = vcpu.pointer("vm", "struct vm")
        assert vm is not None
        seen.add(vm.get("index"))
        expect(
            "CNTVOFF_EL2 is that of the VM that runs",
            machine.register("CNTVOFF_EL2"),
            vm.get("counter_offset"),
        )
    expect("both VMs were seen", seen, {0, 1})


def test_el2_keeps_a_deadline_while_vms_compete(lab: Lab) -> None:
    """Without one a guest that never gives way would run for ever."""
    machine = in_guest(lab, "hostile_spin", "hostile_spin")
    for _ in at_guest_moments(machine, 10):
        control = machine.register("CNTHP_CTL_EL2")
        expect_that("CNTHP is enabled and not masked", control & 3 == ENABLE, timer_state(control))


def deadlines(machine: Machine) -> list[int]:
    """Ticks of the deadlines on CPU 0's queue, in its order, following the list in memory."""
    objects = Objects(machine)
    head = objects.cpu(0).address + objects.member("struct cpu", "deadlines")[0]
    node_offset = objects.member("struct deadline", "node")[0]
    found: list[int] = []
    node = machine.memory.u64(head)
    while node != head and len(found) < 100:
        found.append(Object(objects, "struct deadline", node - node_offset).get("ticks"))
        node = machine.memory.u64(node)
    expect_that("the deadline queue is a closed list", node == head, len(found))
    return found


def test_deadline_queue_is_in_order_and_its_head_is_in_the_hardware(lab: Lab) -> None:
    machine = in_guest(lab, "timer_two_vms", "timer_two_vms")
    looked = 0
    for _ in at_guest_moments(machine, 30):
        looked += 1
        ticks = deadlines(machine)
        expect("the deadline queue is in ascending order", ticks, sorted(ticks))
        if ticks:
            control = machine.register("CNTHP_CTL_EL2")
            expect("CNTHP is enabled", control & 3, ENABLE)
            expect(
                "CNTHP_CVAL_EL2 is the head of the queue",
                machine.register("CNTHP_CVAL_EL2"),
                ticks[0],
            )
    expect_that("the guests ran", looked > 5)


def test_timer_of_a_vcpu_that_does_not_run_is_on_the_queue(lab: Lab) -> None:
    """Its deadline there is CVAL plus the VM's offset: a physical count."""
    machine = in_guest(lab, "timer_sleeper", "hostile_spin")
    objects, seen = Objects(machine), 0
    for loaded in at_guest_moments(machine, 60, interval=200_000):
        for vm in objects.vms():
            vcpu = vm.vcpu(0)
            if vcpu.address == loaded.address:
                continue
            control = vcpu.get("vtimer.cntv.ctl")
            if control & 3 != ENABLE:
                continue
            due = (vcpu.get("vtimer.cntv.cval") + vcpu.get("vtimer.cntv.offset")) & MASK64
            queue = deadlines(machine)
            if vcpu.get("vgic.private_irqs[27].line_level"):
                continue  # it has expired: the interrupt is what remains of it
            seen += 1
            expect_that(f"{due:#x} is on the queue", due in queue, [hex(t) for t in queue])
    expect_that("the probe slept on its timer while the other ran", seen > 0)


def test_deadline_that_no_counter_reaches_is_never_due(lab: Lab) -> None:
    """VM 0 sleeps on a CVAL whose sum with the offset does not fit into 64 bits.

    It is the offset that is made large, in memory and while CNTVOFF_EL2 holds the true one: given
    such a sum, QEMU 7.2's own timer wraps too, and does not return.
    """
    machine = in_guest(lab, "timer_two_vms", "timer_two_vms")
    machine.run_to("*wfx_trap", f"{EL2_ONLY} && ($CNTV_CTL_EL0 & 3) == {ENABLE}")
    vcpu = Objects(machine).loaded_vcpu()
    assert vcpu is not None
    offset = MASK64 - machine.register("CNTV_CVAL_EL0") + 1000
    vcpu.set("vtimer.cntv.offset", offset)
    background = vcpu.address + vcpu.objects.member("struct vcpu", "vtimer.cntv.deadline")[0]
    machine.run_to("*deadline_arm", f"{EL2_ONLY} && $x0 == {background:#x}")
    ticks = machine.register("x1")
    expect_that("the deadline is in the far future, not a sum that wrapped",
                bool(ticks >> 62), hex(ticks))


@pytest.mark.parametrize("register, value", [("ctl", 3), ("ctl", 0), ("cval", 1 << 62)],
                         ids=["cntv.ctl = 3", "cntv.ctl = 0", "cntv.cval = 1ul << 62"])
def test_expired_deadline_is_looked_at_again(lab: Lab, register: str, value: int) -> None:
    """What the timer's registers say when its deadline comes is what counts."""
    machine = in_guest(lab, "timer_sleeper", "hostile_spin")
    objects = Objects(machine)
    for altered in (False, True):
        machine.run_to("*vtimer_expired", EL2_ONLY, budget=BUDGET)
        offset = objects.member("struct vcpu", "vtimer.cntv.deadline")[0]
        vcpu = Object(objects, "struct vcpu", machine.register("x0") - offset)
        if altered:
            vcpu.set(f"vtimer.cntv.{register}", value)
        machine.run_to(machine.register("x30"), EL2_ONLY)
        line = vcpu.get(f"vgic.private_irqs[{INTID_CNTV}].line_level")
        expect(f"after {register} = {value:#x}, PPI 27 stays as it is" if altered
               else "PPI 27 is raised", line, not altered)


def test_physical_timer_interrupt_is_active_while_its_guest_has_it(lab: Lab, gic: int) -> None:
    """Looked at when a vCPU begins its time slice. If not, it fires again, or never any more."""
    machine = in_guest(lab, "timer_active_switch", "timer_active_switch")
    objects = Objects(machine)
    seen = {False: 0, True: 0}
    last = -1
    with machine.breakpoint("*sched_begin_slice", EL2_ONLY):
        for stop in machine.stops("the two VMs take turns", 400_000_000):
            if stop.kind is not StopKind.BREAKPOINT:
                raise machine.finding_for(stop, "the two VMs take turns")
            vcpu, index = objects.loaded_vcpu(), objects.loaded_vm_index()
            assert vcpu is not None
            if index == last:
                continue
            last = index
            words = machine.qmp.hmp(f"xp /1xw {ISACTIVER0[gic]:#x}").split()
            active = bool(int(words[-1], 16) >> INTID_CNTV & 1)
            irq = f"vgic.private_irqs[{INTID_CNTV}]"
            live = any(vcpu.get(f"{irq}.{name}")
                       for name in ("active", "line_level", "pending_latch"))
            seen[live] += 1
            expect("the physical PPI 27 is active exactly while the vCPU has it", active, live)
            if min(seen.values()) == 4:
                break


def test_two_vms_that_never_give_way_get_half_each(lab: Lab) -> None:
    """Counted from outside: which VM has the CPU at every millionth instruction."""
    machine = in_guest(lab, "hostile_spin", "hostile_spin")
    objects = Objects(machine)
    share = [0, 0]
    for _ in range(60):
        if runs_on(machine, 1_000_000) and machine.exception_level < 2:
            share[objects.loaded_vm_index()] += 1
    expect_that("each VM has 40 % to 60 %", 0.4 <= share[0] / sum(share) <= 0.6, share)


def test_guests_that_loop_in_exceptions_are_preempted(lab: Lab) -> None:
    """EL2 reflects the exceptions of VM 0 most of the time, and that is VM 0's time."""
    machine = in_guest(lab, "hostile_vectors", "hostile_spin")
    objects = Objects(machine)
    seen = set()
    for _ in range(25):
        if runs_on(machine, 2_000_000):
            seen.add(objects.loaded_vm_index())
        if {0, 1} <= seen:
            break
    expect("both VMs have had the CPU", seen - {-1}, {0, 1})


def test_wfi_traps(lab: Lab) -> None:
    hcr = in_guest(lab, "wfi").register("HCR_EL2")
    expect_that(
        "WFI gives the CPU to somebody else (HCR_EL2.TWI)", el2.hcr_has(hcr, "TWI"), el2.hcr(hcr)
    )


def test_a_sleeping_guest_costs_no_instructions(lab: Lab) -> None:
    """Between a CPU_SUSPEND and its return EL2 sleeps too, however long that is."""
    machine = in_guest(lab, "psci_suspend")
    objects = Objects(machine)
    machine.run_to(objects.hypercall(CPU_SUSPEND), EL2_ONLY, budget=BUDGET)
    vcpu = objects.loaded_vcpu()
    assert vcpu is not None
    before = machine.budget.retired
    machine.run_to(vcpu.get("frame.pc"), EL1_ONLY)
    spent = machine.budget.retired - before
    expect_that("a sleep of milliseconds takes few instructions", spent < 20_000, spent)


def test_timer_of_a_vm_that_is_off_costs_nothing(lab: Lab) -> None:
    """No vCPU is loaded when it would fire: it must be off, or EL2 takes its interrupt for ever."""
    machine = in_guest(lab, "timer_orphan", "timer_orphan")
    machine.run_to("*vm_stop", EL2_ONLY)
    before = machine.budget.retired
    machine.run_to("*vtimer_load", EL2_ONLY)
    spent = machine.budget.retired - before
    expect_that("the other VM's sleep of 40 ms takes few instructions", spent < 1_000_000, spent)


def test_reset_brings_the_pristine_image_back(lab: Lab) -> None:
    machine = in_guest(lab, "psci_reset")
    objects = Objects(machine)
    vm = objects.vm(0)
    machine.run_to(objects.hypercall(SYSTEM_RESET), EL2_ONLY, budget=BUDGET)
    bench = Bench(machine)
    for name, value in (("CNTV_CVAL_EL0", 1 << 62), ("CNTV_CTL_EL0", ENABLE),
                        ("SCTLR_EL1", 0x30D0_0801)):
        bench.sysreg(name, value)  # the guest's, which is loaded
    offset = vm.get("counter_offset")
    machine.run_to("*vcpu_reset", EL2_ONLY)
    slice_end = objects.cpu(0).get("slice.ticks")
    expect("EL2 waits for nothing but the slice",
           [due for due in deadlines(machine) if due != slice_end], [])
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    expect("the VM counts its reset", vm.get("reset_count"), 1)
    expect("PSTATE is EL1h with all masked", machine.register("PSTATE") & 0x3CF, 0x3C5, el2.spsr)
    expect("the MMU is off", machine.register("SCTLR_EL1") & 1, 0, el2.sctlr)
    expect("CNTV is off", machine.register("CNTV_CTL_EL0") & 1, 0)
    later = machine.register("CNTVOFF_EL2")
    expect_that("the virtual counter starts at 0 again", later > offset, later,
                f"above {offset:#x}")


def test_clearing_up_after_a_vm_takes_turns_with_the_others(lab: Lab) -> None:
    """A VM of 384 MiB, mapped by pages, is reset while its neighbour wants the CPU: to clear it up
    without giving way takes 15 ms."""
    large = ProbeVm("reset_large", memory_mib=384, page_size="4K", reports=False)
    machine, _ = lab.probe(ProbeVm("reset_neighbour"), large, budget=BUDGET)
    resets = Objects(machine).vm(1).get("reset_count")
    expect_that("the large VM was reset and started again meanwhile", resets > 0, resets)


def test_el2_sleeps_when_every_guest_does(lab: Lab) -> None:
    """The guest's second instruction becomes WFI for ever: nothing is due, no deadline is set."""
    machine = in_guest(lab, "hypercalls")
    machine.run_to(machine.pc + 4, EL1_ONLY)
    wfi_and_back = bytes.fromhex("7f2003d5ffffff17")
    machine.gdb.write_virtual(machine.pc, wfi_and_back)
    behind = f"VM 0 blocked, to go on at {machine.pc + 4:#x}"
    stop = machine.run()
    if stop.kind is not StopKind.QUIET:
        raise machine.finding_for(stop, "nothing can happen any more when every guest sleeps")
    expect_that("EL2 waits in a WFI of its own", "in WFI at EL2" in stop.reason, stop.reason)
    for name in ("CNTHP", "CNTV"):
        expect_that(f"{name} is off: nobody waits for it",
                    f"{name} off" in stop.reason, stop.reason)
    expect_that("the guest would go on behind its WFI", behind in stop.reason, stop.reason)
