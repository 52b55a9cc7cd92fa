# SPDX-License-Identifier: MIT
"""Lab 3, one function at a time: what no guest can show before the other exercises are written.

The functions are called at EL2 where layer 3 is asked for its part of the first VM
(grader/oracle/calls.py).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from grader.conftest import Lab, MakeLab
from grader.machine.machine import EL2_ONLY
from grader.machine.verdict import Finding, Verdict, expect, expect_that
from grader.oracle.barriers import alike
from grader.oracle.calls import PAGE, Bench, Stub, hook_of
from grader.oracle.decode.list_register import ListRegister, ich_hcr
from grader.oracle.objects import Object
from grader.oracle.probe import ProbeVm

LAB = 3

GICD, GICH, GICR = 0x0800_0000, 0x0803_0000, 0x080A_0000
GICR_WAKER, SGI_BASE = 0x14, 0x1_0000
IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR = 0x80, 0x100, 0x180, 0x200, 0x280
ISACTIVER, ICACTIVER = 0x300, 0x380
CPENDSGIR, SPENDSGIR = 0xF10, 0xF20
IPRIORITYR, ICFGR, IROUTER = 0x400, 0xC00, 0x6000
ITARGETSR = 0x800
ACTIVE_PRIORITIES = ("ICC_AP0R0_EL1", "ICC_AP1R0_EL1")
ALL = 0xFFFF_FFFF
UART, TIMER, MAINTENANCE = 33, 27, 25
PRIVATE, SPIS = 32, 224
NO_LR = 0xFF
PENDING, ACTIVE = 1 << 62, 1 << 63
HANDLED, FORWARDED = 0, 1
ACTIVATE, DEACTIVATE = 1, 2
OFF, RUNNING = 0, 2
REQ_VGIC = 2
GRP0, GRP1 = 1, 2
ROUTE_ANY = 1 << 31
LRENPIE, NPIE, GRP0EIE, GRP0DIE, GRP1EIE, GRP1DIE, TDIR = (1 << n for n in (2, 3, 4, 5, 6, 7, 14))


@dataclass
class Stage:
    """EL2 before its first VM, with the interrupts of that VM idle in memory."""

    bench: Bench
    vm: Object
    vcpus: list[Object]
    spis: int

    @property
    def gic(self) -> Object:
        driver = self.bench.machine.memory.u64(self.bench.machine.symbols["gic"])
        return Object(self.bench.objects, "struct gic_driver", driver)

    def irq(self, intid: int, vcpu: int = 0) -> Object:
        size = self.bench.size("struct vgic_irq")
        first = self.bench.address_of(self.vcpus[vcpu], "vgic.private_irqs")
        address = (
            self.spis + size * (intid - PRIVATE) if intid >= PRIVATE else first + size * intid
        )
        return Object(self.bench.objects, "struct vgic_irq", address)

    def pend(self, intid: int, priority: int = 0xA0, **members: int) -> Object:
        """An interrupt that is pending by an edge, enabled and of Group 1, or as `members` say."""
        irq = self.irq(intid)
        self.bench.put(
            irq, **{"priority": priority, "enabled": 1, "group1": 1, "edge": 1,
                    "pending_latch": 1, **members}
        )  # fmt: skip
        return irq

    def line_up(self, *irqs: Object) -> None:
        """Make these, in this order, the list of vCPU 0."""
        bench = self.bench
        ring = [bench.address_of(self.vcpus[0], "vgic.ap_list"), *(irq.address for irq in irqs)]
        for this, after in zip(ring, ring[1:] + ring[:1], strict=True):
            bench.machine.memory.write(this, after.to_bytes(8, "little"))
            bench.machine.memory.write(after + 8, this.to_bytes(8, "little"))
        for irq in irqs:
            bench.put(irq, vcpu=self.vcpus[0].address, listed_priority=irq.get("priority"))

    def listed(self, vcpu: int = 0) -> list[int]:
        """INTIDs of a vCPU's list."""
        memory = self.bench.machine.memory
        head = self.bench.address_of(self.vcpus[vcpu], "vgic.ap_list")
        node, found = memory.u64(head), list[int]()
        while node != head and len(found) < SPIS:
            found.append(Object(self.bench.objects, "struct vgic_irq", node).get("intid"))
            node = memory.u64(node)
        expect("the list is closed", node, head)
        return found

    def hold_lock(self) -> None:
        """vgic.lock is held by whoever calls what is called from now on."""
        self.bench.put(self.vm, vgic__lock__taken=1)

    def load(self) -> None:
        """vCPU 0 has the CPU and its virtual interface."""
        cpu = self.bench.objects.cpu(0)
        self.bench.put(self.vcpus[0], vgic__resident=1, cpu=cpu.address, state=RUNNING)
        self.bench.put(cpu, vcpu=self.vcpus[0].address)

    def fill(self, irqs: list[Object], values: list[int]) -> None:
        """List registers with these values, and interrupts that know theirs."""
        for n, (irq, value) in enumerate(zip(irqs, values, strict=True)):
            self.bench.ask(self.gic.get("write_lr"), n, value)
            self.bench.put(irq, lr=n)
        self.bench.put(self.vcpus[0], vgic__lr_used=(1 << len(irqs)) - 1, vgic__loaded=1)

    def bits(self, member: str, first: int, word: int | None = None) -> int:
        """A member of 32 interrupts from INTID `first` on, one bit each; made `word` before."""
        size, memory = self.bench.size("struct vgic_irq"), self.bench.machine.memory
        offset, _ = self.bench.objects.member("struct vgic_irq", member)
        data = bytearray(memory.read(self.irq(first).address, 32 * size))
        if word is not None:
            data[offset::size] = bytes(word >> n & 1 for n in range(32))
            memory.write(self.irq(first).address, bytes(data))
        return sum(value << n for n, value in enumerate(data[offset::size]))

    def read_lrs(self, count: int = 4) -> list[ListRegister]:
        return [ListRegister(self.bench.ask(self.gic.get("read_lr"), n)) for n in range(count)]


def idle_irqs(bench: Bench, vcpu: int, first: int, address: int, count: int) -> bytes:
    """`count` interrupts from INTID `first` on, for `address`: on no list, in no list register."""
    size = bench.size("struct vgic_irq")
    return b"".join(
        bench.encode(
            "struct vgic_irq",
            {"node.next": at, "node.prev": at, "vcpu": vcpu, "intid": first + index, "lr": NO_LR},
        )
        for index, at in enumerate(range(address, address + size * count, size))
    )


def stage_of(lab: Lab, cpus: int = 1) -> Stage:
    bench = Bench.at(lab.start(ProbeVm("gic_enable", cpus=cpus)), LAB, "vm_create")
    vm = Object(bench.objects, "struct vm", bench.machine.register("x0"))
    spis = bench.allocate("struct vgic_irq", SPIS)[0].address
    bench.machine.memory.write(spis, idle_irqs(bench, 0, PRIVATE, spis, SPIS))
    vcpus = []
    for index in range(cpus):
        vcpu = vm.pointer(f"vcpus[{index}]", "struct vcpu")
        assert vcpu is not None
        head = bench.address_of(vcpu, "vgic.ap_list")
        bench.put(vcpu, vgic__ap_list__next=head, vgic__ap_list__prev=head, vmpidr=1 << 31 | index)
        irqs = bench.address_of(vcpu, "vgic.private_irqs")
        data = idle_irqs(bench, vcpu.address, 0, irqs, PRIVATE)
        bench.machine.memory.write(irqs, data)
        vcpus.append(vcpu)
    bench.put(vm, vgic__spis=spis, vgic__ctlr=GRP0 | GRP1)
    return Stage(bench, vm, vcpus, spis)


# 3.1 The physical GIC.


