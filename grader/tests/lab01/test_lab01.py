# SPDX-License-Identifier: MIT
"""Lab 1: EL2 boot, traps, hypercalls, injected exceptions, the switch between two guests."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from grader.conftest import Lab, on_gics
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine, StopKind
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect, expect_that
from grader.oracle import crash
from grader.oracle.decode import el2_registers as el2
from grader.oracle.decode.esr import Esr
from grader.oracle.decode.fields import bits
from grader.oracle.objects import Object, Objects
from grader.oracle.probe import LOAD_OFFSET, ProbeVm, ram_bases

LAB = 1

ALONE = [
    "registers_preserved",
    "exit_modes",
    "hypercalls",
    "id_registers",
    "undef",
    "debug_pmu",
    "aarch32",
]
ON_GICV2 = ["id_registers", "undef"]  # a CPU without ICC registers
EL1H = 0b0101
READS_ZCR_EL1 = 0xD538_1200.to_bytes(4, "little")  # of SVE, which guests do not get to see
OF_LAYER_4 = ("cntkctl_el1",)
IN_PAIRS = ["registers_preserved", "world_switch_el1", "world_switch_fp", "debug_pmu"]


@pytest.mark.parametrize(("gic", "probe"), on_gics(ALONE, ON_GICV2), indirect=["gic"])
def test_a_guest_sees_the_architecture(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(probe)


@pytest.mark.parametrize("probe", IN_PAIRS)
def test_two_guests_do_not_disturb_each_other(lab: Lab, probe: str) -> None:
    lab.probe(ProbeVm(probe), ProbeVm(probe), ignore=OF_LAYER_4, turns=True)


def test_three_guests_take_turns(lab: Lab) -> None:
    lab.probe(*[ProbeVm("world_switch_el1")] * 3, ignore=OF_LAYER_4, turns=True)


def test_smc_of_a_guest_never_reaches_the_firmware(lab: Lab) -> None:
    """VM 0 asks for SYSTEM_OFF by SMC; were it not trapped, the machine would be off."""
    lab.probe(ProbeVm("smc_power_off", reports=False), ProbeVm("smc_power_off"))


@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
@pytest.mark.parametrize("probe", ["id_registers", "undef", "registers_preserved"])
def test_older_and_newer_cpus(lab: Lab, cpu: str, probe: str) -> None:
    lab.probe(probe, cpu=cpu)


def test_the_machine_powers_off_when_all_guests_have(lab: Lab) -> None:
    machine = lab.start("hypercalls", "hypercalls")
    machine.run_until_off(budget=200_000_000)


# What GDB sees at architectural events.


def at_first_guest_instruction(lab: Lab, *vms: ProbeVm | str, **options: object) -> Machine:
    """The machine standing before the first instruction at EL1."""
    configs = [ProbeVm(vm) if isinstance(vm, str) else vm for vm in vms or ("hypercalls",)]
    machine = lab.start(*configs, **options)
    base = ram_bases(machine, configs, lab.number)[0]
    machine.run_to(base + LOAD_OFFSET, EL1_ONLY)
    return machine


def at_slot(lab: Lab, probe: str, mode: int = EL1H, **options: object) -> Machine:
    """The machine before the first instruction that the probe tries in this mode."""
    machine = at_first_guest_instruction(lab, probe, **options)
    guest = machine.guests[0]
    slot = guest.load_address + symbols_of(guest.elf)["insn_slot"]
    machine.run_to(slot, f"($cpsr & 0x1f) == {mode}")
    return machine


def test_guest_starts_in_the_state_of_the_boot_protocol(lab: Lab) -> None:
    machine = at_first_guest_instruction(lab)
    pstate = machine.register("PSTATE")
    expect("a guest starts at EL1h", pstate & 0xF, 0b0101, el2.spsr)
    expect("with D, A, I and F masked", bits(pstate, 9, 6), 0xF)
    for name in ("x1", "x2", "x3"):
        expect(f"{name} is zero at entry", machine.register(name), 0)
    expect(
        "the guest's MMU and caches are off", machine.register("SCTLR_EL1") & 0x1005, 0, el2.sctlr
    )
    dtb = machine.register("x0")
    expect("x0 points at the device tree", machine.memory.read(dtb, 4), b"\xd0\x0d\xfe\xed")


def test_guest_registers_hold_nothing_of_the_hypervisor(lab: Lab) -> None:
    machine = at_first_guest_instruction(lab)
    leaks = {
        f"x{number}": machine.register(f"x{number}")
        for number in range(4, 31)
        if machine.register(f"x{number}")
    }
    expect("x4..x30 are zero when a guest starts", leaks, {})


def test_the_first_guest_says_hello(lab: Lab) -> None:
    """Its calls come out of EL2 behind the HVC, with the registers that it keeps its place in."""
    machine = at_first_guest_instruction(lab, "hello")
    guest = machine.guests[0]
    call = guest.load_address + symbols_of(guest.elf)["hello_hvc"]
    for _ in range(3):
        machine.run_to(call, EL1_ONLY)
        place = machine.register("x19")
        machine.run_to(call + 4, EL1_ONLY)
        expect("x19 behind the HVC", machine.register("x19"), place)
    machine.run_until_off()


def test_undefined_instruction_is_injected_as_hardware_would(lab: Lab) -> None:
    """From the trap to the guest's vector: syndrome, return address, saved and new PSTATE."""
    machine = at_slot(lab, "id_registers", cpu="max")
    guest = symbols_of(machine.guests[0].elf)
    vector = machine.guests[0].load_address + guest["guest_vectors"] + 0x200
    machine.gdb.write_virtual(machine.pc, READS_ZCR_EL1)
    machine.run_to("*trap_dispatch", EL2_ONLY)
    trapped = machine.register("ELR_EL2"), machine.register("SPSR_EL2")
    machine.run_to(vector, EL1_ONLY)
    expect(
        "VBAR_EL1 + 0x200 takes what was raised at EL1h",
        vector,
        machine.register("VBAR_EL1") + 0x200,
    )
    esr = Esr(machine.register("ESR_EL1"))
    expect("ESR_EL1 is 'unknown reason' with IL set and nothing else", esr.value, 1 << 25, Esr)
    expect("ELR_EL1 is the instruction itself", machine.register("ELR_EL1"), trapped[0])
    expect("SPSR_EL1 is the guest's PSTATE", machine.register("SPSR_EL1"), trapped[1], el2.spsr)
    pstate = machine.register("PSTATE")
    expect("the handler runs at EL1h", pstate & 0x1F, 0b00101, el2.spsr)
    expect("with D, A, I and F masked", bits(pstate, 9, 6), 0xF)


