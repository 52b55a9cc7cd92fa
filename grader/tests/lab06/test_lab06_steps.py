# SPDX-License-Identifier: MIT
"""Lab 6, one function at a time; and what QEMU cannot show of several CPUs, in the disassembly."""

from __future__ import annotations

import itertools
import re
import struct
from dataclasses import dataclass

from grader.conftest import Lab
from grader.machine.machine import EL2_ONLY, Machine, StopKind
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import disassemble
from grader.oracle.calls import Bench, Stub, hook_of, trap_result
from grader.oracle.objects import Object
from grader.oracle.probe import ProbeVm
from grader.oracle.smp import BLOCKED, OFF, RUNNABLE, RUNNING, listed

LAB = 6
CPU_ON_32, CPU_ON_64 = 0x8400_0003, 0xC400_0003
AFFINITY_INFO_32, AFFINITY_INFO_64 = 0x8400_0004, 0xC400_0004
SUCCESS, INVALID_PARAMETERS, ALREADY_ON, ON_PENDING = 0, -2, -4, -5
INTERNAL_FAILURE, INVALID_ADDRESS = -6, -9
EBUSY, ECANCELED = 16, 125
MASK64 = (1 << 64) - 1
RESUME = 0
REQ_STOP = 1 << 2
LOCK_STEPS, WAIT_STEPS = 400, 40
FAR = 1 << 50  # a deadline that does not come
STATES = {OFF: "OFF", RUNNABLE: "RUNNABLE", RUNNING: "RUNNING", BLOCKED: "BLOCKED"}


def bench_of(lab: Lab, seed: int, vcpus: int = 4) -> tuple[Bench, list[Object]]:
    """A machine with one CPU at its first entry, and the vCPUs of its VM."""
    machine = lab.start(ProbeVm("hypercalls", cpus=vcpus))
    bench = Bench.at_first_entry(machine, seed)
    vm = bench.objects.vm(0)
    return bench, [vm.vcpu(index) for index in range(vcpus)]


def signed(value: int) -> int:
    """x0 as PSCI's results are meant."""
    return value - (1 << 64) if value >> 63 else value


def cpu_on(bench: Bench, caller: Object, arguments: tuple[int, int, int], result: Stub,
           fid: int = CPU_ON_64) -> tuple[int, list[tuple[int, ...]]]:
    """What CPU_ON answers when vcpu_start() returns `result`, and what vcpu_start() was told."""
    bench.set_frame(caller, [fid, *arguments] + [0] * 27)
    bench.call(bench.objects.hypercall(fid), caller.address,
               stubs={"vcpu_start": result if callable(result) else result & MASK64})
    return signed(bench.frame(caller)[0]), [call.arguments[:3] for call in bench.calls]


def test_what_cpu_on_answers(lab: Lab, seed: int) -> None:
    """The errors in their order; then vcpu_start() decides, under the VM's power_lock."""
    bench, vcpus = bench_of(lab, seed)
    vm = bench.objects.vm(0)
    entry, context = vm.ram_base + 0x40000 + bench.random.randrange(4096) * 4, bench.noise(1)[0]
    beyond = vm.ram_base + vm.get("ram_bytes")
    for target in (4, 0x101, 1 << 32 | 1, 1 << 31 | 1):
        answer, told = cpu_on(bench, vcpus[0], (target, entry, context), 0)
        expect(f"CPU_ON of {target:#x}, which is nobody", (answer, told),
               (INVALID_PARAMETERS, []))
    for place in (beyond, vm.ram_base - 4, entry + 2, 0x0900_0000):
        answer, told = cpu_on(bench, vcpus[0], (1, place, context), 0)
        expect(f"CPU_ON at {place:#x}, where nothing can start", (answer, told),
               (INVALID_ADDRESS, []))
    answer, told = cpu_on(bench, vcpus[0], (4, beyond, context), 0)
    expect("CPU_ON of nobody, at nothing: the target comes first", (answer, told),
           (INVALID_PARAMETERS, []))
    for place in (vm.ram_base, beyond - 4):
        answer, told = cpu_on(bench, vcpus[0], (1, place, context), 0)
        expect(f"CPU_ON at {place:#x}, the first or the last word of RAM", (answer, told),
               (SUCCESS, [(vcpus[1].address, place, context)]))
    answer, told = cpu_on(bench, vcpus[0], (2, entry, context), 0)
    expect("CPU_ON of vCPU 2: SUCCESS, and vcpu_start() has target, entry point and context",
           (answer, told), (SUCCESS, [(vcpus[2].address, entry, context)]))
    high = bench.noise(1)[0] & ~0xFFFF_FFFF
    answer, told = cpu_on(bench, vcpus[0], (high | 3, high | entry, high | 7), 0, CPU_ON_32)
    expect("by the 32-bit call the upper halves do not count", (answer, told),
           (SUCCESS, [(vcpus[3].address, entry, 7)]))
    answer, _ = cpu_on(bench, vcpus[0], (2, entry, context), -ECANCELED)
    expect("the VM ends: INTERNAL_FAILURE", answer, INTERNAL_FAILURE)
    for begun, expected in ((0, ON_PENDING), (1, ALREADY_ON)):
        bench.put(vcpus[2], has_begun=begun, state=RUNNABLE)
        answer, _ = cpu_on(bench, vcpus[0], (2, entry, context), -EBUSY)
        expect(f"it is on, and {'has begun' if begun else 'has not begun'}", answer, expected)

        def another_was_first(*_: int, begun: int = begun) -> int:
            bench.put(vcpus[2], has_begun=begun, state=RUNNABLE)
            return -EBUSY & MASK64

        bench.put(vcpus[2], has_begun=0, state=OFF)
        answer, _ = cpu_on(bench, vcpus[0], (2, entry, context), another_was_first)
        expect("it was OFF at the call of vcpu_start(), but another CPU_ON was first "
               f"(-EBUSY), and it {'has begun' if begun else 'has not begun'}", answer, expected)