def claimed(bench: Bench, word: int) -> int:
    """GICD_ISENABLER<word> with what the registry claims."""
    intids = [entry.get("intid") for entry in bench.objects.registry("irq_entry", "registry_irqs")]
    return sum(1 << intid % 32 for intid in intids if intid // 32 == word)


def test_physical_gic_is_set_up_whatever_firmware_left(lab: Lab) -> None:
    bench = Bench.at(lab.start("gic_enable"), LAB, "init")
    machine, read = bench.machine, bench.device32
    for offset in (ISENABLER, ISACTIVER, ISPENDR):
        for word in (1, read(GICD + 4) & 0x1F):
            bench.store32(GICD + offset + 4 * word, 0x300)  # INTIDs 40 and 41, two of the last 32
        bench.store32(GICR + SGI_BASE + offset, 0x3000_0000)  # INTIDs 28 and 29
    for register in ACTIVE_PRIORITIES:
        bench.sysreg(register, 1 << 4)  # an interrupt at 0x20 was acknowledged and not completed
    bench.sysreg("ICC_BPR1_EL1", 0)
    least = bench.read_sysreg("ICC_BPR1_EL1")
    cbpr, eoimode = 1, 2
    for register, value in (("ICC_BPR1_EL1", 7), ("ICC_PMR_EL1", 0), ("ICH_HCR_EL2", 1),
                            ("ICH_LR3_EL2", ListRegister.make(90).value)):
        bench.sysreg(register, value)
    bench.go_on(LAB, "init_cpu")
    [switch] = alike(machine.config.elf, r"msr icc_sre_el2")
    machine.run_to(switch.address, EL2_ONLY)
    expect("ICC_SRE_EL2 is written with Enable (bit 3) clear: ICC_SRE_EL1 traps",
           machine.register(switch.operands.split(", ")[1]) & 0xF, 7)
    bench = Bench.at(machine, LAB, "vm_create")
    expect("GICD_CTLR: ARE, Group 1 alone enabled", read(GICD) & 0x13, 0x12)
    for word in range(1, (read(GICD + 4) & 0x1F) + 1):
        at = GICD + 4 * word
        expect(f"GICD_ISENABLER{word}: what the registry claims", read(at + ISENABLER),
               claimed(bench, word))
        expect(f"GICD_ISACTIVER{word}", read(at + ISACTIVER), 0)
        expect(f"GICD_ISPENDR{word}", read(at + ISPENDR), 0)
        expect(f"GICD_IGROUPR{word}: Group 1", read(at + IGROUPR), ALL)
        expect(f"GICD_IPRIORITYR{8 * word}: GIC_PRIORITY", read(GICD + IPRIORITYR + 32 * word),
               0xA0A0_A0A0)
        expect(f"GICD_IPRIORITYR{8 * word + 7}: GIC_PRIORITY",
               read(GICD + IPRIORITYR + 32 * word + 28), 0xA0A0_A0A0)
    expect(f"GICD_IROUTER{UART}: this CPU", read(GICD + IROUTER + 8 * UART), 0)
    expect("GICR_WAKER: awake", read(GICR + GICR_WAKER) & 6, 0)
    at = GICR + SGI_BASE
    expect("GICR_ISENABLER0: what the registry claims", read(at + ISENABLER), claimed(bench, 0))
    expect("GICR_ISACTIVER0", read(at + ISACTIVER), 0)
    expect("GICR_ISPENDR0 of INTIDs 28 and 29", read(at + ISPENDR) & 0x3000_0000, 0)
    expect("GICR_IGROUPR0: Group 1", read(at + IGROUPR), ALL)
    expect("GICR_IPRIORITYR7: GIC_PRIORITY", read(at + IPRIORITYR + 28), 0xA0A0_A0A0)
    for register in ACTIVE_PRIORITIES:
        expect(f"{register}: no priority is active, or it masks the rest",
               bench.read_sysreg(register), 0)
    expect("ICC_PMR_EL1: the mask is open", bench.read_sysreg("ICC_PMR_EL1"), 0xF8)
    expect("ICC_BPR1_EL1: 0, which reads as the least that there is",
           bench.read_sysreg("ICC_BPR1_EL1"), least)
    expect("ICC_CTLR_EL1: EOImode 1, CBPR 0", bench.read_sysreg("ICC_CTLR_EL1") & (cbpr | eoimode),
           eoimode)
    expect("ICH_HCR_EL2: the virtual interface is off", bench.read_sysreg("ICH_HCR_EL2"), 0)
    expect("ICH_LR3_EL2, the last list register", bench.read_sysreg("ICH_LR3_EL2"), 0)
    count = bench.objects.variable("struct gic_driver", "gic_v3").get("lr_count")
    expect("lr_count is ICH_VTR_EL2.ListRegs + 1", count, 4)


def reads(bench: Bench, *functions: str) -> Iterator[int]:
    """Stop at each load of these functions until the first VM is made: the address."""
    machine, loads = bench.machine, bench.loads(*functions)
    with ExitStack() as stack:
        for place in (*loads, hook_of(machine, LAB, "vm_create")):
            stack.enter_context(machine.breakpoint(place, EL2_ONLY))
        for stop in machine.stops("the GIC is set up", 2_000_000):
            if stop.pc not in loads:
                break
            yield bench.read_by(loads[stop.pc])


def read_from(bench: Bench, register: int, *functions: str) -> list[int]:
    """What these functions read from a device register until the first VM is made."""
    return [bench.device32(register) for address in reads(bench, *functions)
            if address == register]


def test_every_change_of_gicd_ctlr_is_awaited(lab: Lab) -> None:
    """RWP: a write of GICD_CTLR takes effect some time later. QEMU's is in effect at once."""
    bench = Bench.at(lab.start("gic_enable"), LAB, "init")
    bench.store32(GICD, 0x12)  # as firmware may leave it: affinity routing, Group 1
    seen = [value & 0x13 for value in read_from(bench, GICD, "gic_v3_init", "gicd_wait")]
    # QEMU's GICD_CTLR.ARE is always 1.
    expect_that("GICD_CTLR is read, until RWP is 0, behind both writes that leave the groups off, "
                "behind GICD_ICENABLER<n>, and when Group 1 is on",
                seen.count(0x10) >= 3 and seen[-1:] == [0x12],
                f"GICD_CTLR at each read: {', '.join(map(hex, seen)) or 'none'}")
    for store in bench.executed(r"str\s+w", "gic_v3_init", within="gic_v3_init"):
        if bench.read_by(store) == GICD:
            source = store.operands.split(",")[0]
            value = 0 if source == "wzr" else bench.machine.register(f"x{source[1:]}")
            expect("GICD_CTLR.ARE (bit 4), which firmware left set, in the write that switches "
                   "groups off: a change from 1 to 0 is UNPREDICTABLE", value & 0x10, 0x10)
            break


def test_the_redistributor_is_awake_before_it_is_used(lab: Lab) -> None:
    """ChildrenAsleep: it wakes up some time after ProcessorSleep was cleared, QEMU's at once."""
    bench = Bench.at(lab.start("gic_enable"), LAB, "init_cpu")
    asleep = [value & 2 for value in read_from(bench, GICR + GICR_WAKER, "gic_v3_init_cpu")]
    expect_that("GICR_WAKER is read when ProcessorSleep is clear, until ChildrenAsleep is 0",
                0 in asleep, f"ProcessorSleep at each read: {asleep or 'none'}")


@pytest.mark.parametrize("name", ["GICD_CTLR", "GICR_CTLR"])
def test_what_is_disabled_is_off_before_it_is_set_up(lab: Lab, name: str) -> None:
    """RWP: writing ICENABLER takes effect some time later. QEMU's are in effect at once."""
    bench = Bench.at(lab.start("gic_enable"), LAB, "init")
    distributor = name == "GICD_CTLR"
    control = GICD if distributor else GICR
    enable = GICD + ISENABLER + 4 if distributor else GICR + SGI_BASE + ISENABLER
    bench.store32(enable, 0x3000_0000)
    for address in reads(bench, "gic_v3_init", "gicd_wait", "gic_v3_init_cpu", "gicr_wait"):
        if (address == control and not bench.device32(enable)
                and not (distributor and bench.device32(GICD) & 3)):
            return
    raise bench.machine.finding(
        Verdict.FAIL, f"{name} is read when all is disabled, before anything is enabled",
        observed="the set-up is over", expected="a loop until RWP is 0")


def test_every_interrupt_is_dispatched_and_completed(lab: Lab, gic: int) -> None:
    bench = Bench.at(lab.start("gic_enable"), LAB, "vm_create")
    entries = bench.objects.registry("irq_entry", "registry_irqs")
    handler = next(entry.get("handler") for entry in entries if entry.get("intid") == UART)
    cpu = bench.objects.cpu(0).address
    bit, stranger = 1 << UART % 32, 1 << 40 % 32

    def take(result: int) -> list[tuple[int, ...]]:
        bench.call("gic_irq", cpu, stubs={handler: result})
        return [call.arguments[:2] for call in bench.calls]

    expect("gic_irq() with nothing pending calls no handler", take(HANDLED), [])
    bench.store32(GICD + ISPENDR + 4, bit)
    calls = take(HANDLED)
    mask = bench.read_sysreg("ICC_PMR_EL1") if gic == 3 else 0xFF
    expect_that("a pending interrupt of priority 0xa0 comes to its handler", bool(calls),
                f"no handler was called; ICC_PMR_EL1 is {mask:#x}" +
                (", which masks it" if mask <= 0xA0 else ""))
    expect("the handler gets the CPU and the INTID", calls, [(cpu, UART)])
    expect("handled: not active", bench.device32(GICD + ISACTIVER + 4) & bit, 0)
    bench.store32(GICD + ISENABLER + 4, stranger)
    bench.store32(GICD + ISPENDR + 4, bit | stranger)
    expect("it can be taken again", take(FORWARDED), [(cpu, UART)])
    expect("forwarded: left active. gic_v3_init_cpu() sets EOImode 1 (ICC_CTLR_EL1), so that the "
           "end is a priority drop alone, and gic_irq() does not deactivate it: ISACTIVER",
           bench.device32(GICD + ISACTIVER + 4), bit)
    expect("one call, one interrupt: the next takes the other", take(HANDLED), [])
    expect("one without a handler is masked", bench.device32(GICD + ISENABLER + 4) & stranger, 0)
    bench.store32(GICD + ISPENDR + 4, bit)
    expect("while active it does not come again", take(FORWARDED), [])


def test_an_interrupt_is_acknowledged_served_ended_and_deactivated(lab: Lab, gic: int) -> None:
    """In this order, with what the acknowledge gave; 1020 to 1023 are no interrupts."""
    bench = Bench.at(lab.start("gic_enable"), LAB, "vm_create")
    entries = bench.objects.registry("irq_entry", "registry_irqs")
    handler = next(entry.get("handler") for entry in entries if entry.get("intid") == UART)
    cpu = bench.objects.cpu(0).address
    driver = Object(bench.objects, "struct gic_driver",
                    bench.machine.memory.u64(bench.machine.symbols["gic"]))
    places = {name: bench.function(name) for name in ("acknowledge", "end", "deactivate",
                                                      "disable")}  # fmt: skip
    bench.put(driver, **places)
    names = {str(place): name for name, place in places.items()} | {str(handler): "handler"}

    def take(iar: int, result: int = HANDLED) -> list[tuple[str, int]]:
        stubs: dict[str | int, int] = {place: 0 for place in places.values()}
        stubs |= {places["acknowledge"]: iar, handler: result}
        bench.call("gic_irq", cpu, stubs=stubs)
        return [(names[call.name], call.arguments[int(call.name == str(handler))])
                for call in bench.calls[1:]]

    ended = [("end", UART), ("deactivate", UART)]
    expect("what follows the acknowledge of one that is handled", take(UART),
           [("handler", UART), *ended])
    expect("of one that is forwarded", take(UART, FORWARDED), [("handler", UART), ended[0]])
    for intid in (1020, 1021, 1022, 1023):
        expect(f"of {intid}, which is no interrupt", take(intid), [])
    for intid in (31, 32, 1019):
        expect(f"of INTID {intid}, which has no handler", take(intid),
               [("disable", intid), ("end", intid), ("deactivate", intid)])
    if gic == 2:
        iar = 3 << 10 | 9
        expect("of SGI 9 from CPU interface 3", take(iar),
               [("disable", 9), ("end", iar), ("deactivate", iar)])


@pytest.mark.parametrize("intid", [31, 32])
def test_private_and_shared_interrupts_have_their_own_registers(lab: Lab, intid: int) -> None:
    """INTID 31 is the last PPI, in the redistributor; 32 the first SPI, in the distributor."""
    bench = Bench.at(lab.start("gic_enable"), LAB, "vm_create")
    driver = bench.objects.variable("struct gic_driver", "gic_v3")
    own, other = (GICR + SGI_BASE, GICD + 4) if intid == 31 else (GICD + 4, GICR + SGI_BASE)
    bit = 1 << intid % 32
    icfgr = (GICR + SGI_BASE if intid == 31 else GICD) + ICFGR + intid // 16 * 4
    others, shift = bench.device32(other + ISENABLER), intid % 16 * 2
    edges = 0xAAAA_AAAA
    bench.store32(icfgr, edges & ~(3 << shift))
    if intid == 32:
        bench.store32(GICD + IROUTER + 8 * 32, 1)
    route = GICD + IROUTER + 8 * 32
    seen = []
    for _ in bench.executed(r"str (w|x)\d+, |str [wx]zr, ", driver.get("enable"), intid, 1,
                            within="gic_v3_enable"):
        seen.append((bench.device32(icfgr), bench.device32(route),
                     bench.device32(own + ISENABLER) & bit))
    expect(f"INTID {intid} is enabled", bench.device32(own + ISENABLER) & bit, bit)
    expect(f"ICFGR after gic_v3_enable() of INTID {intid}, an edge, whose field is [{shift + 1}:"
           f"{shift}]: 0b10 there, and its neighbours are what they were",
           hex(bench.device32(icfgr)), hex(edges))
    wanted = (edges, 0 if intid == 32 else bench.device32(route), 0)
    expect("trigger and route (GICD_ICFGR, GICD_IROUTER32, its bit of ISENABLER) before the last "
           "store, which enables it", seen[-1:], [wanted])
    bench.ask(driver.get("enable"), intid, 0)
    expect("enabled as a level: GICD_ICFGR", bench.device32(icfgr), edges & ~(3 << shift))
    bench.ask(driver.get("disable"), intid)
    expect(f"INTID {intid} is disabled", bench.device32(own + ISENABLER) & bit, 0)
    expect("those of the other kind are as they were", bench.device32(other + ISENABLER), others)


# 3.2 State of an interrupt.


def test_pending_is_a_latch_or_a_level(make_lab: MakeLab, seed: int) -> None:
    """On a GICv2, whose SGIs alone have requesters."""
    stage = stage_of(make_lab(LAB, 2))
    numbers = random.Random(seed)
    names = ("edge", "line_level", "pending_latch", "latch_in_lr", "hw")
    cases = [dict.fromkeys(names, 0) | {"line_level": 1, "edge": edge, "hw": hw}
             for edge in (0, 1) for hw in (0, 1)]  # fmt: skip
    cases += [dict.fromkeys(names, 0) | {"edge": 1, name: 1}
              for name in ("pending_latch", "latch_in_lr")]
    cases += [{name: numbers.getrandbits(1) for name in names} for _ in range(10)]
    for case in cases:
        sources = 0 if case["line_level"] else numbers.choice((0, 0, 4))
        if sources:  # an SGI: an edge, and nobody's line
            case |= {"edge": 1, "hw": 0}
        irq = stage.irq(numbers.randrange(16) if sources else numbers.randrange(PRIVATE, 256))
        stage.bench.put(irq, **case, sources=sources)
        level = case["line_level"] and (case["hw"] or not case["edge"])
        wanted = bool(level or case["pending_latch"] or case["latch_in_lr"] or sources)
        state = ", ".join(name for name, value in case.items() if value) or "nothing set"
        observed = bool(stage.bench.call("vgic_irq_is_pending", irq.address) & 1)
        expect(f"vgic_irq_is_pending() of {state}, sources {sources:#x}", observed, wanted)


def test_active_state_in_a_list_register_is_left_to_the_fold(lab: Lab) -> None:
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0].address
    bench.put(stage.gic, set_active=bench.nowhere)

    def set_active(irq: Object, active: int) -> tuple[int, int, list[tuple[int, int]]]:
        bench.call("vgic_irq_set_active", vcpu, irq.address, active, stubs={bench.nowhere: 0})
        physical = [(call.arguments[0], call.arguments[1] & 1) for call in bench.calls]
        return irq.get("active"), irq.get("request"), physical

    cached, plain, hardware = stage.irq(50), stage.irq(51), stage.irq(TIMER)
    bench.put(cached, lr=2)
    bench.put(hardware, hw=1, pintid=TIMER)
    stage.load()
    what = "vgic_irq_set_active(): (active, request, calls of gic->set_active())"
    expect(f"{what} in a list register, to active", set_active(cached, 1), (0, ACTIVATE, []))
    expect("and its vCPU, which runs here, is to fold: requests", stage.vcpus[0].get("requests"),
           REQ_VGIC)
    expect(f"{what} in a list register, to inactive", set_active(cached, 0), (0, DEACTIVATE, []))
    bench.put(plain, request=DEACTIVATE)
    expect(f"{what} in memory, where an older request waits, to active", set_active(plain, 1),
           (1, 0, []))
    expect(f"{what} in memory, to inactive", set_active(plain, 0), (0, 0, []))
    expect(f"{what} hw, its vCPU here, to active", set_active(hardware, 1), (1, 0, []))
    expect(f"{what} hw, here, to inactive", set_active(hardware, 0), (0, 0, [(TIMER, 0)]))
    expect(f"{what} hw, here, inactive already", set_active(hardware, 0), (0, 0, [(TIMER, 0)]))
    bench.put(stage.vcpus[0], vgic__resident=0)
    bench.put(hardware, active=1)
    expect(f"{what} hw, its vCPU loaded nowhere, to inactive", set_active(hardware, 0), (0, 0, []))


