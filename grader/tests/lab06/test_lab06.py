# SPDX-License-Identifier: MIT
"""Lab 6: what guests with several vCPUs see, on machines with several CPUs."""

from __future__ import annotations

import random

import pytest

from grader.conftest import Lab
from grader.machine.machine import EL1_ONLY, EL2_ONLY, StopKind
from grader.machine.options import current
from grader.machine.verdict import expect, expect_that
from grader.oracle import crash
from grader.oracle.decode import el2_registers as el2
from grader.oracle.objects import Objects
from grader.oracle.probe import (LOAD_OFFSET, RAM_BASE, ProbeVm, finish_probes, judge,
                                 watch_probes)
from grader.oracle.smp import (BLOCKED, OFF, RUNNING, check_cpus, check_queues,
                               make_races)

LAB = 6
BUDGET = 200_000_000
RACE_BUDGET = 6_000_000  # between two races: a breakpoint that is passed too often ends the test
VM_POWERED_OFF, VM_GONE = 1, 4
SCTLR_ON = 1 << 0 | 1 << 2 | 1 << 12 | 1 << 19  # M, C, I, WXN
HOLDS, HOLDS_FULL = 6, 40
LOOKS, LOOKS_FULL = 24, 120
AT_ONCE = 100_000  # a hundredth of a time slice
REQ_STOP = 1 << 2
# Of smp_power: each vCPU resets the VM, the first one twice. All have started after half of a life.
EACH_ONCE = (("probe_rounds", 5), ("life_us", 1000))
MOVES = (("probe_rounds", 20),)  # of smp_migrate
# GIC and CPUs: what an interrupt controller or a number of CPUs could spoil is tried on these.
OWN_SEED = pytest.mark.seed_of_its_own
MACHINES = pytest.mark.parametrize(
    ("gic", "smp"),
    [pytest.param(3, 4, id="gicv3-4", marks=OWN_SEED),
     pytest.param(2, 2, id="gicv2-2", marks=OWN_SEED)],
    indirect=["gic"])


def four(probe: str, **options: object) -> ProbeVm:
    return ProbeVm(probe, cpus=4, **options)  # type: ignore[arg-type]


def small(probe: str, **options: object) -> ProbeVm:
    """For a VM whose RAM is cleared again and again: the emulator takes long for new pages."""
    return four(probe, memory_mib=4, **options)


# 6.1: the other CPUs.


@pytest.mark.parametrize(("gic", "smp"), [(3, 2), (3, 8), (2, 4)], indirect=["gic"])
def test_all_cpus_start(lab: Lab, gic: int, smp: int) -> None:
    """When the first guest begins they all sleep at EL2, with the registers that CPU 0 has."""
    machine = lab.start("hypercalls", smp=smp)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    objects = Objects(machine)
    names = ("VBAR_EL2", "TTBR0_EL2", "TCR_EL2", "MAIR_EL2")
    machine.select_cpu(0)
    first = [machine.register(name) for name in names]
    for number, (thread, state) in enumerate(machine.gdb.threads()[1:], 1):
        machine.gdb.select_thread(thread)
        expect_that(f"CPU {number} sleeps: nobody has work for it", "halted" in state, state)
        expect(f"CPU {number} is at EL2", machine.exception_level, 2)
        expect(f"TPIDR_EL2 of CPU {number} is its struct cpu", machine.register("TPIDR_EL2"),
               objects.cpu(number).address)
        expect(f"CPU {number} has CPU 0's {', '.join(names)}",
               [machine.register(name) for name in names], first)
        expect(f"MMU, caches and WXN of CPU {number} are on",
               machine.register("SCTLR_EL2") & SCTLR_ON, SCTLR_ON, el2.sctlr)
        top = objects.cpu(number).get("stack_top")
        expect_that(f"CPU {number} is on its own stack",
                    top - 0x4000 <= machine.register("sp") <= top, hex(machine.register("sp")),
                    f"at or below {top:#x}")
    tops = {objects.cpu(number).get("stack_top") for number in range(smp)}
    expect("each CPU has a stack of its own", len(tops), smp)


