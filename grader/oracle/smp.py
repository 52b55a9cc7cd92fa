# SPDX-License-Identifier: MIT
"""What holds on several CPUs at any moment, and the making of races.

Under icount one CPU runs at a time and gives way at few places: races do not happen by themselves.
So a test stops one CPU at an instruction of its choice, lets another run alone, and goes on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from grader.machine.machine import EL2_ONLY, Machine, Stop, StopKind
from grader.machine.verdict import Finding, Verdict, expect, expect_that
from grader.oracle.objects import Object, Objects

OFF, RUNNABLE, RUNNING, BLOCKED = range(4)  # enum vcpu_state
HOLD_BUDGET = 60_000  # instructions that the others execute while one CPU stands
STEPS = 80  # instructions behind a function's first one, up to the beginning of a block
STEPS_IN_BLOCK = 10  # and from there: each is a round trip through GDB
VTTBR_BADDR = (1 << 48) - 2


@dataclass(frozen=True)
class Queues:
    """What waits on each CPU: vCPUs by their address, and deadlines."""

    run: tuple[tuple[int, ...], ...]
    deadlines: tuple[tuple[int, ...], ...]


def cpu_count(machine: Machine) -> int:
    return machine.config.smp


def listed(objects: Objects, head: int, kind: str, node: str) -> tuple[int, ...]:
    """Addresses of the structs on a list, which must be closed."""
    offset = objects.member(kind, node)[0]
    memory = objects.machine.memory
    found: list[int] = []
    at = memory.u64(head)
    while at != head and len(found) < 200:
        found.append(at - offset)
        at = memory.u64(at)
    expect_that(f"the list at {head:#x} is closed", at == head, len(found))
    return tuple(found)


def all_vcpus(objects: Objects) -> Iterator[Object]:
    for vm in objects.vms():
        for index in range(vm.get("vcpu_count")):
            yield vm.vcpu(index)


def is_quiet(objects: Objects) -> bool:
    """Whether no CPU is in the middle of a change: no lock of a CPU is held."""
    locks = [objects.cpu(n).get(f"{name}.taken") for n in range(cpu_count(objects.machine))
             for name in ("run_lock", "deadline_lock")]
    return not any(locks)


def check_cpus(machine: Machine) -> int:
    """The registers of each CPU that runs a guest are those of its vCPU; how many CPUs do."""
    objects = Objects(machine)
    loaded: dict[int, int] = {}
    running = 0
    for number in range(cpu_count(machine)):
        cpu = objects.cpu(number)
        machine.select_cpu(number)
        state, tpidr, vmpidr, offset, vttbr = machine.gdb.registers(
            "PSTATE", "TPIDR_EL2", "VMPIDR_EL2", "CNTVOFF_EL2", "VTTBR_EL2")
        if state >> 2 & 3 == 2:
            continue
        running += 1
        expect(f"TPIDR_EL2 of CPU {number} is its struct cpu", tpidr, cpu.address)
        vcpu = cpu.pointer("vcpu", "struct vcpu")
        if vcpu is None:
            raise Finding(Verdict.FAIL, f"CPU {number} runs a guest: it has a vCPU loaded")
        expect(f"CPU {number} runs a vCPU that no other CPU has loaded",
               loaded.setdefault(vcpu.address, number), number)
        for timer in ("cntv", "cntp"):
            expect(f"the timer {timer} of the vCPU on CPU {number} is on no other CPU's queue",
                   vcpu.get(f"vtimer.{timer}.deadline.cpu") in (0, cpu.address), True)
        expect(f"CPU {number} has CNTV of its vCPU, and EL2 does not watch it",
               vcpu.get("vtimer.cntv.deadline.cpu"), 0)
        vm = vcpu.pointer("vm", "struct vm")
        assert vm is not None
        expect(f"the vCPU on CPU {number} is RUNNING", vcpu.get("state"), RUNNING)
        expect(f"and belongs to CPU {number}", vcpu.get("cpu"), cpu.address)
        expect(f"CPU {number}: VMPIDR_EL2 is the vCPU's", vmpidr, vcpu.get("vmpidr"))
        expect(f"CPU {number}: CNTVOFF_EL2 is the VM's", offset, vm.get("counter_offset"))
        expect(f"CPU {number}: VTTBR_EL2 names the VM's table", vttbr & VTTBR_BADDR,
               vm.get("stage2.vttbr") & VTTBR_BADDR)
    return running


def check_queues(machine: Machine) -> Queues | None:
    """Each vCPU waits at one place, each deadline on one queue; None if a CPU is changing them."""
    objects = Objects(machine)
    if not is_quiet(objects):
        return None
    run, due = [], []
    places: dict[int, list[int]] = {}
    for number in range(cpu_count(machine)):
        cpu = objects.cpu(number)
        waiting = listed(objects, cpu.address + objects.member("struct cpu", "run_queue")[0],
                         "struct vcpu", "run_node")
        expect(f"runnable_count of CPU {number}", cpu.get("runnable_count"), len(waiting))
        for address in waiting:
            vcpu = Object(objects, "struct vcpu", address)
            places.setdefault(address, []).append(number)
            expect(f"a vCPU on the run queue of CPU {number} belongs to it", vcpu.get("cpu"),
                   cpu.address)
            expect("and is RUNNABLE", vcpu.get("state"), RUNNABLE)
        deadlines = listed(objects, cpu.address + objects.member("struct cpu", "deadlines")[0],
                           "struct deadline", "node")
        for address in deadlines:
            expect(f"a deadline on the queue of CPU {number} knows where it is",
                   Object(objects, "struct deadline", address).get("cpu"), cpu.address)
        ticks = [Object(objects, "struct deadline", at).get("ticks") for at in deadlines]
        expect(f"the deadlines of CPU {number} are in order", ticks, sorted(ticks))
        run.append(waiting)
        due.append(deadlines)
    expect("no vCPU is on two run queues",
           [hex(address) for address, at in places.items() if len(at) > 1], [])
    for vcpu in all_vcpus(objects):
        if vcpu.get("state") == RUNNABLE:
            expect_that("a vCPU that is RUNNABLE is on a run queue", vcpu.address in places,
                        f"vCPU {vcpu.get('index')}")
    return Queues(tuple(run), tuple(due))


def make_races(machine: Machine, functions: tuple[str, ...], holds: int, seed: int,
               budget: int, who: str = "") -> Stop | None:
    """Up to `holds` times: a CPU that comes to one of these functions stands there, some
    instructions on, while each other one runs alone. What ended the machine, or None when it can go
    on.

    `who` is a condition for GDB which CPU that is.
    """
    chooser = random.Random(seed)
    places = [f"*{name}" for name in functions if name in machine.symbols]
    expect_that(f"the image has one of {', '.join(functions)}", bool(places))
    condition = f"{EL2_ONLY} && {who}" if who else EL2_ONLY
    for _ in range(holds):
        with machine.breakpoint(chooser.choice(places), condition):
            stop = machine.run(chooser.randrange(budget // 4, budget))
        if stop.kind is StopKind.BUDGET:
            continue  # nobody calls it any more
        if stop.kind is not StopKind.BREAKPOINT:
            return stop
        with machine.alone(stop.cpu):
            ended = machine.run(chooser.randrange(1, STEPS))
            if ended.kind is StopKind.BUDGET:
                ended = machine.step_instruction(chooser.randrange(1, STEPS_IN_BLOCK))
        if ended.kind not in (StopKind.BUDGET, StopKind.QUIET, StopKind.STEP):
            return ended
        others = [cpu for cpu in range(machine.config.smp) if cpu != stop.cpu]
        chooser.shuffle(others)
        for cpu in others:
            with machine.alone(cpu):
                ended = machine.run(chooser.randrange(200, HOLD_BUDGET))
            if ended.kind not in (StopKind.BUDGET, StopKind.QUIET):
                return ended
    return None