def test_the_cpu_that_reaches_a_physical_interrupt_is_told(lab: Lab) -> None:
    """Only the CPU on which the vCPU is resident has its PPIs."""
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    elsewhere = bench.allocate("struct cpu")[0].address
    stage.load()
    bench.put(vcpu, cpu=elsewhere)
    hardware = stage.irq(TIMER)
    bench.put(stage.gic, set_active=bench.nowhere)
    for active, request in ((0, DEACTIVATE), (1, ACTIVATE)):
        bench.put(hardware, hw=1, pintid=TIMER, active=1 - active, request=0)
        bench.put(vcpu, requests=0)
        bench.call("vgic_irq_set_active", vcpu.address, hardware.address, active,
                   stubs={bench.nowhere: 0, "vcpu_kick": 1})
        name = ("inactive", "active")[active]
        expect(f"vgic_irq_set_active() of a hw interrupt whose vCPU runs on another CPU, to {name}:"
               " active and the request that is left", (hardware.get("active"),
                                                        hardware.get("request")),
               (1 - active, request))
        expect("gic->set_active(), which reaches this CPU's PPI, is not called",
               [call.arguments[0] for call in bench.calls if call.name == str(bench.nowhere)], [])
        expect("the vCPU on the other CPU is asked to fold: requests (REQ_VGIC 2)",
               vcpu.get("requests"), REQ_VGIC)
        expect("and its CPU is told, or it would not look: calls of vcpu_kick()",
               [call.arguments[0] for call in bench.calls if call.name == "vcpu_kick"],
               [vcpu.address])


def test_a_line_that_rises_latches_an_edge(lab: Lab) -> None:
    stage = stage_of(lab)
    bench, vcpu = stage.bench, stage.vcpus[0].address

    def set_line(irq: Object, level: int) -> tuple[int, int]:
        bench.call("vgic_set_line", vcpu, irq.get("intid"), level)
        return irq.get("line_level"), irq.get("pending_latch")

    edge, level = stage.irq(60), stage.irq(61)
    bench.put(edge, edge=1)
    what = "vgic_set_line(): (line_level, pending_latch)"
    expect(f"{what} level-sensitive, rising", set_line(level, 1), (1, 0))
    expect(f"{what} level-sensitive, falling", set_line(level, 0), (0, 0))
    expect(f"{what} edge-triggered, rising", set_line(edge, 1), (1, 1))
    bench.put(edge, pending_latch=0)
    expect(f"{what} edge-triggered, up already", set_line(edge, 1), (1, 0))
    bench.put(edge, pending_latch=1)
    expect(f"{what} edge-triggered, falling", set_line(edge, 0), (0, 1))
    hardware = stage.irq(TIMER)
    stage.load()
    stage.fill([hardware], [ListRegister.make(TIMER, state=2, pintid=TIMER).value])
    bench.put(hardware, hw=1, pintid=TIMER, line_level=0, vcpu=vcpu)
    before: list[int] = []

    def fold(*_: int) -> int:
        before.append(hardware.get("line_level"))
        bench.put(hardware, lr=NO_LR)
        return 0

    bench.call("vgic_set_line", vcpu, TIMER, 1, stubs={"vgic_irq_fold": fold})
    expect("vgic_set_line() of a hw interrupt: line_level when its list register is folded, and "
           "afterwards", [*before, hardware.get("line_level")], [0, 1])
    bench.put(hardware, edge=1, line_level=0)
    bench.call("vgic_set_line", vcpu, TIMER, 1)
    expect("vgic_set_line() of a hw interrupt that the guest has made an edge: its line tells, and "
           "no latch (line_level, pending_latch + latch_in_lr)",
           (hardware.get("line_level"),
            hardware.get("pending_latch") + hardware.get("latch_in_lr")), (1, 0))
    bench.put(stage.vm, vgic__spis=0)
    bench.call("vgic_set_line", vcpu, 61, 1)
    expect("vgic_set_line() for a VM that has ended gives vgic.lock back: taken",
           stage.vm.get("vgic.lock.taken"), 0)
    expect("vgic_set_line() for a VM that has ended: line_level", level.get("line_level"), 0)


# 3.3 Filling list registers.


def test_an_interrupt_goes_where_it_is_routed(lab: Lab, gic: int) -> None:
    stage = stage_of(lab, cpus=3)
    bench, vm = stage.bench, stage.vm.address
    place: dict[int, int | None] = {vcpu.address: n for n, vcpu in enumerate(stage.vcpus)}
    place[0] = None
    spi = stage.irq(77)

    def ask(function: str, irq: Object) -> object:
        found = bench.call(function, vm, irq.address)
        return place.get(found, hex(found))

    bench.put(stage.vcpus[1], state=RUNNING)
    routes = {0: 0, 2: 2, 3: None, 0x100: None, ROUTE_ANY: 1, ROUTE_ANY | 2: 1}
    if gic == 2:
        # vCPU 1 alone is on
        routes = {0: None, 1: 0, 4: 2, 6: 1, 7: 1, 5: 0, 8: None, 0x18: None, 0x0C: 2}
    for route, wanted in routes.items():
        bench.put(spi, route=route)
        expect(f"vgic_target_vcpu() of an SPI with route {route:#x} is vCPU",
               ask("vgic_target_vcpu", spi), wanted)
    bench.put(stage.vcpus[1], state=OFF)
    bench.put(spi, route=6 if gic == 2 else ROUTE_ANY)
    expect("when all vCPUs that it may go to are off, the first of them has it: vCPU",
           ask("vgic_target_vcpu", spi), 1 if gic == 2 else 0)
    bench.put(stage.vcpus[1], state=RUNNING)
    if gic == 2:
        bench.put(stage.vm, vcpu_count=1)
        bench.put(spi, route=0)
        expect("a VM with one vCPU has no GICD_ITARGETSR: vgic_target_vcpu() with route 0 is vCPU",
               ask("vgic_target_vcpu", spi), 0)
        bench.put(stage.vm, vcpu_count=3)
    expect("vgic_target_vcpu() of vCPU 2's PPI is vCPU",
           ask("vgic_target_vcpu", stage.irq(TIMER, 2)), 2)
    bench.put(spi, route=4 if gic == 2 else 2)
    expect("vgic_target_oracle() of an idle SPI is vCPU", ask("vgic_target_oracle", spi), None)
    stage.pend(77)
    expect("vgic_target_oracle() of a pending SPI is vCPU", ask("vgic_target_oracle", spi), 2)
    bench.put(spi, enabled=0)
    expect("vgic_target_oracle() when it is disabled is vCPU", ask("vgic_target_oracle", spi), None)
    bench.put(spi, active=1)
    expect("vgic_target_oracle() when software made it active is vCPU",
           ask("vgic_target_oracle", spi), 2)
    bench.put(spi, vcpu=stage.vcpus[1].address, enabled=1)
    expect("vgic_target_oracle() when vCPU 1 acknowledged it is vCPU",
           ask("vgic_target_oracle", spi), 1)