def test_what_affinity_info_answers(lab: Lab, seed: int) -> None:
    bench, vcpus = bench_of(lab, seed)

    def ask(target: int, level: int, fid: int = AFFINITY_INFO_64) -> int:
        bench.set_frame(vcpus[0], [fid, target, level] + [0] * 28)
        bench.call(bench.objects.hypercall(fid), vcpus[0].address)
        return signed(bench.frame(vcpus[0])[0])

    bench.put(vcpus[0], has_begun=1)
    bench.put(vcpus[1], state=RUNNABLE, has_begun=0)
    bench.put(vcpus[2], state=RUNNING, has_begun=1)
    bench.put(vcpus[3], state=OFF, has_begun=1)
    expect("ON, ON_PENDING, OFF, as the vCPUs are", [ask(n, 0) for n in (2, 1, 3)], [0, 2, 1])
    expect("a vCPU that is not there", ask(4, 0), INVALID_PARAMETERS)
    expect("the whole cluster, with one ON", ask(3, 1), 0)
    expect("another cluster", ask(0x100, 1), INVALID_PARAMETERS)
    expect("level 4", ask(1, 4), INVALID_PARAMETERS)
    expect("level 3, all vCPUs there are", ask(1 << 32, 3), INVALID_PARAMETERS)
    expect("level 3, with one ON", ask(3, 3), 0)
    high = 0xDEAD_BEEF << 32
    expect("upper halves count in the 64-bit call", ask(high | 2, 0), INVALID_PARAMETERS)
    expect("and not in the 32-bit one", ask(high | 2, high, AFFINITY_INFO_32), 0)
    bench.put(vcpus[0], state=OFF)
    expect("the whole cluster, with one that is pending before one that is ON", ask(3, 1), 0)
    for vcpu in (vcpus[0], vcpus[2]):
        bench.put(vcpu, state=OFF)
    expect("the whole cluster, with one that is pending", ask(3, 2), 2)