def test_a_cpu_begins_with_its_own_stack(lab: Lab) -> None:
    """The first C function of each CPU, before it has done anything."""
    machine = lab.start("hypercalls", smp=4)
    objects = Objects(machine)
    for number in (1, 2, 3):
        machine.run_to("*smp_secondary", EL2_ONLY)
        cpu = objects.cpu(number)
        expect(f"smp_secondary() gets the struct cpu of CPU {number}", machine.register("x0"),
               cpu.address)
        expect("TPIDR_EL2 has it, too", machine.register("TPIDR_EL2"), cpu.address)
        expect("SP is its stack_top", machine.register("sp"), cpu.get("stack_top"))
        expect("exceptions go to EL2's vectors", machine.register("VBAR_EL2"),
               machine.symbols["vectors"])
        expect("all interrupts are masked", machine.register("PSTATE") & 0x3C0, 0x3C0, el2.spsr)
        expect("SCTLR_EL2 is its RES1 bits: MMU and caches are off yet",
               machine.register("SCTLR_EL2"), 0x30C5_0830, el2.sctlr)


def test_a_cpu_reads_what_was_cleaned(lab: Lab) -> None:
    """It reads its struct cpu past the caches. QEMU has none: looked for before the SMC."""
    machine = lab.start("hypercalls", smp=2)
    cpu = Objects(machine).cpu(1)
    size = machine.layout("sizeof(struct cpu)")
    machine.run_to("*dcache_clean_invalidate",
                   f"{EL2_ONLY} && $x0 <= {cpu.address} && $x0 + $x1 >= {cpu.address + size}")
    machine.select_cpu(1)
    expect_that("CPU 1 has not started yet", "halted" in machine.gdb.threads()[1][1])
    machine.run_to("*smp_entry", EL2_ONLY)
    expect("then it starts, with its struct cpu in x0", machine.register("x0"), cpu.address)


def test_a_machine_with_fewer_cpus_is_told_of(lab: Lab) -> None:
    """The bundle counts on four CPUs, the machine has two: no hang, and words."""
    machine = lab.start("hypercalls", smp=4, extra=("-smp", "2"))
    stop = machine.run(BUDGET)
    expect_that("the machine powers off", stop.kind in (StopKind.PANIC, StopKind.POWER_OFF),
                stop.kind)
    report = crash.read(machine)
    expect_that("the reason is a configuration that does not fit", report is not None and
                report.kind is crash.Kind.CONFIG, report)
    machine.console.poll()
    expect_that("the console says which CPU", "CPU 2" in machine.console.text,
                machine.console.tail())


# 6.2: PSCI.


@MACHINES
@pytest.mark.parametrize("probe", ["smp_psci", "smp_hotplug"])
def test_psci_of_several_vcpus(lab: Lab, gic: int, probe: str, smp: int) -> None:
    lab.probe(four(probe), smp=smp, budget=BUDGET)


@MACHINES
def test_a_vm_resets_under_load(lab: Lab, gic: int, smp: int) -> None:
    machine, _ = lab.probe(small("smp_power", words=EACH_ONCE), smp=smp, budget=BUDGET)
    resets = Objects(machine).vm(0).get("reset_count")
    expect_that("the VM was reset by several of its vCPUs", resets >= 4, resets)


@MACHINES
def test_a_vm_ends_while_its_vcpus_run(lab: Lab, gic: int, smp: int) -> None:
    """VM 0 by SYSTEM_OFF of one vCPU, VM 1 when all are off. VM 2 runs on."""
    vms = [four("smp_off", reports=False), four("smp_off", reports=False), ProbeVm("victim")]
    machine = lab.start(*vms, smp=smp)
    witness = watch_probes(machine, vms, LAB)
    judge(machine, finish_probes(machine, vms, witness, machine.run(BUDGET)))
    machine.run_until_off(BUDGET)  # when all VMs have ended
    for vm in Objects(machine).vms()[:2]:
        what = f"VM {vm.index}"
        expect(f"{what} is powered off", vm.get("state"), VM_POWERED_OFF)
        states = [vm.vcpu(n).get("state") for n in range(4)]
        expect(f"all vCPUs of {what} are OFF", states, [OFF] * 4)
        expect(f"nothing of {what} is left", vm.get("phase"), VM_GONE)
    gone = {vm.vcpu(n).address for vm in Objects(machine).vms()[:2] for n in range(4)}
    loaded = {Objects(machine).cpu(n).get("vcpu") for n in range(smp)}
    expect("no CPU has a vCPU of theirs loaded", [hex(v) for v in gone & loaded], [])