def test_a_list_is_ordered_by_priority_and_then_intid(lab: Lab, seed: int) -> None:
    stage = stage_of(lab)
    bench, numbers = stage.bench, random.Random(seed)
    intids = numbers.sample(range(PRIVATE, 256), 8)
    priority = {intid: numbers.choice((0x20, 0x80, 0xC8, 0xF8)) for intid in intids}

    def relist(intid: int) -> int:
        return bench.call("vgic_irq_relist", stage.vm.address, stage.irq(intid).address)

    def in_order() -> list[int]:
        return sorted(priority, key=lambda intid: (priority[intid], intid))

    for intid in intids:
        stage.pend(intid, priority[intid])
        expect("vgic_irq_relist() returns its vCPU", relist(intid), stage.vcpus[0].address)
    expect("the list after vgic_irq_relist() of each", stage.listed(), in_order())
    moved, held, gone = numbers.sample(intids, 3)
    priority[moved] = 0x10
    bench.put(stage.irq(moved), priority=0x10)
    relist(moved)
    expect(f"the list when INTID {moved} has got priority 0x10", stage.listed(), in_order())
    bench.put(stage.irq(held), lr=1, enabled=0)
    expect("vgic_irq_relist() of one that a list register holds returns", relist(held),
           stage.vcpus[0].address)
    expect("one that a list register holds stays", stage.listed(), in_order())
    stale = next(intid for intid in in_order() if priority[intid] == max(priority.values()))
    new = next(intid for intid in range(PRIVATE, 256) if intid not in intids)
    bench.put(stage.irq(stale), priority=0)
    priority[new] = priority[stale] - 8
    stage.pend(new, priority[new])
    relist(new)
    expect(f"INTID {stale} has another priority, but not its place yet: INTID {new} of "
           f"{priority[new]:#x} finds its own by listed_priority", stage.listed(), in_order())
    bench.put(stage.irq(stale), priority=priority[stale])
    bench.put(stage.irq(gone), enabled=0)
    expect("vgic_irq_relist() of one that was disabled returns", relist(gone), 0)
    del priority[gone]
    expect("it is on no list", stage.listed(), in_order())
    expect("and belongs to no vCPU", stage.irq(gone).get("vcpu"), 0)
    private = stage.pend(TIMER, enabled=0)
    relist(TIMER)
    expect("a PPI on no list keeps its owner: vcpu", private.get("vcpu"), stage.vcpus[0].address)


def test_list_registers_are_filled_from_the_head(lab: Lab) -> None:
    stage = stage_of(lab)
    bench = stage.bench
    stage.load()
    bench.put(stage.vcpus[0], vgic__lr_used=0xF, **{"vgic.lr[3]": 1 << 60 | 93})
    for n in range(4):
        bench.ask(stage.gic.get("write_lr"), n, 1 << 60 | 90 + n)
    edge = stage.pend(40, 0x20)
    level = stage.pend(41, 0x48, edge=0, pending_latch=0, line_level=1, group1=0)
    hardware = stage.irq(TIMER)
    bench.put(
        hardware, priority=0xA0, enabled=1, group1=1, pending_latch=1, active=1, hw=1, pintid=29
    )
    stage.line_up(edge, level, hardware)
    bench.call("vgic_flush", stage.vcpus[0].address)
    wanted = [
        ListRegister.make(40, priority=0x20),
        ListRegister.make(41, priority=0x48, group=0, eoi=True),
        ListRegister.make(TIMER, priority=0xA0, state=2, pintid=29),
        ListRegister(0),
    ]
    for n, (lr, want) in enumerate(zip(stage.read_lrs(), wanted, strict=True)):
        expect(f"LR{n}", lr.value, want.value, ListRegister)
    expect("lr_used", stage.vcpus[0].get("vgic.lr_used"), 7)
    expect("vgic.lr[3], which is not needed any more", stage.vcpus[0].get("vgic.lr[3]"), 0)
    expect("the edge's latch moved (pending_latch, latch_in_lr)",
           (edge.get("pending_latch"), edge.get("latch_in_lr")), (0, 1))
    expect("a level has no latch (pending_latch, latch_in_lr)",
           (level.get("pending_latch"), level.get("latch_in_lr")), (0, 0))
    expect("each knows its list register", [irq.get("lr") for irq in (edge, level, hardware)],
           [0, 1, 2])
    hcr = stage.vcpus[0].get("vgic.hcr")
    expect("ICH_HCR_EL2: on, and no condition asked for", hcr, 1, ich_hcr)
    memory = bench.machine.memory
    many = [stage.pend(50 + n, 8 * n) for n in range(stage.gic.get("lr_count") + 1)]
    stage.line_up(*many)
    bench.put(stage.vcpus[0], vgic__loaded=0)

    def choose(vcpu: int, chosen: int, room: int, count: int) -> int:
        memory.write(chosen, many[4].address.to_bytes(8, "little"))
        memory.write(count, (1).to_bytes(4, "little"))
        return NPIE

    bench.call("vgic_flush", stage.vcpus[0].address, stubs={"vgic_choose_overflow": choose})
    expect("of five, vgic_choose_overflow() picks the last: which list register each has",
           [irq.get("lr") for irq in many], [NO_LR] * 4 + [0])
    expect("vgic.lr_free afterwards: no list register takes another one before those that wait",
           stage.vcpus[0].get("vgic.lr_free"), 0)
    expect("ICH_HCR_EL2: on, and what vgic_choose_overflow() asks for",
           stage.vcpus[0].get("vgic.hcr"), 1 | NPIE, ich_hcr)


def test_an_active_interrupt_is_pending_by_its_completion_alone(lab: Lab) -> None:
    stage = stage_of(lab)
    bench = stage.bench
    stage.load()
    line = {"edge": 0, "pending_latch": 0, "line_level": 1}
    nobody = 5  # a vCPU that there is not
    none: dict[str, int] = {}
    cases = {  # members, State, EOI
        "sent again": (none, 3, False),
        "by now another vCPU's": ({"route": nobody}, 2, True),
        "with its line up, which somebody watches": ({**line, "resample": bench.nowhere}, 2, True),
        "with its line up, but disabled": ({**line, "enabled": 0}, 2, False),
    }
    irqs = [stage.pend(40 + n, 8 * n, active=1, **members)
            for n, (members, *_) in enumerate(cases.values())]
    stage.line_up(*irqs)
    bench.call("vgic_flush", stage.vcpus[0].address)
    for n, (name, (_, state, eoi)) in enumerate(cases.items()):
        expect(f"LR{n} of one that is active, and {name}", stage.read_lrs()[n].value,
               ListRegister.make(40 + n, priority=8 * n, state=state, eoi=eoi).value, ListRegister)
    latches = [(irq.get("pending_latch"), irq.get("latch_in_lr")) for irq in irqs[:2]]
    expect("(pending_latch, latch_in_lr) of the first two: the latch moves where pending goes",
           latches, [(0, 1), (1, 0)])


def test_an_sgi_carries_its_requester(make_lab: MakeLab) -> None:
    """GICv2: pending once for each requester, one at a time, the lowest first."""
    stage = stage_of(make_lab(LAB, 2), cpus=3)
    bench = stage.bench
    stage.load()
    sgi = stage.pend(5, 0x40, pending_latch=0, group1=0, sources=0b110)
    stage.line_up(sgi)
    bench.call("vgic_flush", stage.vcpus[0].address)
    lr = stage.vcpus[0].get("vgic.lr[0]")
    wanted = ListRegister.make(5 | 1 << 10, priority=0x40, group=0, eoi=True).value
    expect("LR0: SGI 5 of requester 1, EOI since another waits", lr, wanted, ListRegister)
    kept = (sgi.get("sources"), sgi.get("active_source"), sgi.get("latch_in_lr"))
    expect("(sources, active_source, latch_in_lr)", kept, (0b100, 1, 1))
    bench.put(stage.vcpus[0], vgic__loaded=0)
    bench.put(sgi, active=1, active_source=2, sources=0b001, latch_in_lr=0, lr=NO_LR)
    bench.call("vgic_flush", stage.vcpus[0].address)
    wanted = ListRegister.make(5 | 2 << 10, priority=0x40, state=2, group=0, eoi=True).value
    expect("LR0: SGI 5 active from requester 2, EOI since another waits",
           stage.vcpus[0].get("vgic.lr[0]"), wanted, ListRegister)
    kept = (sgi.get("sources"), sgi.get("active_source"), sgi.get("latch_in_lr"))
    expect("(sources, active_source, latch_in_lr)", kept, (0b001, 2, 0))


# 3.4 Folding back.


def test_what_the_guest_did_is_folded_back(lab: Lab) -> None:
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    stage.load()
    cached = {"pending_latch": 0, "latch_in_lr": 1}
    waits, taken = stage.pend(40, **cached), stage.pend(41, **cached)
    done, ordered = stage.pend(42, **cached), stage.pend(43, active=1, pending_latch=0)
    bench.put(ordered, request=DEACTIVATE)
    states = (1, 2, 0, 2)
    values = [ListRegister.make(40 + n, state=state).value for n, state in enumerate(states)]
    stage.fill([waits, taken, done, ordered], values)
    loaded: list[int] = []

    def relisted_folded(*_: int) -> int:
        loaded.append(vcpu.get("vgic.loaded"))
        return 0

    bench.call("vgic_fold", vcpu.address, stubs={"vgic_irq_relist_folded": relisted_folded})
    what = "(active, pending_latch, latch_in_lr, lr) after the fold of one that"

    def state(irq: Object) -> tuple[int, ...]:
        return tuple(irq.get(name) for name in ("active", "pending_latch", "latch_in_lr", "lr"))

    expect(f"{what} still is pending", state(waits), (0, 1, 0, NO_LR))
    expect(f"{what} was acknowledged", state(taken), (1, 0, 0, NO_LR))
    expect(f"{what} was acknowledged and completed", state(done), (0, 0, 0, NO_LR))
    expect(f"{what} was to be deactivated", state(ordered), (0, 0, 0, NO_LR))
    expect("the request has been carried out", ordered.get("request"), 0)
    expect("vgic.loaded when each is relisted: memory is the truth already", loaded, [0] * 4)
    expect("vgic.loaded", vcpu.get("vgic.loaded"), 0)
    relisted = sorted(call.arguments[1] for call in bench.calls)
    expect("each is relisted", relisted, [irq.address for irq in (waits, taken, done, ordered)])
    expect("vgic.lr[]: what was read", [vcpu.get(f"vgic.lr[{n}]") for n in range(4)], values)
    expect("vgic.lr_used, by which the refill knows what to clear", vcpu.get("vgic.lr_used"), 0xF)


def test_what_comes_meanwhile_is_not_lost_and_lines_are_asked_when_it_is_over(lab: Lab) -> None:
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    stage.load()
    resample, deactivate = bench.function("resample"), bench.function("set_active")
    bench.put(stage.gic, set_active=deactivate)
    again = stage.pend(40, latch_in_lr=1)
    watched = [stage.pend(41 + n, edge=0, pending_latch=0, line_level=1, resample=resample)
               for n in range(3)]
    values = [ListRegister.make(40, state=2), ListRegister.make(41, state=0, eoi=True),
              ListRegister.make(42, state=1, eoi=True), ListRegister.make(43, state=0)]
    stubs: dict[str | int, int] = {"vgic_irq_relist_folded": 0, resample: 0, deactivate: 0}

    def fold(irqs: list[Object], lrs: list[ListRegister]) -> list[tuple[int, int]]:
        """What the fold asks of a line (1) or deactivates (2): its INTID."""
        stage.fill(irqs, [lr.value for lr in lrs])
        bench.put(vcpu, vgic__lr_used=(1 << len(lrs)) - 1)
        bench.call("vgic_fold", vcpu.address, stubs=stubs)
        return [(1, call.arguments[1]) if call.name == str(resample) else (2, call.arguments[0])
                for call in bench.calls if call.name != "vgic_irq_relist_folded"]

    asked = fold([again, *watched], values)
    expect("one that was sent again while its list register was acknowledged: "
           "(active, pending_latch, latch_in_lr)",
           tuple(again.get(name) for name in ("active", "pending_latch", "latch_in_lr")), (1, 1, 0))
    expect("whose line is asked: of one that was completed, and had asked to be told (EOI)", asked,
           [(1, 41)])
    expect("line_level of the three afterwards", [irq.get("line_level") for irq in watched],
           [0, 1, 1])
    timer = stage.irq(TIMER)
    for completes, state, wanted in ((1, 0, []), (0, 0, [(2, 29)]), (0, 2, []), (0, 1, [])):
        bench.put(stage.gic, completes_hw=completes)
        bench.put(timer, hw=1, pintid=29, line_level=1, enabled=1, group1=1)
        lr = ListRegister.make(TIMER, state=state, pintid=29)
        expect(f"a hw interrupt whose list register is in state {state}, the hardware completes it "
               f"{completes}: what is deactivated", fold([timer], [lr]), wanted)
        expect("line_level: up exactly if it is pending", timer.get("line_level"), int(state == 1))