@pytest.mark.parametrize(
    ("probe", "mode", "offset"),
    [
        ("exit_modes", 0b0101, 0x200),
        ("exit_modes", 0b0100, 0x000),
        ("timer_el0", 0b0000, 0x400),
    ],
    ids=["EL1h", "EL1t", "EL0"],
)
def test_injected_exception_takes_the_vector_of_the_mode_it_came_from(
    lab: Lab, probe: str, mode: int, offset: int
) -> None:
    """An exit from that mode is told to be of unknown reason, which only the guest can handle."""
    machine = at_slot(lab, probe, mode)
    came_from = f"{EL2_ONLY} && ($SPSR_EL2 & 0x1f) == {mode}"
    machine.run_to("*trap_dispatch", came_from)
    pc, pstate = machine.register("ELR_EL2"), machine.register("SPSR_EL2")
    vector = machine.register("VBAR_EL1") + offset
    machine.gdb.set_register("x1", 0x02000000)
    stop = machine.run_to(vector, EL1_ONLY)
    expect("the guest continues at its vector", stop.pc, vector)
    expect("SPSR_EL1 is the PSTATE that it had", machine.register("SPSR_EL1"), pstate, el2.spsr)
    expect("ELR_EL1 is where it was", machine.register("ELR_EL1"), pc)
    expect("ESR_EL1 is of unknown reason", Esr(machine.register("ESR_EL1")).ec, 0)
    expect("the handler has SP_EL1", machine.register("PSTATE") & 0x1F, 0b00101, el2.spsr)


# Conditional instructions of AArch32. QEMU never traps one whose condition fails, and says of all
# others that they are unconditional; the architecture allows both. So a trap that is true but for
# its syndrome and flags is put before trap_dispatch(), and where the guest goes on is the answer.

COND_AL, CV, IL = 0xE, 1 << 24, 1 << 25
A32, T32 = 0x10, 0x30
EC_UNKNOWN, EC_SVC32 = 0x00, 0x11


def holds(condition: int, nzcv: int) -> bool:
    """Whether an A32 condition holds (Arm ARM, "Condition code")."""
    if condition >= COND_AL:
        return True
    n, z, c, v = (bool(nzcv & bit) for bit in (8, 4, 2, 1))
    of_pair = [z, c, n, v, c and not z, n == v, n == v and not z][condition >> 1]
    return of_pair != bool(condition & 1)


def with_it(pstate: int, it: int) -> int:
    """PSTATE with these bits of IT, which lie in two pieces."""
    pieces = (it >> 2) << 10 | (it & 3) << 25
    return pstate & ~(0x3F << 10 | 3 << 25) | pieces


@dataclass(frozen=True)
class WentOn:
    """Where AArch32 code went on: whether its trapped instruction was skipped, r0 and r1 then."""

    skipped: bool
    r0: int
    r1: int


