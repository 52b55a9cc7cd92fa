# SPDX-License-Identifier: MIT
"""Lab 4, one function at a time: what no guest can show before the other exercises are written.

The functions are called at EL2 before the first guest runs (grader/oracle/calls.py).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from grader.conftest import Lab
from grader.machine.machine import EL2_ONLY
from grader.machine.verdict import expect, expect_that
from grader.oracle.calls import Bench, Stub, hook_of, trap_result
from grader.oracle.decode.fields import bits
from grader.oracle.objects import Object

LAB = 4
ALL = (1 << 64) - 1
ENABLE, IMASK, ISTATUS = 1, 2, 4
CNTHP, CNTV, CNTP = 26, 27, 30
HANDLED, FORWARDED = 0, 1
RESUME, SKIP = 0, 1
RUNNABLE, RUNNING, BLOCKED = 1, 2, 3
REQ_RESCHEDULE = 1
WFX, WFI, WFE, WFIT, WFET = 1, 0x0600_0000, 0x0600_0001, 0x0600_0002, 0x0600_0003
A32_USER, Z, EQ = 0x10, 1 << 30, 1 << 25 | 1 << 24  # EQ: a syndrome with IL, CV and COND 0
CPU_SUSPEND = 0xC400_0001
INVALID_PARAMETERS = (1 << 64) - 2
FAR = 1 << 50  # ticks that no test lives to see


def before_guests(lab: Lab) -> tuple[Bench, Object, Object]:
    """All VMs exist and none has run; with the first one's vCPU on the CPU, and that CPU."""
    machine = lab.start("wfi")
    machine.run_to("*vcpu_prepare_entry", EL2_ONLY)
    bench = Bench(machine)
    vcpu, cpu = bench.objects.vm(0).vcpu(0), bench.objects.cpu(0)
    bench.put(cpu, vcpu=vcpu.address)
    bench.put(vcpu, state=RUNNING)
    return bench, vcpu, cpu


def handler(bench: Bench, kind: str, key: str, value: int) -> int:
    """What the image's registry has for an interrupt, an exception class or a system register."""
    tables = {"irq_entry": "registry_irqs", "trap_entry": "registry_traps"}
    return bench.objects.handler(kind, tables.get(kind, "registry_sysregs"), key, value)


def calls(bench: Bench, arguments: int) -> list[tuple[Any, ...]]:
    """The stubs of the last call: name and first arguments of each."""
    return [(call.name, *call.arguments[:arguments]) for call in bench.calls]


def test_the_count_of_a_vm_begins_at_its_creation(lab: Lab) -> None:
    bench = Bench.at(lab.start("counter"), LAB, "vm_create")
    vm = Object(bench.objects, "struct vm", bench.machine.register("x0"))
    before = bench.read_sysreg("CNTPCT_EL0")
    expect("vtimer_vm_create() returns",
           bench.call(hook_of(bench.machine, LAB, "vm_create"), vm.address), 0)
    after = bench.read_sysreg("CNTPCT_EL0")
    offset = vm.get("counter_offset")
    expect_that(
        "counter_offset is the physical count of that moment",
        before <= offset <= after,
        offset,
        f"[{before:#x}, {after:#x}]",
    )


def test_a_deadline_is_the_physical_count_of_its_virtual_one(lab: Lab, seed: int) -> None:
    """Virtual count = physical count - offset, so the way back is an addition."""
    bench = Bench.at(lab.start("counter"), LAB, "vm_create")
    numbers = random.Random(seed)
    cval, offset = (numbers.getrandbits(40) | 1 for _ in range(2))
    for compare, later, wanted, note in (
        (cval, 0, cval, "the virtual count is the physical one"),
        (cval, offset, cval + offset, "physical = virtual + offset"),
        (0, offset, offset, "due when the VM was created"),
        (ALL - offset - 1, offset, ALL - 1, "the last count that fits"),
        (ALL - offset + 1, offset, ALL, "CNT_NEVER: the sum does not fit into 64 bits"),
        (ALL, offset, ALL, "CNT_NEVER"),
    ):
        expect(f"vtimer_deadline() of CVAL {compare:#x}, offset {later:#x} ({note})",
               bench.call("vtimer_deadline", compare, later), wanted)