@pytest.mark.parametrize("does", ["computes", "sleeps"])
def test_the_end_of_a_vm_is_told_to_its_vcpus(lab: Lab, does: str) -> None:
    """A vCPU that computes would go on until its time slice is over, one that sleeps for ever."""
    vm = ProbeVm("smp_end", cpus=2, pin=((0,), (1,)), reports=False,
                 words=(("other_sleeps", does == "sleeps"),))
    machine = lab.start(vm, smp=2)
    machine.run_to("*vm_stop", EL2_ONLY)
    vcpu, cpu = Objects(machine).vm(0).vcpu(1), Objects(machine).cpu(1)
    expect(f"vCPU 1 {does}", vcpu.get("state"), BLOCKED if does == "sleeps" else RUNNING)
    told = f"{EL2_ONLY} && $x0 == {cpu.address}"
    with machine.breakpoint("*smp_kick", told), machine.alone(0):
        stop = machine.run(AT_ONCE)
    expect("CPU 0 ends the VM, and kicks the CPU of vCPU 1", stop.kind, StopKind.BREAKPOINT)
    expect_that("which finds then that it has to leave",
                bool(vcpu.get("requests") & REQ_STOP), vcpu.get("requests"))
    machine.run_until_off(BUDGET)


def races(lab: Lab, vms: list[ProbeVm], functions: tuple[str, ...], seed: int, smp: int = 2,
          who: str = "") -> None:
    """Run the probes with one CPU held at instructions of these functions, again and again."""
    holds = HOLDS_FULL if current().full else HOLDS
    machine = lab.start(*vms, smp=smp)
    witness = watch_probes(machine, vms, LAB)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    ended = make_races(machine, functions, holds, seed, RACE_BUDGET, who)
    judge(machine, finish_probes(machine, vms, witness, ended or machine.run(BUDGET)))


@pytest.mark.parametrize(("gic", "probe"), [(3, "smp_hotplug"), (2, "smp_psci")], indirect=["gic"],
                         ids=["gicv3-smp_hotplug", "gicv2-smp_psci"])
def test_psci_whatever_comes_in_between(lab: Lab, gic: int, probe: str, seed: int) -> None:
    """One CPU stands inside CPU_ON, CPU_OFF or AFFINITY_INFO, the other goes on. Of the interrupt
    controller PSCI has a kick, as all these tests."""
    functions = ("psci_cpu_on", "psci_is_last", "psci_cpu_off", "psci_affinity_info",
                 "psci_power_state", "vcpu_start", "vcpu_retire", "vcpu_make_runnable")
    races(lab, [four(probe)], functions, seed)


def test_reset_whatever_comes_in_between(lab: Lab, gic: int, seed: int) -> None:
    functions = ("vm_stop", "vm_request_reset", "vm_leave", "vcpu_evict", "vm_vcpu_left",
                 "vcpu_retire", "vm_reap", "vcpu_start")
    races(lab, [small("smp_power", words=EACH_ONCE)], functions, seed)


# 6.3: interrupts between CPUs.


@MACHINES
@pytest.mark.parametrize("probe", ["smp_ipi", "smp_spi", "smp_wakeup"])
def test_interrupts_between_vcpus(lab: Lab, gic: int, probe: str, smp: int) -> None:
    lab.probe(four(probe), smp=smp, budget=BUDGET)


def test_no_wakeup_is_lost(lab: Lab, gic: int, seed: int) -> None:
    """The CPU of the sleeper stands anywhere between its WFI and its sleep; the sender sends."""
    functions = ("wfx_trap", "vcpu_block", "vcpu_prepare_entry", "world_switch", "cpu_idle",
                 "vgic_has_deliverable", "balance_steal", "cpu_pick_next")
    sleeper = ProbeVm("smp_wakeup", cpus=2, pin=((0,), (1,)), words=(("wakeup_rounds", 240),))
    races(lab, [sleeper], functions, seed, who="$TPIDR_EL2 == &cpus[1]")


def test_no_interrupt_is_lost_to_a_vcpu_that_moves(lab: Lab, gic: int, seed: int) -> None:
    """Four vCPUs on two CPUs; whoever moves, places or wakes one stands in the middle of it."""
    functions = ("vcpu_wake", "vcpu_lock_placed", "vcpu_lock", "vcpu_steal", "balance_place",
                 "balance_queued", "balance_steal", "vgic_notify", "world_switch")
    races(lab, [four("smp_migrate")], functions, seed)