def test_the_last_vcpu_that_goes_off(lab: Lab, seed: int) -> None:
    """Which of several it is is decided under the VM's power_lock."""
    bench, vcpus = bench_of(lab, seed)
    lock = bench.address_of(bench.objects.vm(0), "power_lock.taken")

    def is_off(vcpu: int, *_: int) -> int:
        expect("power_lock is held while a vCPU looks whether it is the last",
               bench.machine.memory.u32(lock), 1)
        return int(Object(bench.objects, "struct vcpu", vcpu).get("state") == OFF)

    for states, leaving, last in (
        ((OFF, RUNNING, OFF, OFF), (), True),
        ((OFF, RUNNING, RUNNABLE, OFF), (), False),
        ((RUNNING, RUNNING, OFF, OFF), (), False),
        ((OFF, RUNNING, OFF, RUNNING), (), False),
        ((RUNNING, RUNNING, OFF, OFF), (0,), True),
        ((RUNNING, RUNNING, RUNNING, RUNNING), (0, 2, 3), True),
        ((RUNNING, RUNNING, RUNNING, RUNNING), (0, 2), False),
    ):
        for index, (vcpu, state) in enumerate(zip(vcpus, states, strict=True)):
            bench.put(vcpu, state=state, goes_off=index in leaving, requests=0)
        stubs: dict[str | int, Stub] = {"vcpu_is_off": is_off, "vm_stop": 0}
        result = bench.call("psci_cpu_off", vcpus[1].address, stubs=stubs)
        expect("CPU_OFF does not return to the caller's next instruction", result, RESUME,
               trap_result)
        stopped = any(call.name == "vm_stop" for call in bench.calls)
        what = (f"vCPUs are {', '.join(STATES[state] for state in states)}; on the way off: "
                f"{', '.join(map(str, leaving)) or 'nobody'}")
        expect(f"{what}: vCPU 1 is the last, and the VM is powered off", stopped, last)
        if not last:  # else vm_stop() asks all vCPUs to leave
            expect(f"{what}: vCPU 1 is asked to leave its CPU: requests & REQ_STOP",
                   vcpus[1].get("requests") & REQ_STOP, REQ_STOP)
        expect("it says that it goes off", vcpus[1].get("goes_off"), 1)
        expect("power_lock is free again", bench.machine.memory.u32(lock), 0)
    for vcpu in vcpus:
        bench.put(vcpu, state=RUNNING, goes_off=0)
    bench.enter("psci_cpu_off", x0=vcpus[1].address, x30=bench.nowhere)
    note = bench.address_of(vcpus[1], "goes_off")
    with bench.machine.watchpoint(f"*(unsigned char *){note:#x}"):
        stop = bench.machine.run(LOCK_STEPS)
    expect("psci_cpu_off() notes that its vCPU goes off", stop.kind, StopKind.WATCHPOINT)
    expect("power_lock.taken when goes_off is written", bench.machine.memory.u32(lock), 1)
    bench.put(bench.objects.vm(0), power_lock__taken=0)
    bench.put(vcpus[1], goes_off=0)
    noted = [vcpus[1].get("goes_off")
             for one in bench.executed(r"stlr w", "psci_cpu_off", vcpus[1].address)
             if bench.machine.register(re.findall(r"x\d+", one.operands)[-1]) == lock]
    expect("goes_off when power_lock is given back, once: who comes next sees it", noted, [1])


def test_a_vcpu_that_was_started_again_does_not_go_off(lab: Lab, seed: int) -> None:
    """That it went off once does not make another vCPU the last one."""
    bench, vcpus = bench_of(lab, seed, 2)
    vm = bench.objects.vm(0)
    bench.put(vcpus[0], state=RUNNING, goes_off=0)
    bench.put(vcpus[1], state=OFF, goes_off=1)
    bench.set_frame(vcpus[0], [CPU_ON_64, 1, vm.ram_base + 0x40000, 0] + [0] * 27)
    bench.call(bench.objects.hypercall(CPU_ON_64), vcpus[0].address)
    expect("CPU_ON of a vCPU that has gone off", signed(bench.frame(vcpus[0])[0]), SUCCESS)
    expect("it is on a run queue", vcpus[1].get("state"), RUNNABLE)
    bench.call("psci_cpu_off", vcpus[0].address, stubs={"vm_stop": 0})
    expect("CPU_OFF of the other one, which is not the last: calls of vm_stop()",
           [call.name for call in bench.calls], [])


def executed(machine: Machine, steps: int) -> list[str]:
    """The names of the next instructions that this CPU executes."""
    code, names, here = disassemble(machine.config.elf), [], machine.pc
    for _ in range(steps):
        names.append(code[here].name)
        stop = machine.step_instruction()
        if names[-1] == "wfe" and stop.pc == here + 8:  # QEMU stops one instruction late
            names.append(code[here + 4].name)
        here = stop.pc
    return names