def test_an_sgi_in_a_list_register_keeps_its_requester(make_lab: MakeLab) -> None:
    """GICv2: a list register has room for one requester. Another one waits for the completion."""
    stage = stage_of(make_lab(LAB, 2), cpus=3)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    stage.load()
    sgi = stage.pend(5, 0x40, pending_latch=0, group1=0)
    every = (1 << stage.gic.get("lr_count")) - 1
    for what, state, held, sender, after, eoi, sources in (
        ("pending from 1, sent by 2", 1, 1, 2, 1, True, 0b100),
        ("pending from 2, sent by 1", 1, 2, 1, 1, True, 0b100),
        ("active from 1, sent by 2", 2, 1, 2, 2, True, 0b100),
        ("active from 1, sent by 1", 2, 1, 1, 3, False, 0),
        ("completed from 1, sent by 2", 0, 1, 2, 1, False, 0),
    ):
        source = 2 if what.startswith("completed") else min(held, sender) if state == 1 else held
        bench.put(sgi, active=0, latch_in_lr=1, active_source=held, sources=1 << sender, changed=0)
        stage.line_up(sgi)
        stage.fill([sgi], [ListRegister.make(5 | held << 10, priority=0x40, state=state,
                                             group=0).value])
        bench.put(vcpu, vgic__hcr=1, vgic__lr_free=every & ~1)
        bench.call("vgic_irq_latched", stage.vm.address, sgi.address)
        wanted = ListRegister.make(5 | source << 10, priority=0x40, state=after, group=0, eoi=eoi)
        expect(f"SGI 5, {what}: its list register", stage.read_lrs(1)[0].value, wanted.value,
               ListRegister)
        expect(f"SGI 5, {what}: requesters that wait (sources)", sgi.get("sources"), sources)
    bench.put(sgi, active=0, latch_in_lr=1, active_source=2, sources=0)
    stage.fill([sgi], [ListRegister.make(5 | 2 << 10, group=0).value])
    bench.call("vgic_fold", vcpu.address, stubs={"vgic_irq_relist_folded": 0})
    expect("(sources, latch_in_lr, lr) of SGI 5 after the fold of a list register that has it "
           "pending from requester 2, at [12:10]: the INTID is in [9:0], ICH_LR_EL2_VINTID_MASK",
           (sgi.get("sources"), sgi.get("latch_in_lr"), sgi.get("lr")), (1 << 2, 0, NO_LR))


def test_completions_are_counted_before_the_fold(lab: Lab) -> None:
    """EOIcount stands in ICH_HCR_EL2, whose next write loses it."""
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    stage.load()
    irq = stage.pend(40, pending_latch=0, latch_in_lr=1)
    held: list[tuple[int, int]] = []

    def retire(*_: int) -> int:
        held.append((irq.get("lr"), vcpu.get("vgic.loaded")))
        return 0

    for hcr, wanted in ((1 | LRENPIE | TDIR, [(0, 1)]), (1 | NPIE, [])):
        stage.fill([irq], [ListRegister.make(40).value])
        bench.put(vcpu, vgic__hcr=hcr)
        held.clear()
        bench.call("vgic_fold", vcpu.address,
                   stubs={"vgic_retire_spilled": retire, "vgic_irq_relist_folded": 0})
        expect(f"vgic_fold() with vgic.hcr {ich_hcr(hcr)}: each call of vgic_retire_spilled(), and "
               "(lr of an interrupt, vgic.loaded) then, before anything is folded", held, wanted)


def test_a_physical_line_is_sampled_again(lab: Lab) -> None:
    """is_asserted() says no: pending state goes; so does the physical active state nobody needs."""
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    stage.load()
    sample, deactivate = bench.nowhere, bench.nowhere + 4
    bench.put(stage.gic, set_active=deactivate)
    timer = stage.irq(TIMER)
    bench.put(vcpu, vgic__hw_mask=1 << TIMER)
    stubs: dict[str | int, int] = {sample: 0, deactivate: 0, "vgic_irq_relist_folded": 0}
    for active, asserted, wanted in ((0, 1, (1, [])), (0, 0, (0, [TIMER])), (1, 0, (0, []))):
        bench.put(timer, hw=1, pintid=TIMER, line_level=1, active=active, is_asserted=sample)
        bench.call("vgic_resample", vcpu.address, stubs={**stubs, sample: asserted})
        calls = [call.arguments[0] for call in bench.calls if call.name == str(deactivate)]
        what = (f"vgic_resample(), active {active}, physical line {asserted}: "
                "(line_level, deactivated)")
        expect(what, (timer.get("line_level"), calls), wanted)
    bench.put(timer, line_level=1, active=0, enabled=1, group1=1)
    stage.line_up(timer)
    bench.call("vgic_resample", vcpu.address, stubs=stubs)
    expect("one whose line fell is relisted: the list", stage.listed(), [])
    for what, members, left in (
        ("one with a latch is pending still", {"pending_latch": 1}, (0, 0, [])),
        ("one that a list register holds is the fold's", {"lr": 0}, (1, 0, [])),
        ("a request is carried out", {"line_level": 0, "active": 1, "request": DEACTIVATE},
         (0, 0, [TIMER])),
    ):
        bench.put(timer, **{"line_level": 1, "active": 0, "pending_latch": 0, "lr": NO_LR,
                            "request": 0, **members})
        bench.call("vgic_resample", vcpu.address, stubs=stubs)
        calls = [call.arguments[0] for call in bench.calls if call.name == str(deactivate)]
        expect(f"vgic_resample(): {what} (line_level, active, deactivated)",
               (timer.get("line_level"), timer.get("active"), calls), left)
    bench.put(timer, line_level=1, active=0, pending_latch=0, lr=NO_LR, request=0)
    bench.put(vcpu, requests=0)
    bench.call("vgic_pull", vcpu.address, stubs=stubs)
    expect("vgic_pull() of a vCPU that is not loaded changes nothing", timer.get("line_level"), 1)
    elsewhere = bench.allocate("struct cpu")[0].address
    bench.put(vcpu, vgic__loaded=1, cpu=elsewhere)
    bench.call("vgic_pull", vcpu.address, stubs=stubs)
    expect("nor does that of one that is loaded on another CPU", timer.get("line_level"), 1)
    bench.put(vcpu, cpu=bench.cpu.address)
    bench.put(vcpu, vgic__loaded=1)
    bench.call("vgic_pull", vcpu.address, stubs=stubs)
    expect("vgic_pull() of one that is samples the line", timer.get("line_level"), 0)
    expect("and has the entry refill: requests", vcpu.get("requests"), REQ_VGIC)


# 3.5 Overflow and maintenance.


def test_what_is_left_out_asks_for_its_event(lab: Lab) -> None:
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    bench.put(stage.gic, read_vmcr=bench.nowhere)
    chosen, count = bench.allocate("u64", 17)[0].address, bench.allocate("u64")[0].address
    off, on, act = {"group1": 0}, dict[str, int](), {"active": 1, "pending_latch": 0}
    both = {"active": 1}
    cases = {
        "six pending": (2, [on] * 6, [0, 1, 2, 3], NPIE),
        "six active": (2, [act] * 6, [0, 1, 2, 3], LRENPIE | TDIR),
        "five active before one pending": (2, [act] * 5 + [on], [0, 1, 2, 5], LRENPIE | TDIR),
        "one pending, five active": (2, [on] + [act] * 5, [0, 1, 2, 3], LRENPIE | TDIR),
        "four of a group that is off before one": (2, [off] * 4 + [on], [4], GRP0EIE),
        "active and pending, its group off": (2, [both | off] + [on] * 4, [1, 2, 3, 4],
                                              LRENPIE | TDIR),
        "six of Group 0 pending": (1, [off] * 6, [0, 1, 2, 3], NPIE),
        "six active, Group 0 on": (1, [act] * 6, [0, 1, 2, 3], LRENPIE | TDIR),
        "six of Group 1 pending": (0, [on] * 6, [], GRP1EIE),
        "six pending, two of Group 0": (3, [on] * 4 + [off] * 2, [0, 1, 2, 3],
                                        GRP0DIE | GRP1DIE | NPIE),
    }  # fmt: skip
    for name, (groups, members, wanted, events) in cases.items():
        irqs = [stage.pend(40 + n, 8 * n, active=0, **{}) for n in range(len(members))]
        for irq, extra in zip(irqs, members, strict=True):
            bench.put(irq, **{"active": 0, "pending_latch": 1, "group1": 1, **extra})
        stage.line_up(*irqs)
        asked = bench.call(
            "vgic_choose_overflow", vcpu.address, chosen, 4, count, stubs={bench.nowhere: groups}
        )
        memory = bench.machine.memory
        place = {irq.address: n for n, irq in enumerate(irqs)}
        got = [place.get(memory.u64(chosen + 8 * n)) for n in range(memory.u32(count) & 0xF)]
        name = f"{name}, groups enabled {groups:#04b}"
        expect(f"{name}, 4 list registers: which of them get one", got, wanted)
        expect(f"{name}: what is asked for", asked, events, ich_hcr)


def test_completions_without_a_list_register_are_counted(lab: Lab) -> None:
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    irqs = [stage.pend(40 + n, 8 * n, pending_latch=0, active=int(n != 1)) for n in range(5)]
    bench.put(irqs[0], lr=0)
    resample, read_hcr = bench.function("resample"), bench.function("read_hcr")
    bench.put(irqs[2], edge=0, line_level=1, resample=resample)
    stage.line_up(*irqs)
    bench.put(stage.gic, read_hcr=read_hcr)
    bench.call(
        "vgic_retire_spilled", vcpu.address,
        stubs={read_hcr: 2 << 27, resample: 0, "vgic_irq_relist_folded": 0}
    )
    names = {str(resample): "resample", str(read_hcr): "read_hcr"}
    expect("of one whose line is watched the line is asked, and then it is relisted",
           [names.get(call.name, call.name) for call in bench.calls],
           ["read_hcr", "resample", "vgic_irq_relist_folded", "vgic_irq_relist_folded"])
    expect("line_level of it", irqs[2].get("line_level"), 0)
    active = [irq.get("active") for irq in irqs]
    expect("EOIcount 2; the first is in a list register, the second inactive", active,
           [1, 0, 0, 0, 1])