AWAY: dict[str | int, Stub] = {
    "vgic_is_live": 0, "gic_set_active": 0, "deadline_arm": 0, "deadline_cancel": 0}


def while_cntv_is_off(bench: Bench) -> dict[str | int, Stub]:
    """AWAY, and CNTV has to be off when its interrupt's state or its deadline changes."""

    def look(*_: int) -> int:
        expect("CNTV is off while it and its interrupt change: CNTV_CTL_EL0.ENABLE",
               bench.machine.register("CNTV_CTL_EL0") & ENABLE, 0)
        return 0

    return {**AWAY, "gic_set_active": look, "deadline_arm": look}


def some_timer(seed: int) -> tuple[int, int]:
    """CVAL, which is far away, and offset."""
    numbers = random.Random(seed)
    return FAR + numbers.getrandbits(40), numbers.getrandbits(12)


def test_timer_goes_into_the_hardware(lab: Lab, seed: int) -> None:
    bench, vcpu, _ = before_guests(lab)
    cval, offset = some_timer(seed)
    timer = bench.address_of(vcpu, "vtimer.cntv.deadline")
    queue = bench.make("struct list").address
    load = hook_of(bench.machine, LAB, "vcpu_load")
    bench.put(vcpu, vtimer__cntv__ctl=ENABLE, vtimer__cntv__cval=cval, vtimer__cntkctl=3)
    bench.put(vcpu, vtimer__cntv__offset=offset)
    bench.put(vcpu, vtimer__cntv__deadline__node__next=queue,
              vtimer__cntv__deadline__node__prev=queue)
    bench.put(vcpu, vtimer__cntv__deadline__cpu=bench.cpu.address)
    bench.call(load, vcpu.address, stubs=AWAY)
    for name, value in (("CNTVOFF_EL2", offset), ("CNTKCTL_EL1", 3), ("CNTV_CVAL_EL0", cval),
                        ("CNTV_CTL_EL0", ENABLE)):
        expect(f"{name} after vtimer_load()", bench.machine.register(name), value)
    cancelled = [call for call in calls(bench, 1) if call[0] == "deadline_cancel"]
    expect("vtimer_load() cancels the deadline", cancelled, [("deadline_cancel", timer)])


def test_active_state_is_that_of_the_vcpu(lab: Lab, seed: int) -> None:
    bench, vcpu, cpu = before_guests(lab)
    cval, _ = some_timer(seed)
    load = hook_of(bench.machine, LAB, "vcpu_load")

    def loaded(live: int, noted: int) -> list[tuple[Any, ...]]:
        """What vtimer_load() makes of the active state, which was known to be `noted`."""
        bench.sysreg("CNTV_CTL_EL0", 0)  # as after vtimer_save()
        bench.put(vcpu, vtimer__cntv__ctl=ENABLE, vtimer__cntv__cval=cval)
        bench.put(cpu, cntv_active=noted)
        stubs: dict[str | int, Stub] = {**while_cntv_is_off(bench), "vgic_is_live": live}
        bench.call(load, vcpu.address, stubs=stubs)
        return [call for call in calls(bench, 3) if call[0] == "gic_set_active"]

    expect("PPI 27 is made inactive for a vCPU that has it not",
           [call[:3] for call in loaded(0, 1)], [("gic_set_active", CNTV, 0)])
    expect("cpu->cntv_active says that it is inactive", cpu.get("cntv_active"), 0)
    for noted in (0, 1):
        set_active = [call[:3] for call in loaded(1, noted)]
        expect(f"PPI 27 is made active for a vCPU that has it, even where cntv_active is {noted}: "
               "the guest before may have completed its own",
               ("gic_set_active", CNTV, 1) in set_active, True)
        expect("cpu->cntv_active says that it is active", cpu.get("cntv_active"), 1)