def test_how_a_cpu_waits_for_a_lock(lab: Lab) -> None:
    """It sleeps until the owner's store wakes it, and comes back when the lock is free."""
    machine = lab.start("hypercalls", smp=2)
    bench = Bench.at_first_entry(machine, 1)
    lock = bench.room(8)
    bench.write_u64(lock, 1)
    bench.enter("smp_spin_wait", x0=lock, x30=bench.nowhere)
    with machine.alone(0):
        names = executed(machine, WAIT_STEPS)
    loads = [index for index, name in enumerate(names) if name in ("ldxr", "ldaxr")]
    waits = [index for index, name in enumerate(names) if name == "wfe"]
    expect_that("an exclusive load arms the monitor that the owner's store clears", bool(loads),
                names)
    looks = [index for index, name in enumerate(names) if name.startswith("ld")]
    expect_that("between two looks the CPU waits for that event",
                len(waits) > 2 and all(any(first < wait < then for wait in waits)
                                       for first, then in itertools.pairwise(looks)), names)
    expect_that("the first WFE does not wait, for nothing is armed yet: an event comes before it",
                "sevl" in names[:waits[0]] or loads[0] < waits[0], names)
    with machine.breakpoint(bench.nowhere, EL2_ONLY), machine.alone(0):
        stop = machine.run(LOCK_STEPS)
        expect("while the lock is taken it waits", stop.kind, StopKind.BUDGET)
        bench.write_u64(lock, 0)
        stop = machine.run(LOCK_STEPS)
        expect("when it is free it comes back",
               (stop.kind, stop.pc), (StopKind.BREAKPOINT, bench.nowhere))


# 6.6: where a vCPU runs.


@dataclass
class Balance:
    """Four CPUs and a vCPU in memory; none of them runs."""

    bench: Bench
    vcpu: Object
    cpus: list[Object]

    @classmethod
    def of(cls, lab: Lab, seed: int) -> Balance:
        bench, vcpus = bench_of(lab, seed)
        return cls(bench, vcpus[1], [bench.objects.cpu(index) for index in range(4)])

    def set(self, pin: int, asleep: int, loads: tuple[int, ...], online: int = 0b1111) -> None:
        """CPUs that the vCPU may run on, that sleep, how many wait on each, that are there."""
        config = self.bench.objects.vm(0).pointer("config", "struct bundle_vm")
        assert config is not None
        memory, symbols = self.bench.machine.memory, self.bench.machine.symbols
        self.bench.put(config, **{"pin[1]": pin})
        memory.write(symbols["cpus_online"], struct.pack("<I", online))
        memory.write(symbols["cpus_asleep"], struct.pack("<I", asleep))
        for cpu, load in zip(self.cpus, loads, strict=True):
            self.bench.put(cpu, vcpu=0, runnable_count=load)

    @property
    def asleep(self) -> int:
        return self.bench.machine.memory.u32(self.bench.machine.symbols["cpus_asleep"])

    def kicked(self) -> list[int]:
        """CPUs that were kicked during the last call, which has smp_kick() for a stub."""
        places = [cpu.address for cpu in self.cpus]
        return sorted(places.index(call.arguments[0]) for call in self.bench.calls
                      if call.name == "smp_kick")


def test_where_a_vcpu_goes_that_wakes_up(lab: Lab, seed: int) -> None:
    balance = Balance.of(lab, seed)
    places = {cpu.address: index for index, cpu in enumerate(balance.cpus)}
    for what, home, pin, asleep, loads, wanted in (
        ("nothing runs where it ran last", 2, 0xF, 0b0010, (0, 0, 0, 0), 2),
        ("it may not run there any more: one that sleeps", 2, 0b1010, 0b1000, (0, 0, 0, 0), 3),
        ("that one is busy: the first that sleeps", 0, 0xF, 0b1100, (1, 0, 0, 0), 2),
        ("of those on which it may run", 0, 0b1001, 0b0110, (1, 0, 0, 0), 3),
        ("none sleeps: where the fewest wait", 0, 0xF, 0, (3, 2, 1, 2), 2),
        ("of those on which it may run", 0, 0b0011, 0, (3, 2, 0, 0), 1),
        ("nowhere fewer than where it ran last", 3, 0xF, 0, (2, 2, 2, 2), 3),
        ("of several the first", 3, 0xF, 0, (2, 1, 1, 2), 1),
        ("it may not stay, though nobody has fewer", 3, 0b0110, 0, (0, 2, 2, 1), 1),
    ):
        balance.set(pin, asleep, loads)
        found = balance.bench.call("balance_place", balance.vcpu.address,
                                   balance.cpus[home].address)
        expect(f"balance_place() of a vCPU that ran on CPU {home}, may run on {pin:#06b}, asleep "
               f"{asleep:#06b}, waiting {loads}, {what}: CPU", places.get(found), wanted)
        expect("cpus_asleep is not changed: nothing is decided yet", balance.asleep, asleep)
    balance.set(0b0010, 0b0010, (5, 0, 0, 0), online=1)
    found = balance.bench.call("balance_place", balance.vcpu.address, balance.cpus[0].address)
    expect("on a machine with one CPU: CPU", places.get(found), 0)
    balance.set(0xF, 0, (0, 1, 1, 1))
    running = balance.bench.objects.vm(0).vcpu(2)
    for state, wanted in ((RUNNING, 1), (RUNNABLE, 1), (BLOCKED, 0)):
        balance.set(0xF, 0, (0, 0, 1, 1))
        balance.bench.put(running, state=state)
        balance.bench.put(balance.cpus[0], vcpu=running.address)
        found = balance.bench.call("balance_place", balance.vcpu.address, balance.cpus[0].address)
        expect(f"a vCPU of state {state} that is loaded where it ran last counts: CPU",
               places.get(found), wanted)