def test_a_maintenance_interrupt_has_the_list_registers_filled_anew(lab: Lab) -> None:
    """Its reasons are levels: they end when the interface is off."""
    stage = stage_of(lab)
    bench, vcpu, cpu = stage.bench, stage.vcpus[0], stage.bench.objects.cpu(0)
    handler = bench.objects.handler("irq_entry", "registry_irqs", "intid", MAINTENANCE)
    bench.put(stage.gic, write_hcr=bench.nowhere)
    locked: list[int] = []

    def pull(*_: int) -> int:
        locked.append(stage.vm.get("vgic.lock.taken"))
        return 0

    def interrupt() -> list[str]:
        result = bench.call(handler, cpu.address, MAINTENANCE,
                            stubs={"vgic_pull": pull, bench.nowhere: 0})
        expect("vgic_maintenance() returns", result & 0xFFFF_FFFF, HANDLED)
        names = {str(bench.nowhere): "write_hcr"}
        return [names.get(call.name, call.name) for call in bench.calls]

    stage.load()
    bench.put(vcpu, vgic__hcr=1 | NPIE, requests=0)
    expect("vgic_maintenance() pulls, then switches the interface off in ICH_HCR_EL2: it calls",
           interrupt(), ["vgic_pull", "write_hcr"])
    expect("ICH_HCR_EL2 is written: 0", bench.calls[-1].arguments[0], 0)
    expect("with vgic.lock", (locked, stage.vm.get("vgic.lock.taken")), ([1], 0))
    left = (ich_hcr(vcpu.get("vgic.hcr")), vcpu.get("requests"))
    expect("(vgic.hcr, requests)", left, (ich_hcr(0), REQ_VGIC))
    bench.put(vcpu, vgic__resident=0, vgic__hcr=5, requests=0)
    expect("vgic_maintenance() of a vCPU that is not resident calls", interrupt(), [])
    bench.put(cpu, vcpu=0)
    expect("vgic_maintenance() without a vCPU calls", interrupt(), [])
    left = (ich_hcr(vcpu.get("vgic.hcr")), vcpu.get("requests"))
    expect("(vgic.hcr, requests)", left, (ich_hcr(5), 0))


# 3.6 Distributor and redistributor.


class Model:
    """A device model, as its DEVICE() gives it; vCPU 0 accesses it, and other exercises rest."""

    def __init__(self, stage: Stage, name: str, state: int = 0, vcpu: int = 0) -> None:
        for function in ("vgic_pull", "vgic_irq_update"):
            stage.bench.silence(function)
        self._bench, self._vcpu, self._state = stage.bench, stage.vcpus[vcpu].address, state
        for device in self._bench.objects.registry("device", "registry_devices"):
            if self._bench.machine.memory.text(device.get("name")) == name:
                self._read, self._write = device.get("read"), device.get("write")
                return
        raise Finding(Verdict.FAIL, f"the image has the device {name}")

    def read(self, offset: int, size: int = 4,
             stubs: Mapping[str | int, Stub] | None = None) -> int:
        return self._bench.call(self._read, self._vcpu, self._state, offset, size, stubs=stubs)

    def write(self, offset: int, value: int, size: int = 4,
              stubs: Mapping[str | int, Stub] | None = None) -> None:
        self._bench.call(self._write, self._vcpu, self._state, offset, size, value,
                         stubs={"vmm_irq_send": 0, **(stubs or {})})