def test_a_kick_brings_a_guest_into_el2(lab: Lab, gic: int) -> None:
    """The vCPU on CPU 1 computes; an SGI for it makes CPU 0 kick CPU 1, and nobody else."""
    vm = ProbeVm("smp_ipi", cpus=2, pin=((0,), (1,)))
    machine = lab.start(vm, smp=3)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    cpus = [Objects(machine).cpu(n).address for n in range(3)]
    kicks = 0
    with machine.breakpoint("*smp_kick", EL2_ONLY) as sent, \
            machine.breakpoint("*smp_kicked", EL2_ONLY) as taken:
        last = 0
        for stop in machine.stops("CPUs kick each other", BUDGET):
            if stop.kind is not StopKind.BREAKPOINT:
                raise machine.finding_for(stop, "CPUs kick each other")
            if stop.number == sent:
                last = machine.register("x0")
                expect_that("a kick is for another CPU", last in cpus and
                            last != machine.register("TPIDR_EL2"), hex(last))
            elif stop.number == taken:
                kicks += 1
                expect("the CPU that takes the kick is the one that it was for",
                       machine.register("TPIDR_EL2"), last)
                if kicks == 6:
                    break


# 6.4: locks; 6.5: memory.


def test_shared_memory_of_vcpus(lab: Lab) -> None:
    lab.probe(four("smp_counter"), smp=2, budget=BUDGET)


@pytest.mark.parametrize(("size", "smp"), [("2M", 2), ("4K", 2), ("4K", 4)])
def test_memory_given_back_is_gone_for_all(lab: Lab, size: str, smp: int) -> None:
    """With a CPU for each, whose TLB nothing else drops."""
    lab.probe(four("smp_release", page_size=size), smp=smp, budget=BUDGET)


@OWN_SEED
@pytest.mark.parametrize("smp", [4, 2])
def test_stage_1_of_several_vcpus(lab: Lab, smp: int) -> None:
    lab.probe(four("smp_tlb"), smp=smp, budget=BUDGET)


# 6.6: vCPUs and CPUs.


@MACHINES
@pytest.mark.parametrize("probe", ["smp_migrate", "smp_timer"])
def test_a_vcpu_keeps_what_it_has(lab: Lab, gic: int, probe: str, smp: int) -> None:
    words = MOVES if probe == "smp_migrate" else ()
    lab.probe(four(probe, words=words), smp=smp, budget=BUDGET)


@OWN_SEED
def test_two_vms_share_cpus(lab: Lab, gic: int) -> None:
    lab.probe(*[four("smp_migrate", words=MOVES)] * 2, smp=2, budget=BUDGET)


def test_state_of_the_scheduler_at_any_moment(lab: Lab, gic: int, seed: int) -> None:
    """Looked at between two instructions of any CPU, while vCPUs sleep, wake up and move."""
    vms = [four("smp_migrate"), four("smp_migrate")]
    machine = lab.start(*vms, smp=3)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    chooser = random.Random(seed)
    seen_running = seen_queues = moved = 0
    where: dict[int, int] = {}
    for _ in range(LOOKS_FULL if current().full else LOOKS):
        stop = machine.run(chooser.randrange(20_000, 400_000))
        if stop.kind is not StopKind.BUDGET:
            break
        seen_running += check_cpus(machine) > 0
        seen_queues += check_queues(machine) is not None
        for vm in Objects(machine).vms():
            for index in range(4):
                vcpu = vm.vcpu(index)
                moved += where.get(vcpu.address, vcpu.get("cpu")) != vcpu.get("cpu")
                where[vcpu.address] = vcpu.get("cpu")
    expect_that("guests ran", seen_running > 4, seen_running)
    expect_that("the queues were at rest now and then", seen_queues > 4, seen_queues)
    expect_that("vCPUs moved from CPU to CPU", moved > 1, moved)


# 6.7: devices.


@MACHINES
def test_devices_that_all_vcpus_use(lab: Lab, gic: int, smp: int) -> None:
    lab.probe(four("smp_devices"), smp=smp, budget=BUDGET)


def test_devices_whatever_comes_in_between(lab: Lab, gic: int, seed: int) -> None:
    functions = ("mmio_load", "mmio_store", "gicd_write", "gicd_read", "vmm_irq_bank_write",
                 "vmm_irq_bank_read", "pl011_write", "pl011_read", "vgic_irq_update")
    races(lab, [four("smp_devices")], functions, seed)
