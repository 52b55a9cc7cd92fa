# SPDX-License-Identifier: MIT
"""Lab 6, one function at a time; and what QEMU cannot show of several CPUs, in the disassembly."""

from __future__ import annotations

import itertools

from grader.conftest import Lab
from grader.machine.machine import EL2_ONLY, Machine, StopKind
from grader.machine.verdict import expect, expect_that
from grader.oracle.barriers import disassemble
from grader.oracle.calls import Bench, Stub, hook_of, trap_result
from grader.oracle.objects import Object
from grader.oracle.probe import ProbeVm
from grader.oracle.smp import OFF, RUNNABLE, RUNNING, listed

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


def bench_of(lab: Lab, seed: int, vcpus: int = 4) -> tuple[Bench, list[Object]]:
    """A machine with one CPU at its first entry, and the vCPUs of its VM."""
    machine = lab.start(ProbeVm("hypercalls", cpus=vcpus))
    bench = Bench.at_first_entry(machine, seed)
    vm = bench.objects.vm(0)
    return bench, [vm.vcpu(index) for index in range(vcpus)]


def signed(value: int) -> int:
    """x0 as PSCI's results are meant."""
    return value - (1 << 64) if value >> 63 else value


def cpu_on(bench: Bench, caller: Object, arguments: tuple[int, int, int], result: int,
           fid: int = CPU_ON_64) -> tuple[int, list[tuple[int, ...]]]:
    """What CPU_ON answers when vcpu_start() returns `result`, and what vcpu_start() was told."""
    bench.set_frame(caller, [fid, *arguments] + [0] * 27)
    bench.call(bench.objects.hypercall(fid), caller.address,
               stubs={"vcpu_start": result & MASK64})
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
        what = f"states {states}, {leaving or 'nobody'} on the way off"
        expect(f"{what}: vCPU 1 is the last, and the VM is powered off", stopped, last)
        expect(f"{what}: else it is asked to leave its CPU",
               bool(vcpus[1].get("requests") & REQ_STOP), not last)
        expect("it says that it goes off", vcpus[1].get("goes_off"), 1)
        expect("power_lock is free again", bench.machine.memory.u32(lock), 0)


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
    code, names = disassemble(machine.config.elf), []
    for _ in range(steps):
        here = machine.pc
        names.append(code[here].name)
        machine.step_instruction()
        if names[-1] == "wfe" and machine.pc == here + 8:  # QEMU stops one instruction late
            names.append(code[here + 4].name)
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


# 6.6: what moves with a vCPU.


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