def test_who_has_to_wait_wakes_those_that_could_run_it(lab: Lab, seed: int) -> None:
    """No wake-up is lost: who queues a vCPU that has to wait takes the bits of all that sleep."""
    balance = Balance.of(lab, seed)
    bench, here = balance.bench, balance.cpus[0]
    for what, pin, asleep, waiting, loaded, left, kicked in (
        ("its CPU slept, and is kicked by who queued it", 0xF, 0b1101, 2, 0, 0b1100, []),
        ("its CPU has nothing else to run", 0xF, 0b1100, 1, 0, 0b1100, []),
        ("it has to wait", 0xF, 0b1100, 2, 0, 0, [2, 3]),
        ("it has to wait, and may run on some alone", 0b0101, 0b1100, 2, 0, 0b1000, [2]),
        ("it is loaded there: nobody else can take it", 0xF, 0b1100, 2, 1, 0b1100, []),
    ):
        balance.set(pin, asleep, (waiting, 0, 0, 0))
        bench.put(balance.vcpu, waits_from=0)
        if loaded:
            bench.put(here, vcpu=balance.vcpu.address)
        bench.call("balance_queued", balance.vcpu.address, here.address, stubs={"smp_kick": 0})
        expect(f"balance_queued(), may run on {pin:#06b}, asleep {asleep:#06b}, {waiting} wait on "
               f"CPU 0, {what}: cpus_asleep afterwards", bin(balance.asleep), bin(left))
        expect("CPUs that are kicked", balance.kicked(), kicked)
        expect_that("since when it waits is noted: waits_from",
                    balance.vcpu.get("waits_from") > 0, balance.vcpu.get("waits_from"))
    balance.set(0xF, 0b1110, (2, 0, 0, 0), online=1)
    bench.call("balance_queued", balance.vcpu.address, here.address, stubs={"smp_kick": 0})
    expect("on a machine with one CPU nobody is woken", (balance.asleep, balance.kicked()),
           (0b1110, []))


def test_what_a_cpu_leaves_behind_is_offered_to_others(lab: Lab, seed: int) -> None:
    """balance_load(): a CPU has loaded a vCPU, and others wait on its queue."""
    balance = Balance.of(lab, seed)
    bench, here = balance.bench, balance.cpus[0]
    load = hook_of(bench.machine, LAB, "vcpu_load")
    runs = bench.objects.vm(0).vcpu(2)
    head = bench.address_of(here, "run_queue")
    node = bench.address_of(balance.vcpu, "run_node")
    for this, after in ((head, node), (node, head)):
        bench.write_u64(this, after)
        bench.write_u64(after + 8, this)
    for what, pin, asleep, loads, slice_end, left, kicked, moved in (
        ("others sleep", 0xF, 0b1100, (1, 1, 0, 0), FAR, 0, [2, 3], []),
        ("one sleeps that may not run it", 0b0011, 0b1000, (1, 1, 0, 0), FAR, 0b1000, [], []),
        ("a time slice is over, CPU 2 has less to do", 0xF, 0, (1, 2, 0, 1), 1, 0, [],
         [(here.address, balance.cpus[2].address)]),
        ("a time slice is over, nobody has less to do", 0xF, 0, (1, 2, 2, 2), 1, 0, [], []),
        ("no time slice is over, though CPU 2 has less to do", 0xF, 0, (1, 2, 0, 1), FAR, 0, [],
         []),
        ("it came out of sleep (slice_end 0): no time slice is over", 0xF, 0, (1, 2, 0, 1), 0, 0,
         [], []),
    ):
        balance.set(pin, asleep, loads)
        bench.put(runs, cpu=here.address, state=RUNNING)
        bench.put(here, vcpu=runs.address, slice_end=slice_end)
        bench.put(balance.vcpu, waits_from=FAR)
        bench.call(load, runs.address, stubs={"smp_kick": 0, "vcpu_migrate": 0})
        expect(f"a vCPU waits on CPU 0, may run on {pin:#06b}, asleep {asleep:#06b}, waiting "
               f"{loads}, {what}: cpus_asleep afterwards", bin(balance.asleep), bin(left))
        expect("CPUs that are kicked", balance.kicked(), kicked)
        expect("vcpu_migrate(): (from, to)", [call.arguments[:2] for call in bench.calls
                                              if call.name == "vcpu_migrate"], moved)
        expect("the queue's lock is free: taken", here.get("run_lock.taken"), 0)