def test_timer_comes_out_of_the_hardware(lab: Lab, seed: int) -> None:
    bench, vcpu, _ = before_guests(lab)
    cval, offset = some_timer(seed)
    timer = bench.address_of(vcpu, "vtimer.cntv.deadline")
    save = hook_of(bench.machine, LAB, "vcpu_save")

    def saved(ctl: int, compare: int, live: int) -> None:
        for name, value in (("CNTV_CVAL_EL0", compare), ("CNTV_CTL_EL0", ctl)):
            bench.sysreg(name, value)
        bench.call(save, vcpu.address, stubs={**while_cntv_is_off(bench), "vgic_is_live": live})

    bench.put(vcpu, vtimer__cntv__ctl=0, vtimer__cntv__cval=0, vtimer__cntkctl=0)
    bench.put(vcpu, vtimer__cntv__offset=offset)
    bench.sysreg("CNTKCTL_EL1", 3)
    saved(ENABLE, cval, 0)
    expect("CNTV_CTL_EL0 after vtimer_save()", bench.machine.register("CNTV_CTL_EL0") & 1, 0)
    armed = [call for call in calls(bench, 2) if call[0] == "deadline_arm"]
    expect("vtimer_save() arms its deadline, CVAL + offset", armed,
           [("deadline_arm", timer, cval + offset)])
    for member, value in (("cntv.ctl", ENABLE), ("cntv.cval", cval), ("cntkctl", 3)):
        expect(f"{member} in memory after vtimer_save()", vcpu.get(f"vtimer.{member}"), value)
    cases = {  # CTL, CVAL, interrupt pending or active: whether a deadline watches the timer
        "masked": (ENABLE | IMASK, cval, 0, False),
        "off": (0, cval, 0, False),
        "fired, the interrupt not taken yet": (ENABLE, 0, 0, True),
        "fired, the interrupt on its way": (ENABLE, 0, 1, False),
        "set anew by the handler of the last one, which is active still": (ENABLE, cval, 1, True),
    }
    for name, (ctl, compare, live, wanted) in cases.items():
        saved(ctl, compare, live)
        watched = any(call.name == "deadline_arm" for call in bench.calls)
        expect(f"vtimer_save() arms a deadline: timer {name}", watched, wanted)
        expect("ENABLE and IMASK are saved, ISTATUS is not: cntv.ctl",
               vcpu.get("vtimer.cntv.ctl"), ctl)


def queue_of(bench: Bench, head: int) -> list[int]:
    """Addresses of the deadlines on a queue."""
    node, found = bench.machine.memory.u64(head), list[int]()
    while node != head and len(found) < 100:
        found.append(node)
        node = bench.machine.memory.u64(node)
    expect("the queue is closed", node, head)
    return found


def unarmed(bench: Bench, ticks: Sequence[int], expire: int = 0) -> list[Object]:
    deadlines = bench.allocate("struct deadline", len(ticks))
    for deadline, count in zip(deadlines, ticks, strict=True):
        own = deadline.address
        bench.put(deadline, node__next=own, node__prev=own, ticks=count, expire=expire)
    return deadlines