class TrappedA32:
    """VM 0, whose AArch32 code traps again and again, and ends by SVC when it was not undefined."""

    def __init__(self, lab: Lab, state: int) -> None:
        self.machine = at_first_guest_instruction(lab, "aarch32")
        self.state = state
        guest = self.machine.guests[0]
        symbols = symbols_of(guest.elf)
        self.vector = guest.load_address + symbols["guest_vectors"] + 0x600
        code = guest.load_address + symbols["a32_code" if state == A32 else "t32_code"]
        self.after = code + (16 if state == A32 else 10)

    def with_syndrome(self, bits_of_esr: int, nzcv: int, it: int = 0) -> WentOn:
        """The next trap with these bits of COND, CV and IL, and this PSTATE."""
        machine = self.machine
        machine.run_to("*trap_dispatch", f"{EL2_ONLY} && ($SPSR_EL2 & 0x30) == {self.state}")
        esr = machine.register("ESR_EL2") & ~(0xF << 20 | CV | IL) | bits_of_esr
        pstate = with_it(machine.register("SPSR_EL2"), it) & ~(0xF << 28) | nzcv << 28
        vcpu = Object(Objects(machine), "struct vcpu", machine.register("x0"))
        machine.gdb.set_register("x1", esr)
        for member, value in (("pstate", pstate), ("x[0]", 0), ("x[2]", 0xAB000000)):
            vcpu.set(f"frame.{member}", value)
        machine.run_to(self.vector, EL1_ONLY)
        ec = Esr(machine.register("ESR_EL1")).ec
        expect_that("it is undefined, or the code comes to its SVC",
                    ec in (EC_UNKNOWN, EC_SVC32), ec)
        if ec == EC_SVC32:
            expect("ELR_EL1 is behind the SVC", machine.register("ELR_EL1"), self.after)
            spsr = machine.register("SPSR_EL1")
            expect("ITSTATE is 0: the block has ended", spsr, with_it(spsr, 0), el2.spsr)
        r0, r1 = (machine.register(name) & 0xFFFF_FFFF for name in ("x0", "x1"))
        return WentOn(ec == EC_SVC32, r0, r1)


def test_condition_in_the_syndrome_is_that_of_the_instruction(lab: Lab) -> None:
    trapped = TrappedA32(lab, A32)
    for condition in range(16):
        for nzcv in (0b0110, 0b1000, 0b0011, 0b1001):
            went = trapped.with_syndrome(IL | CV | condition << 20, nzcv)
            what = f"COND {condition:#06b} and NZCV {nzcv:#06b}: skipped"
            expect(what, went.skipped, not holds(condition, nzcv))
            expect("if so the next instruction is executed", went.r1, int(went.skipped))


def test_without_one_in_the_syndrome_it_is_that_of_the_it_block(lab: Lab) -> None:
    """CV = 0: ITSTATE[7:4] is the condition, and no block means always."""
    trapped = TrappedA32(lab, T32)
    for condition, nzcv in ((0x0, 0b0000), (0x0, 0b0100), (0x9, 0b0010), (0xB, 0b1001)):
        went = trapped.with_syndrome(IL, nzcv, it=condition << 4 | 8)
        what = f"ITSTATE[7:4] {condition:#06b} and NZCV {nzcv:#06b}: skipped"
        expect(what, went.skipped, not holds(condition, nzcv))
    expect("outside of a block: skipped", trapped.with_syndrome(IL, 0b0000).skipped, False)


def test_skipping_moves_the_it_block_on(lab: Lab) -> None:
    """The next instruction has the block's next condition, or none when the block has ended."""
    trapped = TrappedA32(lab, T32)
    for block, it, nzcv, executed in (
        ("IT EQ", 0b0000_1000, 0b0000, True),
        ("ITE NE", 0b0001_0100, 0b0100, True),
        ("ITT NE", 0b0001_1100, 0b0100, False),
    ):
        went = trapped.with_syndrome(IL, nzcv, it)
        expect(f"{block}: the first instruction, whose condition fails, is skipped",
               went.skipped, True)
        expect(f"{block}: the one behind it is executed", bool(went.r1), executed)


def test_skipping_moves_as_far_as_the_instruction_is_long(lab: Lab) -> None:
    """With IL = 0 the upper half of what trapped is executed: it is LSRS r0, r2, #24."""
    trapped = TrappedA32(lab, T32)
    for length, r0 in ((IL, 0), (0, 0xAB)):
        went = trapped.with_syndrome(CV | length, 0b0000)
        expect("EQ with Z = 0 is skipped", went.skipped, True)
        expect(f"by {4 if length else 2} bytes", went.r0, r0)


# EL2's own faults.


def test_a_fault_in_a_handler_is_reported_and_ends_the_machine(lab: Lab) -> None:
    """The handler is given a wild pointer: a translation or alignment fault at EL2."""
    machine = at_first_guest_instruction(lab)
    machine.run_to("*trap_dispatch", EL2_ONLY)
    machine.gdb.set_register("x0", 0xdead00000000)
    stop = machine.run()
    expect("the machine ends with failure", stop.kind.value, StopKind.PANIC.value)
    report = crash.read(machine)
    assert report is not None, "the crash mailbox is filled"
    expect("as an exception at EL2", report.kind, crash.Kind.EXCEPTION)
    expect_that("with its syndrome", Esr(report.esr).ec == 0x25, Esr(report.esr))
    expect("and the address that faulted", report.far >> 32, 0xDEAD)