def test_the_timer_of_a_vcpu_that_has_moved_is_on_no_queue(lab: Lab, seed: int) -> None:
    """The CPU that it left would act on a timer that the other CPU has in its hardware by now."""
    machine = lab.start(ProbeVm("hypercalls", cpus=2), smp=2)
    bench = Bench.at_first_entry(machine, seed)
    vcpu, cpus = bench.objects.vm(0).vcpu(1), [bench.objects.cpu(index) for index in range(2)]
    deadline = bench.address_of(vcpu, "vtimer.cntv.deadline")
    bench.call("deadline_arm", deadline, FAR)
    expect("CPU 0, which vCPU 1 left, watches its timer",
           vcpu.get("vtimer.cntv.deadline.cpu"), cpus[0].address)
    bench.put(vcpu, cpu=cpus[1].address)
    bench.call(hook_of(machine, 4, "vcpu_load"), vcpu.address)
    expect("when CPU 1 has loaded it nobody does", vcpu.get("vtimer.cntv.deadline.cpu"), 0)
    expect_that("and it is not on the queue of CPU 0", deadline not in
                listed(bench.objects, bench.address_of(cpus[0], "deadlines"), "struct deadline",
                       "node"))


def test_who_goes_to_sleep_says_so_before_it_looks(lab: Lab, seed: int) -> None:
    """The other way round a vCPU that is queued between the two is seen by nobody."""
    bench, vcpus = bench_of(lab, seed)
    machine, cpus = bench.machine, [bench.objects.cpu(index) for index in range(2)]
    asleep = machine.symbols["cpus_asleep"]
    machine.memory.write(machine.symbols["cpus_online"], bytes([0b11, 0, 0, 0]))
    bench.put(cpus[0], slice_end=FAR)
    bench.put(cpus[1], runnable_count=0)
    bench.enter("balance_steal", x0=cpus[0].address, x30=bench.nowhere)
    count = bench.address_of(cpus[1], "runnable_count")
    with machine.watchpoint(f"*(unsigned int *){count:#x}", reads=True):
        stop = machine.run(LOCK_STEPS)
    expect("balance_steal() looks how many vCPUs wait on CPU 1", stop.kind, StopKind.WATCHPOINT)
    expect("bit 0 of cpus_asleep at that look", machine.memory.u32(asleep) & 1, 1)

    seen: list[int] = []

    def steal(given: int) -> Stub:
        def answer(*_: int) -> int:
            seen.append(machine.memory.u32(asleep) & 1)
            return given
        return answer

    bench.put(cpus[1], runnable_count=1)
    for vcpu, what in ((0, "of a CPU whose vCPU was taken meanwhile"),
                       (vcpus[1].address, "of a CPU on which one waits")):
        found = bench.call("balance_steal", cpus[0].address, stubs={"vcpu_steal": steal(vcpu)})
        expect(f"balance_steal() {what}: the vCPU, or NULL", found, vcpu)
        expect(f"{what}: CPU 0 is asleep while it looks, and behind it",
               (seen.pop(), machine.memory.u32(asleep) & 1), (1, int(not vcpu)))
        if not vcpu:
            expect("while the CPU sleeps nobody uses up a time slice: its end",
                   cpus[0].get("slice_end"), 0)