def test_deadlines_are_in_order(lab: Lab, seed: int) -> None:
    bench = Bench.at(lab.start("wfi"), LAB, "vm_create")
    numbers = random.Random(seed)
    head = bench.allocate("struct list")[0]
    bench.put(head, next=head.address, prev=head.address)
    ticks = [numbers.choice((7, 1 << 40, 1 << 63, ALL)) for _ in range(8)]
    queued: list[tuple[int, int]] = []
    entry_of: dict[int, str] = {}
    for order, deadline in enumerate(unarmed(bench, ticks)):
        first = not queued or ticks[order] < min(queued)[0]
        queued.append((ticks[order], deadline.address))
        entry_of[deadline.address] = f"{ticks[order]:#x} (armed as no. {order + 1})"
        observed = bool(bench.call("deadline_insert", head.address, deadline.address) & 1)
        expect(f"deadline_insert() of {ticks[order]:#x}: it is first", observed, first)
    wanted = [address for _, address in sorted(queued, key=lambda entry: entry[0])]

    def named(addresses: Sequence[int]) -> list[str]:
        """Each deadline's ticks and when it was armed: nobody knows it by its address."""
        return [entry_of.get(address, f"{address:#x}: no deadline") for address in addresses]

    expect("the queue is ascending, equal ones as they came",
           named(queue_of(bench, head.address)), named(wanted))
    due = min(ticks)
    popped = bench.call("deadline_pop_due", head.address, due - 1)
    expect("deadline_pop_due() one tick early", popped, 0)
    popped = bench.call("deadline_pop_due", head.address, due)
    expect("deadline_pop_due() at its tick", named([popped]), named(wanted[:1]))
    expect("the queue after deadline_pop_due()", named(queue_of(bench, head.address)),
           named(wanted[1:]))
    what = "what deadline_pop_due() returns is marked as unarmed: its node points at itself"
    expect(what, bench.machine.memory.u64(popped), popped)
    for count in (1 << 63, ALL):
        bench.put(head, next=head.address, prev=head.address)
        [alone] = unarmed(bench, [count])
        bench.call("deadline_insert", head.address, alone.address)
        expect(f"deadline_pop_due() at 5 with {count:#x} at the head: counts have no sign",
               bench.call("deadline_pop_due", head.address, 5), 0)


def test_the_first_deadline_is_in_cnthp(lab: Lab) -> None:
    bench = Bench.at(lab.start("wfi"), LAB, "vm_create")
    now = bench.read_sysreg("CNTPCT_EL0")
    cpu = bench.objects.cpu(0)
    late, early, past, before = unarmed(bench, [0] * 4, expire=bench.nowhere)
    expired: list[int] = []

    def expire(deadline: int, *_: int) -> int:
        expect("expire() is called without cpu->deadline_lock: taken",
               cpu.get("deadline_lock.taken"), 0)
        expect("deadline->cpu when expire() is called: another CPU may arm it",
               Object(bench.objects, "struct deadline", deadline).get("cpu"), 0)
        expired.append(deadline)
        if deadline == past.address:
            # This deadline was not due when the interrupt began.
            bench.put(late, ticks=bench.read_sysreg("CNTPCT_EL0"))
        return 0

    def cnthp() -> object:
        control = bench.machine.register("CNTHP_CTL_EL2") & (ENABLE | IMASK)
        return bench.machine.register("CNTHP_CVAL_EL2") if control == ENABLE else "off"

    bench.call("deadline_arm", late.address, now + 2 * FAR)
    expect("CNTHP with one deadline", cnthp(), now + 2 * FAR)
    bench.call("deadline_arm", early.address, now + FAR)
    expect("CNTHP with an earlier one", cnthp(), now + FAR)
    bench.call("deadline_cancel", early.address)
    expect("CNTHP when that was cancelled", cnthp(), now + 2 * FAR)
    bench.call("deadline_arm", past.address, 2)
    bench.call("deadline_arm", before.address, 1)
    expect("CNTHP with one in the past", cnthp(), 1)
    interrupt = handler(bench, "irq_entry", "intid", CNTHP)
    stubs: dict[str | int, Stub] = {bench.nowhere: expire}
    expect("cnthp_interrupt() returns", bench.call(interrupt, cpu.address, CNTHP, stubs=stubs),
           HANDLED)
    what = "expire() was called for those that are due, not for the others"
    expect(what, expired, [before.address, past.address])
    expect("CNTHP afterwards: the next, which became due in between", cnthp(), late.get("ticks"))
    bench.call("deadline_cancel", late.address)
    expect("CNTHP without a deadline", cnthp(), "off")
    bench.silence("console_lose_patience")
    [due] = unarmed(bench, [0], expire=bench.machine.symbols["console_lose_patience"])
    bench.call("deadline_arm", due.address, 1)
    stores = [one.operands[0] for one in bench.executed("stlr", interrupt, cpu.address, CNTHP)]
    expect("the first store-release of cnthp_interrupt() is deadline_let_go()'s, of 64 bits (x); "
           "that which unlocks, of 32 bits (w), comes behind", stores[:2], ["x", "w"])