def check_ones_alone(stage: Stage, model: Model, frame: int, bank: str, first: int,
                     numbers: random.Random) -> None:
    """Set and clear registers of the interrupts from `first` on, which have ones and zeroes."""
    name = f"{bank}{first // 32}"
    for member, set_at, clear_at, letters in (("enabled", ISENABLER, ICENABLER, "ENABLER"),
                                              ("pending_latch", ISPENDR, ICPENDR, "PENDR"),
                                              ("active", ISACTIVER, ICACTIVER, "ACTIVER")):
        before = numbers.getrandbits(32) | 0x0C | 0x3 << 30
        before &= ~(0x30 | 1 << 29)
        written = numbers.getrandbits(32) & numbers.getrandbits(32) & ~0x0C | 0x14 | 1 << 31
        for letter, at, wanted in (("S", set_at, before | written),
                                   ("C", clear_at, before & ~written)):
            stage.bits(member, first, before)
            register = name.replace("*", f"I{letter}{letters}")
            model.write(frame + at + first // 32 * 4, written)
            expect(f"{member} of INTIDs {first} to {first + 31}, {before:#010x}, after "
                   f"{written:#010x} is written to {register}: its ones alone count",
                   stage.bits(member, first), wanted)
    for member in ("pending_latch", "latch_in_lr", "line_level"):
        stage.bits(member, first, 0b0110)
    model.write(frame + ICPENDR + first // 32 * 4, 0b1010)
    left = stage.bits("pending_latch", first), stage.bits("latch_in_lr", first)
    expect(f"(pending_latch, latch_in_lr) of INTIDs {first} to {first + 31}, 0b0110 each, after "
           f"0b1010 is written to {name.replace('*', 'ICPENDR')}: both parts of a latch are taken "
           "away", left, (0b0100, 0b0100))
    expect(f"line_level of INTIDs {first} to {first + 31}, which is the device's",
           stage.bits("line_level", first), 0b0110)


def check_changes_meet_the_truth(stage: Stage, model: Model, offset: int, irq: Object) -> None:
    """An interrupt of vCPU 1's list: a list register there may know better, until it is pulled."""
    owner = stage.vcpus[1].address
    stage.bench.put(irq, vcpu=owner, pending_latch=0)
    before: list[int] = []

    def pull(*_: int) -> int:
        before.append(irq.get("pending_latch"))
        return 0

    intid = irq.get("intid")
    model.write(offset, 1 << intid % 32, stubs={"vgic_pull": pull, "vgic_irq_update": 0})
    calls = [(call.name, call.arguments[int(call.name == "vgic_irq_update")])
             for call in stage.bench.calls]
    expect(f"a write to the ISPENDR of INTID {intid}, which vCPU 1 has: what is called for whom",
           calls, [("vgic_pull", owner), ("vgic_irq_update", irq.address)])
    expect("pending_latch when that vCPU is pulled, and afterwards",
           [*before, irq.get("pending_latch")], [0, 1])


def check_groups(stage: Stage, model: Model) -> None:
    """GICD_CTLR: every interrupt may come or go. vgic_irq_update() marks those it is called for."""
    bench = stage.bench
    offset, _ = bench.objects.member("struct vgic_irq", "changed")
    strb = 0x3900_0000 | offset << 10 | 1 << 5 | 2  # strb w2, [x1, #offset]
    marks = struct.pack("<3I", 0x5280_0022, strb, 0xD65F_03C0)  # mov w2, #1; strb; ret
    bench.machine.gdb.write_virtual(bench.machine.symbols["vgic_irq_update"], marks)
    bench.put(stage.vm, vgic__ctlr=0)
    model.write(0, 3, stubs={"vgic_pull": 0})
    expect("a write to GICD_CTLR pulls every vCPU", [call.arguments[0] for call in bench.calls],
           [vcpu.address for vcpu in stage.vcpus])
    places = [(f"INTIDs 0 to 31 of vCPU {n}", stage.irq(0, n)) for n in range(len(stage.vcpus))]
    places += [(f"INTIDs {n} to {n + 31}", stage.irq(n)) for n in range(PRIVATE, 256, 32)]
    size = bench.size("struct vgic_irq")
    for what, irq in places:
        data = bench.machine.memory.read(irq.address, 32 * size)[offset::size]
        expect(f"{what}: vgic_irq_update() is called for", sum(m << n for n, m in enumerate(data)),
               ALL)
    bench.silence("vgic_irq_update")


def check_reads_wait_for_the_fold(
    stage: Stage, model: Model,
    cases: tuple[tuple[str, int, int, dict[str, int], dict[str, int], int], ...],
) -> None:
    """The guest has changed a list register: members in memory, after a fold, and the read."""
    bench, vcpu = stage.bench, stage.vcpus[0]
    stage.load()
    for name, offset, intid, stale, folded, wanted in cases:
        irq = stage.irq(intid)
        bench.put(irq, vcpu=vcpu.address, lr=0, **stale)
        bench.put(vcpu, vgic__loaded=1)
        bench.put(stage.vm, device_lock__taken=1)

        def pull(*_: int) -> int:
            if vcpu.get("vgic.loaded"):
                bench.put(irq, lr=NO_LR, **folded)
                bench.put(vcpu, vgic__loaded=0)
            return 0

        read = model.read(offset, stubs={"vgic_pull": pull})
        expect(f"{name} of INTID {intid}, which the guest has changed in its list register: "
               "vmm_irq_bank_read() has it folded first, by vgic_settle()", read, wanted)
    bench.put(stage.vm, device_lock__taken=0)


def test_a_bank_is_one_field_of_many_interrupts(lab: Lab, seed: int) -> None:
    stage = stage_of(lab, cpus=2)
    numbers = random.Random(seed)
    gicd = Model(stage, "gicd_v3")
    word = numbers.getrandbits(32) | 1
    wanted = word & ~0xF0
    gicd.write(ISENABLER + 8, word)
    gicd.write(ISENABLER + 0x80 + 8, 0xF0)
    expect("GICD_ISENABLER2 after a set and a clear", gicd.read(ISENABLER + 8), wanted)
    enabled = sum(stage.irq(64 + n).get("enabled") << n for n in range(32))
    expect("enabled of INTIDs 64 to 95", enabled, wanted)
    gicd.write(IGROUPR + 8, word)
    expect("GICD_IGROUPR2 is replaced by a write", gicd.read(IGROUPR + 8), word)
    gicd.write(IPRIORITYR + 101, 0x57, 1)
    expect("GICD_IPRIORITYR25, byte 1 written 0x57: five bits", gicd.read(IPRIORITYR + 100), 0x5000)
    gicd.write(IROUTER + 8 * 70, 1, 8)
    gicd.write(IROUTER + 8 * 70 + 4, 0x7FF)
    expect("GICD_IROUTER70, upper half written", gicd.read(IROUTER + 8 * 70, 8), 0xFF_0000_0001)
    for written, bits in ((ALL, 0xAAAA_AAAA), (0x5555_5555, 0), (0xAAAA_AAAA, 0xAAAA_AAAA)):
        gicd.write(ICFGR + 16, written)
        expect(f"GICD_ICFGR4 written {written:#x}: bit 1 of each field",
               gicd.read(ICFGR + 16), bits)
    gicd.write(ISENABLER, ALL)
    expect("GICD_ISENABLER0 is reserved with affinity routing", gicd.read(ISENABLER), 0)
    expect("a byte of GICD_ISENABLER2 reads", gicd.read(ISENABLER + 8, 1), 0)
    gicd.write(ISENABLER + 0x80 + 8, 0xFF, 1)
    expect("GICD_ISENABLER2 after a byte was written to GICD_ICENABLER2", gicd.read(ISENABLER + 8),
           wanted)
    expect("a reserved offset reads", gicd.read(0x1000), 0)
    gicr = Model(stage, "gicr", stage.bench.allocate("u64", 8)[0].address)
    expect("GICR_TYPER of vCPU 0", gicr.read(8, 8), 0)
    expect("GICR_TYPER of vCPU 1, the last", gicr.read(0x2_0008, 8), 1 << 32 | 1 << 8 | 1 << 4)
    gicr.write(0x3_0000 + ISENABLER, 1 << TIMER)
    expect("GICR_ISENABLER0 of vCPU 1", gicr.read(0x3_0000 + ISENABLER), 1 << TIMER)
    expect("enabled at vCPU 1, not at vCPU 0", [stage.irq(TIMER, n).get("enabled") for n in (0, 1)],
           [0, 1])
    gicr.write(0x3_0000 + ISENABLER + 0x80, 0xFF, 1)
    gicr.write(0x3_0000 + ISENABLER + 0x80 + 3, 0xFF, 1)
    gicr.write(0x3_0000 + IPRIORITYR + TIMER - 1, 0xF8F8, 2)
    expect("bytes to GICR_ICENABLER0, a halfword to GICR_IPRIORITYR6 do nothing: "
           "(enabled, priority) of INTID 27", (stage.irq(TIMER, 1).get("enabled"),
                                               stage.irq(TIMER, 1).get("priority")), (1, 0))
    gicd.write(IROUTER + 8 * 70, ALL)
    expect("GICD_IROUTER70, lower half written: affinity and routing mode alone",
           gicd.read(IROUTER + 8 * 70, 8), 0xFF_80FF_FFFF)
    for intid in (32, 255):
        gicd.write(ISENABLER + intid // 32 * 4, 1 << intid % 32)
        gicd.write(IPRIORITYR + intid, 0xFF, 1)
        gicd.write(IROUTER + 8 * intid, 1, 8)
        first_and_last = stage.irq(intid)
        expect(f"INTID {intid}: (enabled, priority, route)",
               tuple(first_and_last.get(name) for name in ("enabled", "priority", "route")),
               (1, 0xF8, 1))
    size = stage.bench.size("struct vgic_irq")
    behind = stage.spis + SPIS * size
    kept = stage.bench.machine.memory.read(behind, size)
    for intid in (31, 256):
        gicd.write(IPRIORITYR + intid, 0xF8, 1)
        gicd.write(IROUTER + 8 * intid, 1, 8)
        read = gicd.read(IPRIORITYR + intid, 1), gicd.read(IROUTER + 8 * intid, 8)
        expect(f"INTID {intid} is not the distributor's: its priority and route", read, (0, 0))
    expect_that("memory behind the last SPI, INTID 255, stays as it was",
                stage.bench.machine.memory.read(behind, size) == kept)
    gicr.write(0x1_0000 + ISENABLER, 1 << 31)
    gicr.write(0x1_0000 + IPRIORITYR + 31, 0xA7, 1)
    expect("INTID 31 of vCPU 0: (enabled, priority)",
           (stage.irq(31).get("enabled"), stage.irq(31).get("priority")), (1, 0xA0))
    gicr.write(0x1_0000 + IPRIORITYR + 32, 0xA0, 1)
    expect("priority of INTID 32 is not the redistributor's", stage.irq(32).get("priority"), 0xF8)
    for n in range(PRIVATE):
        stage.bench.put(stage.irq(n), edge=int(n < 16))
    for at, value in ((ICFGR, 0), (ICFGR + 4, ALL)):
        gicr.write(0x1_0000 + at, value)
    edges = sum(stage.irq(n).get("edge") << n for n in range(PRIVATE))
    expect("edge of INTIDs 0 to 31: of SGIs it does not change", edges, ALL)
    check_reads_wait_for_the_fold(stage, gicd, (
        ("GICD_ISPENDR3", ISPENDR + 12, 110, {"latch_in_lr": 1}, {"latch_in_lr": 0, "active": 1},
         0),
        ("GICD_ISACTIVER3", ISACTIVER + 12, 110, {}, {"active": 1}, 1 << 110 - 96)))
    gicd.write(0, ALL)
    expect("GICD_CTLR written with ones: both groups, ARE and DS", gicd.read(0), 0x53)
    expect("vgic.ctlr", stage.vm.get("vgic.ctlr"), 3)
    check_ones_alone(stage, gicd, 0, "GICD_*", 64, numbers)
    check_ones_alone(stage, gicr, 0x1_0000, "GICR_*", 0, numbers)
    check_changes_meet_the_truth(stage, gicd, ISPENDR + 80 // 32 * 4, stage.irq(80))
    check_changes_meet_the_truth(stage, gicr, 0x3_0000 + ISPENDR, stage.irq(31, 1))
    check_groups(stage, gicd)


def check_nothing_is_behind_the_table(stage: Stage, model: Model) -> None:
    """GICv2: behind its last entry, of 0xf80 to 0xfff, another one stands for two accesses."""
    bench, symbols = stage.bench, stage.bench.machine.symbols
    table, last = symbols["v2_registers"], 31
    data = bench.machine.memory.read(table, PAGE)
    read = data.index(symbols["v2_head_read"].to_bytes(8, "little"))
    size = (data.index(symbols["v2_id_read"].to_bytes(8, "little")) - read) // last
    behind = (last + 1) * size
    entry = bytearray(data[:size])
    entry[read:read + 16] = 2 * bench.nowhere.to_bytes(8, "little")  # and write
    bench.machine.memory.write(table + behind, bytes(entry))
    called = []
    for access in (lambda stubs: model.read(0x1000, stubs=stubs),
                   lambda stubs: model.write(0x1000, 3, stubs=stubs)):
        access({bench.nowhere: 0})
        called += [call.arguments[2] for call in bench.calls]
    bench.machine.memory.write(table + behind, data[behind:behind + size])
    expect("offsets of calls by what stands behind the table of registers, at index count, when "
           "0x1000 is read and written: gicd_read() and gicd_write() do not go there",
           [hex(offset) for offset in called], [])


def test_a_bank_keeps_what_software_cannot_change(make_lab: MakeLab) -> None:
    """GICv2: enables of SGIs, targets of SGIs and PPIs and of CPUs that there are not."""
    stage = stage_of(make_lab(LAB, 2), cpus=3)
    gicd = Model(stage, "gicd_v2")
    for n in range(PRIVATE):
        stage.bench.put(stage.irq(n), enabled=1, edge=int(n < 16))
    gicd.write(ISENABLER + 0x80, ALL)
    expect("GICD_ISENABLER0 after all ones to GICD_ICENABLER0", gicd.read(ISENABLER), 0xFFFF)
    gicd.write(ICFGR, 0)
    expect("GICD_ICFGR0 after a write of 0", gicd.read(ICFGR), 0xAAAA_AAAA)
    for intid, wanted in ((0, 1), (31, 1), (32, 7), (255, 7)):
        gicd.write(ITARGETSR + intid, 0xFF, 1)
        expect(f"GICD_ITARGETSR of INTID {intid}, written 0xff, for three vCPUs",
               gicd.read(ITARGETSR + intid, 1), wanted)
    of_last = Model(stage, "gicd_v2", vcpu=2)
    expect("GICD_ITARGETSR of INTIDs 0 and 31, read by vCPU 2: its own bit",
           (of_last.read(ITARGETSR, 1), of_last.read(ITARGETSR + 31, 1)), (4, 4))
    gicd.write(ISPENDR, 1 << 3 | 1 << 20)
    latched = [n for n in range(PRIVATE) if stage.irq(n).get("pending_latch")]
    expect("GICD_ISPENDR0 sets PPI 20, and no SGI, whose requester it does not know", latched, [20])
    what = "(sources, latch_in_lr) of an SGI of active_source"
    for at, sources, in_lr, source, written, kept in (
            (SPENDSGIR, 0b101, 1, 0, 0b010, (0b111, 1)), (SPENDSGIR, 0b010, 0, 0, 0, (0b010, 0)),
            (CPENDSGIR, 0b101, 1, 2, 0b100, (0b001, 0)), (CPENDSGIR, 0b011, 1, 2, 1, (0b010, 1)),
            (CPENDSGIR, 0, 1, 1, 0b010, (0, 0))):
        sgi = stage.irq(6)
        stage.bench.put(sgi, sources=sources, latch_in_lr=in_lr, active_source=source)
        gicd.write(at + 4, written << 16)
        name = "GICD_SPENDSGIR1" if at == SPENDSGIR else "GICD_CPENDSGIR1"
        expect(f"{what} {source}, ({sources:#05b}, {in_lr}) before, after requesters "
               f"{written:#05b} are written to {name}",
               (sgi.get("sources"), sgi.get("latch_in_lr")), kept)
    stage.bench.put(stage.irq(6), sources=0)
    check_reads_wait_for_the_fold(stage, gicd, (
        ("GICD_SPENDSGIR1", SPENDSGIR + 4, 6, {"latch_in_lr": 1, "active_source": 1},
         {"latch_in_lr": 0, "sources": 2}, 2 << 16),))
    check_nothing_is_behind_the_table(stage, gicd)
    gicd.write(0, ALL)
    expect("GICD_CTLR written with ones", gicd.read(0), 3)


# 3.7 Software-generated interrupts.


def test_an_sgi_reaches_those_that_are_named(lab: Lab) -> None:
    stage = stage_of(lab, cpus=4)
    bench = stage.bench
    handlers = bench.objects.registry("sysreg_entry", "registry_sysregs")
    sgi1r = next(entry.get("handler") for entry in handlers if entry.get("encoding") == 0x3A3016)
    access = bench.allocate("struct sysreg_access")[0]
    for n in range(4):
        bench.put(stage.irq(7, n), group1=int(n != 2), edge=1)
    cases = {
        "target list 0b1011": (0b1011, [0, 1, 3]),
        "target list 0b0100, of Group 0 there": (0b0100, []),
        "IRM": (1 << 40 | 0xF, [1, 3]),
        "IRM, whatever the rest says": (1 << 40 | 1 << 48 | 1 << 32 | 1 << 16, [1, 3]),
        "Aff1 1": (1 << 16 | 0xF, []),
        "Aff2 1": (1 << 32 | 0xF, []),
        "Aff3 1": (1 << 48 | 0xF, []),
        "range 1": (1 << 44 | 0xF, []),
    }
    for name, (value, wanted) in cases.items():
        for n in range(4):
            bench.put(stage.irq(7, n), pending_latch=0)
        bench.put(access, is_write=1, value=7 << 24 | value)
        bench.call(sgi1r, stage.vcpus[0].address, access.address, stubs={"vgic_irq_update": 0})
        got = [n for n in range(4) if stage.irq(7, n).get("pending_latch")]
        expect(f"ICC_SGI1R_EL1 of vCPU 0, SGI 7, {name}: pending at", got, wanted)


def test_an_sgi_is_pending_once_for_each_requester(make_lab: MakeLab) -> None:
    """GICv2: GICD_SGIR, and what it does to struct vgic_irq."""
    stage = stage_of(make_lab(LAB, 2), cpus=3)
    bench = stage.bench
    gicd = Model(stage, "gicd_v2")
    place = {vcpu.address: n for n, vcpu in enumerate(stage.vcpus)}
    cases: dict[str, tuple[int, list[int]]] = {
             "list 0b101": (5 << 16, [0, 2]), "all but self": (1 << 24, [1, 2]),
             "self": (2 << 24, [0]), "CPUs that there are not": (0xF8 << 16, []),
             "the reserved filter": (3 << 24 | 7 << 16, [])}  # fmt: skip

    def sent() -> list[tuple[int, ...]]:
        return [(place[call.arguments[0]], place[call.arguments[1]], call.arguments[2])
                for call in bench.calls]

    for name, (value, wanted) in cases.items():
        gicd.write(0xF00, value | 9)
        expect(f"GICD_SGIR of vCPU 0, {name}: (to, from, SGI)", sent(), [(n, 0, 9) for n in wanted])
    Model(stage, "gicd_v2", vcpu=1).write(0xF00, 1 << 24 | 15)
    expect("GICD_SGIR of vCPU 1, all but self: (to, from, SGI)", sent(), [(0, 1, 15), (2, 1, 15)])
    for sender in (2, 0, 2):
        to, requester = stage.vcpus[1].address, stage.vcpus[sender].address
        bench.call("vmm_irq_send", to, requester, 9, stubs={"vgic_irq_update": 0})
    expect("sources after SGI 9 from 2, 0 and 2", stage.irq(9, 1).get("sources"), 0b101)
    expect("a requester is no latch: pending_latch", stage.irq(9, 1).get("pending_latch"), 0)


# 3.8 The interface at a world switch.


def test_the_interface_is_saved_and_loaded(lab: Lab, gic: int, seed: int) -> None:
    stage = stage_of(lab)
    bench, numbers = stage.bench, random.Random(seed)
    before, after = bench.allocate("struct vgic_cpu", 2)
    members = {"vmcr": numbers.randrange(32) << 27 | 0x4C0002, "ap0r": 1 << numbers.randrange(32)}
    if gic == 3:
        members |= {"ap1r": 1 << numbers.randrange(32), "vmcr": members["vmcr"] | 8}
    bench.put(before, **members)
    bench.call(stage.gic.get("load"), before.address)
    bench.call(stage.gic.get("save"), after.address)
    for name, value in members.items():
        expect(f"{name} after a load and a save", after.get(name), value)
    if gic == 2:
        expect("ap1r, which a GICv2 has not", after.get("ap1r"), 0)


def test_list_registers_of_gicv2_are_converted(make_lab: MakeLab) -> None:
    stage = stage_of(make_lab(LAB, 2))
    cases = {
        ListRegister.make(77, priority=0xA8, eoi=True):
            1 << 30 | 1 << 28 | 0x15 << 23 | 1 << 19 | 77,
        ListRegister.make(5 | 3 << 10, state=2, priority=8, group=0):
            2 << 28 | 1 << 23 | 3 << 10 | 5,
        ListRegister.make(27, state=2, pintid=1019):
            1 << 31 | 1 << 30 | 2 << 28 | 1019 << 10 | 27,
        ListRegister.make(6 | 5 << 10, priority=0xF8, group=0, eoi=True):
            1 << 28 | 0x1F << 23 | 1 << 19 | 5 << 10 | 6,
    }  # fmt: skip
    for n, (lr, wanted) in enumerate(cases.items()):
        register = GICH + 0x100 + 4 * n
        stage.bench.call(stage.gic.get("write_lr"), n, lr.value)
        expect(f"GICH_LR{n} that gic_v2_write_lr() writes for {lr}",
               stage.bench.device32(register), wanted)
        stage.bench.store32(register, wanted)
        expect(f"what gic_v2_read_lr() makes of GICH_LR{n} {wanted:#010x}",
               stage.bench.call(stage.gic.get("read_lr"), n), lr.value, ListRegister)


def test_what_the_interface_would_signal(lab: Lab) -> None:
    """The same as the hardware: group, mask, running priority without its subpriority."""
    stage = stage_of(lab)
    stage.hold_lock()
    bench, vcpu = stage.bench, stage.vcpus[0]
    usual = {"mask": 0xF0, "bpr0": 2, "bpr1": 3, "on": 3, "cbpr": 0, "ap": 0, "ap0": 0, "group": 1}
    group0 = {"group": 0}
    cases: list[tuple[int, dict[str, int], bool]] = [
        (0x80, {}, True), (0x80, {"mask": 0x80}, False), (0x80, {"mask": 0x88}, True),
        (0x98, {"mask": 0x98, "bpr1": 5}, False),
        (0x80, {"on": 1}, False), (0x80, {"ap": 1 << 16}, False), (0x80, {"ap": 1 << 17}, True),
        (0x98, {"ap": 1 << 19}, False), (0x98, {"ap": 1 << 19, "bpr1": 4}, True),
        (0x88, {"ap": 1 << 18, "bpr1": 5}, True), (0x88, {"ap": 1 << 16, "bpr1": 5}, False),
        (0x98, {"ap": 1 << 18, "bpr1": 5}, True),
        (0x98, {"ap": 1 << 18, "bpr1": 5, "cbpr": 1}, False),
        (0x98, {"ap": 1 << 18, "bpr0": 4, "cbpr": 1}, True),
        (0x98, {"ap": 1 << 18, "bpr0": 4}, False), (0x80, {"ap0": 1 << 16}, False),
        (0x80, {"ap0": 1 << 17}, True), (0x80, {"ap0": 1 << 16, "ap": 1 << 17}, False),
        (0x80, {**group0}, True), (0x80, {**group0, "on": 2}, False),
        (0x80, {**group0, "on": 1}, True), (0x98, {**group0, "ap": 1 << 18, "bpr0": 4}, True),
        (0x98, {**group0, "ap": 1 << 16, "bpr0": 4}, False),
        (0x98, {**group0, "ap": 1 << 18, "bpr1": 5}, False),
    ]  # fmt: skip
    irq = stage.pend(40)
    for priority, changes, wanted in cases:
        state = usual | changes
        bench.put(irq, priority=priority, group1=state["group"])
        stage.line_up(irq)
        vmcr = state["mask"] << 24 | state["bpr0"] << 21 | state["bpr1"] << 18
        bench.put(vcpu, vgic__vmcr=vmcr | state["cbpr"] << 4 | state["on"], vgic__ap1r=state["ap"],
                  vgic__ap0r=state["ap0"])
        signalled = bool(bench.call("vgic_would_signal", stage.vm.address, vcpu.address) & 1)
        text = ", ".join(f"{name} {value:#x}" for name, value in state.items())
        expect(f"one at priority {priority:#x} is signalled with {text}", signalled, wanted)
    bench.put(vcpu, vgic__vmcr=0xF0 << 24 | 2 << 21 | 3 << 18 | 3, vgic__ap1r=0, vgic__ap0r=0)
    for member, before, changed in (("active", 0, 1), ("enabled", 1, 0), ("pending_latch", 1, 0)):
        for value, wanted in ((before, True), (changed, False)):
            bench.put(irq, **{member: value})
            signalled = bool(bench.call("vgic_would_signal", stage.vm.address, vcpu.address) & 1)
            expect(f"one with {member} {value} is signalled", signalled, wanted)
        bench.put(irq, **{member: before})


def test_the_interface_after_reset_is_as_after_power_on(lab: Lab, gic: int) -> None:
    """In memory: what hardware would not take, such as a binary point below the least, stands."""
    stage = stage_of(lab)
    bench, vcpu = stage.bench, stage.vcpus[0]
    sent = stage.pend(7)
    bench.put(vcpu, vgic__vmcr=0xFF_FF_FF_FF, vgic__ap0r=1, vgic__ap1r=2, vgic__hcr=1 | NPIE)
    bench.call(hook_of(bench.machine, LAB, "vcpu_reset"), vcpu.address)
    expect("vmcr: groups off, priority mask 0, VBPR0 2, VBPR1 3, VFIQEn on a GICv3",
           vcpu.get("vgic.vmcr"), 2 << 21 | 3 << 18 | (8 if gic == 3 else 0))
    left = tuple(vcpu.get(f"vgic.{name}") for name in ("ap0r", "ap1r", "hcr"))
    expect("(ap0r, ap1r, hcr)", left, (0, 0, 0))
    expect("what was sent to the vCPU stays pending", sent.get("pending_latch"), 1)


def test_the_guests_interface_of_a_gicv2_is_one_page_of_the_hardware(lab: Lab, gic: int) -> None:
    bench = Bench.at(lab.start("gic_enable"), LAB, "vm_create")
    machine, vm = bench.machine, bench.machine.register("x0")
    mapped: list[tuple[int, ...]] = []

    def map_(*arguments: int) -> int:
        mapped.append((*arguments, machine.register("x4")))
        return 0

    bench.call(hook_of(machine, LAB, "vm_create"), vm, stubs={"stage2_map": map_})
    read, write, device = 1, 2, 8
    page = [(vm, 0x0801_0000, 0x0804_0000, 0x1000, read | write | device)] if gic == 2 else []
    expect("vgic_vm_create() maps: (VM, GICC of the guest's machine, GICV, bytes, PROT_READ 1 | "
           "PROT_WRITE 2 | PROT_DEVICE 8)", mapped, page)


def test_a_vcpu_that_leaves_takes_its_interface_along(lab: Lab) -> None:
    stage = stage_of(lab)
    bench, vcpu = stage.bench, stage.vcpus[0]
    stage.load()
    irq = stage.pend(40)
    stage.fill([irq], [ListRegister.make(40).value])
    bench.put(vcpu, vgic__hcr=1 | NPIE, vgic__lr_free=0)
    bench.ask(stage.gic.get("write_hcr"), 1 | NPIE)
    save, load = bench.function("save"), bench.function("load")
    bench.put(stage.gic, save=save, load=load)
    interface = bench.address_of(vcpu, "vgic")
    resident: list[int] = []
    moved: list[tuple[int, int]] = []

    def move(interface: int, *_: int) -> int:
        moved.append((interface, stage.vm.get("vgic.lock.taken")))
        return 0

    def fold(*_: int) -> int:
        resident.append(vcpu.get("vgic.resident"))
        expect("ICH_HCR_EL2.En while list registers are folded: a write of it loses EOIcount",
               bench.read_sysreg("ICH_HCR_EL2") & 1, 1)
        return 0

    bench.call(hook_of(bench.machine, LAB, "vcpu_save"), vcpu.address,
               stubs={"vgic_fold": fold, save: move})
    expect("gic->save() takes mask, groups and active priorities: calls with (&vcpu->vgic, whether "
           "vgic.lock is held)", moved, [(interface, 1)])
    expect("list registers are folded, while the vCPU is resident: the fold reaches its PPIs",
           resident, [1])
    expect("and empty then", stage.read_lrs(1)[0].value, 0, ListRegister)
    expect("ICH_HCR_EL2: the interface is off", bench.ask(stage.gic.get("read_hcr")) & 0xFF, 0,
           ich_hcr)
    left = (vcpu.get("vgic.resident"), vcpu.get("vgic.lr_used"), vcpu.get("vgic.hcr"))
    expect("(resident, lr_used, hcr)", left, (0, 0, 0))
    every = (1 << stage.gic.get("lr_count")) - 1
    expect("all list registers are free: lr_free", vcpu.get("vgic.lr_free"), every)
    moved.clear()
    bench.call(hook_of(bench.machine, LAB, "vcpu_load"), vcpu.address, stubs={load: move})
    expect("gic->load() gives them back: calls with (&vcpu->vgic, whether vgic.lock is held)",
           moved, [(interface, 1)])
    expect("vgic.lock is given back: taken", stage.vm.get("vgic.lock.taken"), 0)
    expect("resident after vcpu_load", vcpu.get("vgic.resident"), 1)
    expect("the entry fills list registers: requests", vcpu.get("requests"), REQ_VGIC)