def test_expiry_looks_again(lab: Lab) -> None:
    bench, vcpu, cpu = before_guests(lab)
    background = bench.address_of(vcpu, "vtimer.cntv.deadline")
    expire = vcpu.get("vtimer.cntv.deadline.expire")
    stubs: dict[str | int, int] = {"vgic_set_line": 0}
    pended = [("vgic_set_line", vcpu.address, CNTV, 1)]
    cases = {  # CTL, CVAL, offset
        "due": (ENABLE, 0, 5, pended),
        "due, but masked": (ENABLE | IMASK, 0, 5, []),
        "due, but off": (0, 0, 5, []),
        "moved to later": (ENABLE, FAR, 5, []),
        "due without its offset": (ENABLE, 0, FAR, []),
        "never due: CVAL + offset does not fit": (ENABLE, ALL - 3, 5, []),
    }
    for name, (ctl, cval, offset, wanted) in cases.items():
        bench.put(vcpu, vtimer__cntv__ctl=ctl, vtimer__cntv__cval=cval, vtimer__cntv__offset=offset)
        bench.call(expire, background, stubs=stubs)
        expect(f"vtimer_expired() of a timer that is {name}", calls(bench, 3), wanted)
    interrupt = handler(bench, "irq_entry", "intid", CNTV)
    result = bench.call(interrupt, cpu.address, CNTV, stubs=stubs)
    expect("vtimer_interrupt() with CNTV's line down: result (1: IRQ_FORWARDED), calls",
           (result, calls(bench, 3)), (HANDLED, []))
    bench.put(cpu, vcpu=0)
    result = bench.call(interrupt, cpu.address, CNTV, stubs=stubs)
    expect("vtimer_interrupt() without a vCPU: result (1: IRQ_FORWARDED), calls",
           (result, calls(bench, 3)), (HANDLED, []))


def test_a_physical_ppi_is_forwarded(lab: Lab) -> None:
    bench, vcpu, cpu = before_guests(lab)
    for name, value in (("CNTV_CVAL_EL0", 0), ("CNTV_CTL_EL0", ENABLE)):
        bench.sysreg(name, value)  # due, in the hardware: nobody has to load it
    bench.put(cpu, cntv_active=0)
    result = bench.call(handler(bench, "irq_entry", "intid", CNTV), cpu.address, CNTV,
                        stubs={"vgic_set_line": 0})
    wanted = (FORWARDED, [("vgic_set_line", vcpu.address, CNTV, 1)])
    expect("vtimer_interrupt() with CNTV's line up: result (1: IRQ_FORWARDED), calls",
           (result, calls(bench, 3)), wanted)
    expect("cpu->cntv_active", cpu.get("cntv_active"), 1)


def test_cntp_follows_its_registers(lab: Lab) -> None:
    bench, vcpu, _ = before_guests(lab)
    access = bench.allocate("struct sysreg_access")[0]
    deadline = bench.address_of(vcpu, "vtimer.cntp.deadline")
    stubs: dict[str | int, int] = {"vgic_set_line": 0, "deadline_arm": 0, "deadline_cancel": 0}
    tval, ctl = (handler(bench, "sysreg_entry", "encoding", number)
                 for number in (0x30F804, 0x32F804))

    def write(function: int, value: int) -> tuple[object, object]:
        bench.put(access, is_write=1, value=value)
        result = bench.call(function, vcpu.address, access.address, stubs=stubs)
        expect("the trapped MSR is skipped", result, SKIP, trap_result)
        line = [call[3] & 1 for call in calls(bench, 3) if call[0] == "vgic_set_line"]
        armed = [call[1:] for call in calls(bench, 2) if call[0] == "deadline_arm"]
        return line, armed

    def read(function: int) -> int:
        bench.put(access, is_write=0, value=0)
        bench.call(function, vcpu.address, access.address, stubs=stubs)
        return access.get("value")

    what = "(level of PPI 30, deadline armed)"
    queue = bench.make("struct list").address
    bench.put(vcpu, vtimer__cntp__cval=FAR, vtimer__cntp__ctl=ENABLE)
    bench.put(vcpu, vtimer__cntp__deadline__node__next=queue,
              vtimer__cntp__deadline__node__prev=queue)
    bench.put(vcpu, vtimer__cntp__deadline__cpu=bench.cpu.address)
    expect(f"{what}: CTL 0 written, not due", write(ctl, 0), ([0], []))
    cancelled = [call for call in calls(bench, 1) if call[0] == "deadline_cancel"]
    expect("the deadline of a timer that is off is cancelled", cancelled,
           [("deadline_cancel", deadline)])
    bench.put(vcpu, vtimer__cntp__deadline__node__next=deadline,
              vtimer__cntp__deadline__node__prev=deadline)
    bench.put(vcpu, vtimer__cntp__deadline__cpu=0)
    expect(f"{what}: CTL.ENABLE written, not due", write(ctl, ENABLE), ([0], [(deadline, FAR)]))
    expect("CNTP_CTL_EL0, not due", read(ctl), ENABLE)
    expect(f"{what}: TVAL -1 written, so due", write(tval, 0xFFFF_FFFF), ([1], []))
    expect("CNTP_CTL_EL0, due", read(ctl), ENABLE | ISTATUS)
    expect(f"{what}: CTL.IMASK written, due", write(ctl, ENABLE | IMASK), ([0], []))
    expect("CNTP_CTL_EL0, due and masked", read(ctl), ENABLE | IMASK | ISTATUS)
    expect(f"{what}: CTL 0 written, due", write(ctl, 0), ([0], []))
    expect("CNTP_CTL_EL0, off", read(ctl), 0)
    write(ctl, ALL)
    expect("ENABLE and IMASK are all that CNTP_CTL_EL0 takes", vcpu.get("vtimer.cntp.ctl"),
           ENABLE | IMASK)
    write(ctl, ISTATUS | ENABLE)
    expect("ISTATUS is not written", vcpu.get("vtimer.cntp.ctl"), ENABLE)
    before = bench.read_sysreg("CNTPCT_EL0")
    write(tval, 0xDEAD_BEEF_0000_1000)
    after = vcpu.get("vtimer.cntp.cval")
    expect_that("TVAL is the low word of what is written: CVAL - count",
                0x1000 <= after - before < 1 << 31, after - before, "0x1000 and a little")
    now = bench.read_sysreg("CNTPCT_EL0")
    bench.put(vcpu, vtimer__cntp__cval=now + (5 << 32))
    distance = bits(read(tval), 63, 0)
    expect_that("CNTP_TVAL_EL0 is the low word of CVAL - count",
                distance >> 32 == 0 and distance > 0xF000_0000, distance)


def test_wfi_blocks_and_goes_on_behind_itself(lab: Lab) -> None:
    bench, vcpu, _ = before_guests(lab)
    trap = handler(bench, "trap_entry", "ec", WFX)
    stubs: dict[str | int, int] = {"vcpu_block": 0}
    a64 = vcpu.get("frame.pstate")
    failing, holding = A32_USER, A32_USER | Z
    for name, iss, pstate, blocked, requests in (
        ("WFI", WFI, a64, True, 0), ("WFE", WFE, a64, False, REQ_RESCHEDULE),
        ("WFIT, which ends at a count", WFIT, a64, False, REQ_RESCHEDULE),
        ("WFET", WFET, a64, False, REQ_RESCHEDULE),
        ("WFIEQ with Z set", EQ | WFI & 3, holding, True, 0),
        ("WFIEQ with Z clear, a NOP", EQ | WFI & 3, failing, False, 0),
        ("WFEEQ with Z clear, a NOP", EQ | WFE & 3, failing, False, 0),
    ):  # fmt: skip
        bench.put(vcpu, requests=0, frame__pstate=pstate)
        result = bench.call(trap, vcpu.address, WFX << 26 | iss, stubs=stubs)
        expect(f"wfx_trap() of {name} returns", result, SKIP, trap_result)
        expect(f"{name}: vcpu_block() is called", bool(bench.calls), blocked)
        expect(f"{name}: requests", vcpu.get("requests"), requests)


def test_a_suspended_cpu_wakes_up_with_success(lab: Lab) -> None:
    """Nobody comes back to psci_cpu_suspend(): X0 is right before the vCPU sleeps."""
    bench, vcpu, _ = before_guests(lab)
    bench.put(vcpu, frame__pc=0x1000, **{"frame.x[0]": CPU_SUSPEND, "frame.x[1]": 0xDEAD << 32})
    result: list[int] = []

    def block(*_: int) -> int:
        result.append(vcpu.get("frame.x[0]"))
        return 0

    suspend = bench.objects.hypercall(CPU_SUSPEND)
    for state in (1 << 17, 1 << 24, 3 << 24, 1 << 31 | 1 << 16):
        bench.put(vcpu, **{"frame.x[0]": CPU_SUSPEND, "frame.x[1]": 1 << 40 | state})
        bench.call(suspend, vcpu.address, stubs={"vcpu_block": block})
        expect(f"power state {state:#x}, which a VM does not have: the vCPU does not sleep, and X0",
               (result, vcpu.get("frame.x[0]")), ([], INVALID_PARAMETERS))
    bench.put(vcpu, **{"frame.x[0]": CPU_SUSPEND, "frame.x[1]": 1 << 40 | 0x1_1234})
    returned = bench.call(suspend, vcpu.address, stubs={"vcpu_block": block})
    expect("psci_cpu_suspend() returns", returned & 0xFFFF_FFFF, RESUME, trap_result)
    expect("X0 when vcpu_block() is called, once", result, [0])
    expect("the guest goes on behind its HVC: PC", vcpu.get("frame.pc"), 0x1000)


def test_the_end_of_a_slice(lab: Lab) -> None:
    bench, vcpu, cpu = before_guests(lab)
    slice_ = bench.address_of(cpu, "slice")
    expire = cpu.get("slice.expire")
    stubs: dict[str | int, int] = {"deadline_arm": 0}

    def expires(state: int, slice_end: int, others: int) -> tuple[object, object]:
        bench.put(vcpu, state=state, requests=0)
        bench.put(cpu, slice_end=slice_end, runnable_count=others)
        bench.call(expire, slice_, stubs=stubs)
        return [call[1:] for call in calls(bench, 2)], vcpu.get("requests")

    what = "slice_expired(): (deadline armed, requests)"
    expect(f"{what}; before the end of this time slice", expires(RUNNING, FAR, 1),
           ([(slice_, FAR)], 0))
    expect(f"{what}; at its end, another waits", expires(RUNNING, 1, 1), ([], REQ_RESCHEDULE))
    ending = bench.machine.symbols["vms_ending"]
    bench.machine.memory.write(ending, (1).to_bytes(4, "little"))
    expect(f"{what}; at its end, a VM is to be cleared up", expires(RUNNING, 1, 0),
           ([], REQ_RESCHEDULE))
    bench.machine.memory.write(ending, bytes(4))
    expect(f"{what}; its vCPU sleeps", expires(BLOCKED, 1, 0), ([], 0))
    expect(f"{what}; its vCPU waits on a queue: the CPU is about to choose",
           expires(RUNNABLE, 1, 1), ([], 0))
    armed, work = expires(RUNNING, 1, 0)
    expect(f"{what}; alone: a new slice", (armed, work), ([(slice_, cpu.get("slice_end"))], 0))
    slice_end = cpu.get("slice_end")
    expect_that("the new time slice ends later than now (cpu->slice_end)",
                slice_end > bench.read_sysreg("CNTPCT_EL0"), slice_end)
    bench.put(cpu, vcpu=0)
    bench.call(expire, slice_, stubs=stubs)
    expect("slice_expired() of an idle CPU arms nothing", bench.calls, [])
