# SPDX-License-Identifier: MIT
"""Lab 1, each exercise by itself: its functions on the bench (grader/oracle/calls.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from grader.conftest import Lab
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine, StopKind
from grader.machine.verdict import Finding, expect, expect_that
from grader.oracle import crash
from grader.oracle.barriers import alike
from grader.oracle.calls import CALL_BUDGET, Bench, hook_of, trap_result
from grader.oracle.decode import el2_registers as el2
from grader.oracle.decode.esr import Esr
from grader.oracle.objects import Object, Objects
from grader.oracle.second_layer import add_layer

LAB = 1

SCTLR_EL2_RES1 = 0x30C5_0830
EL1H, EL1T, EL0T, DAIF = 0b0101, 0b0100, 0b0000, 0x3C0
HCR_RW = 1 << 31
IL = 1 << 25
RESUME, SKIP_INSN, REFLECT = 0, 1, 2
NOT_SUPPORTED = (1 << 64) - 1
GUEST_VBAR = 0x5_0000_0000 | 0x800
MOST_NUMBERS, MOST_FIELDS = 3, 8  # that a failure lists one by one


def cold(lab: Lab, seed: int, **options: object) -> Bench:
    return Bench.cold(lab.start("hypercalls", **options), seed)


def same_registers(what: str, observed: list[int], wanted: list[int]) -> None:
    """FAIL with the general registers that differ, by their names."""
    differ = [n for n, (a, b) in enumerate(zip(observed, wanted, strict=True)) if a != b]
    words = [f"x{n} is {observed[n]:#x}, not {wanted[n]:#x}" for n in differ[:MOST_NUMBERS]]
    if len(differ) > MOST_NUMBERS:
        words.append(f"and {len(differ) - MOST_NUMBERS} more")
    if len(differ) > len(wanted) // 2:
        words.append(_displaced(observed, wanted))
    expect_that(f"{what} holds the guest's x0 to x30", not words, "; ".join(filter(None, words)))


def _displaced(observed: list[int], wanted: list[int]) -> str:
    """What many wrong registers have in common."""
    if not any(observed):
        return "nothing was written there: does the code stand at its vector's offset, is SP right?"
    for by in (*range(-4, 0), *range(1, 5)):
        here = sum(observed[n] == wanted[n + by] for n in range(31) if 0 <= n + by < 31)
        if here > len(wanted) // 2:
            return (f"most stand {abs(by)} place{'s' * (abs(by) > 1)} too "
                    f"{'low' if by > 0 else 'high'}: x{max(by, 0)} where x{max(-by, 0)} belongs")
    return ""


# 1.1 Entry at EL2.


def at_main(machine: Machine) -> Machine:
    """The machine standing at the first C statement."""
    machine.run_to("*strata_main", EL2_ONLY)
    return machine


def test_boot_prepares_the_cpu_for_c(lab: Lab, seed: int) -> None:
    """Before it, registers and BSS hold what a boot loader may have left there."""
    bench = cold(lab, seed)
    machine = bench.machine
    start, end = machine.symbols["bss_start"], machine.symbols["bss_end"]
    for page in range(start, end, 4096):
        bench.write_u64(page + bench.random.randrange(0, 4096, 8), bench.noise(1)[0])
    for at in (start, end - 16):
        bench.write_u64(at, *bench.noise(2))
    behind = bench.noise(2)
    bench.write_u64(end, *behind)
    bench.sysreg("SCTLR_EL2", SCTLR_EL2_RES1 | 1 << 12 | 1 << 2)
    bench.sysreg("TPIDR_EL2", bench.noise(1)[0])
    bench.sysreg("VBAR_EL2", 0)
    general = bench.noise(31)
    bench.general(general)
    bench.set_registers(sp=0xDEAD_0000_0000, cpsr=0x9)
    at_main(machine)
    expect("x0, the device tree, as the boot loader gave it", machine.register("x0"), general[0])
    pstate = machine.register("PSTATE")
    expect("C begins at EL2 with SP_EL2", pstate & 0xF, 0b1001, el2.spsr)
    expect("with D, A, I and F masked", pstate & DAIF, DAIF, el2.spsr)
    expect(
        "SCTLR_EL2 is its RES1 bits: MMU and caches are off",
        machine.register("SCTLR_EL2"), SCTLR_EL2_RES1, el2.sctlr,
    )  # fmt: skip
    stacks = machine.symbols["cpu_stacks"]
    expect("TPIDR_EL2 points at cpus[0]", machine.register("TPIDR_EL2"), machine.symbols["cpus"])
    tops = {
        name: stacks + bench.objects.member("struct cpu_stacks", member)[0]
        + machine.layout(f"sizeof(cpu_stacks[0].{member})")
        for name, member in (("stack_top", "stack"), ("emergency_top", "emergency"))
    }  # fmt: skip
    for name, top in tops.items():
        what = f"cpus[0].{name} is the upper end of cpu_stacks[0].{name.removesuffix('_top')}"
        expect(what, bench.cpu.get(name), top)
    expect("SP is cpus[0].stack_top", machine.register("sp"), tops["stack_top"])
    expect("VBAR_EL2 is vectors", machine.register("VBAR_EL2"), machine.symbols["vectors"])
    expect("the vector table is 2 KiB aligned", machine.symbols["vectors"] & 0x7FF, 0)
    mine = {bench.address_of(bench.cpu, name) - start for name in tops}
    bss = machine.memory.read(start, end - start)
    left = [at for at in range(0, len(bss), 8) if at not in mine and any(bss[at:at + 8])]
    expect(
        "BSS is zero but for the two stack tops",
        [f"not zero at {machine.place(start + at, el=2)}" for at in left[:3]], [],
    )  # fmt: skip
    expect("memory from bss_end on stays as it was", [*machine.memory.words(end, 2)], behind)


def test_the_cpu_of_affinity_0_boots_and_no_other(lab: Lab, seed: int) -> None:
    """The test answers for MPIDR_EL1: here the firmware keeps all other CPUs off."""
    bench = cold(lab, seed)
    machine, symbols = bench.machine, bench.machine.symbols
    reads = [one for one in alike(machine.config.elf, r"mrs x\d+, mpidr_el1")
             if symbols["boot"] <= one.address < symbols["boot_park"]]
    expect_that("boot reads MPIDR_EL1", bool(reads))
    ways = {symbols["boot_park"]: "boot_park", symbols["strata_main"]: "strata_main"}
    res1, mt, u = 1 << 31, 1 << 24, 1 << 30
    for what, mpidr, wanted in (
        ("Aff0 1", res1 | 1, "boot_park"), ("Aff1 1", res1 | mt | 1 << 8, "boot_park"),
        ("Aff2 1", res1 | 1 << 16, "boot_park"), ("Aff3 1", res1 | 1 << 32, "boot_park"),
        ("affinity 0, U and MT", res1 | u | mt, "strata_main"),
    ):  # fmt: skip
        bench.enter("boot")
        bench.run_to(reads[0].address + 4, "boot reads MPIDR_EL1")
        bench.set_registers(**{reads[0].operands.split(",")[0]: mpidr})
        with machine.breakpoint("*boot_park"), machine.breakpoint("*strata_main"):
            stop = machine.run(CALL_BUDGET)
        expect(f"MPIDR_EL1 {mpidr:#x}, {what}: the CPU goes to", ways.get(stop.pc, hex(stop.pc)),
               wanted)


def test_boot_refuses_el1(lab: Lab) -> None:
    """Without EL2 the first branch goes to boot_not_el2, before any register of EL2 is used."""
    machine = lab.start("hypercalls", extra=("-machine", "virtualization=off"))
    machine.run_to("*boot_not_el2", EL1_ONLY)


def is_reported(machine: Machine) -> crash.Report:
    stop = machine.run()
    expect("the machine ends with failure", stop.kind.value, StopKind.PANIC.value)
    report = crash.read(machine)
    expect_that("the crash mailbox is filled", report is not None)
    assert report is not None
    return report


def test_a_broken_stack_is_reported_and_does_not_loop(lab: Lab) -> None:
    machine = at_main(lab.start("hypercalls"))
    machine.gdb.set_register("sp", 0xDEAD_0000_0000)
    expect("the crash is reported with the stack pointer of that moment",
           is_reported(machine).sp >> 32, 0xDEAD)


def test_wild_jump_at_el2_is_reported(lab: Lab) -> None:
    machine = at_main(lab.start("hypercalls"))
    machine.gdb.set_register("pc", 0xDEAD_0000_0000)
    expect("it is reported as an instruction abort at EL2", Esr(is_reported(machine).esr).ec, 0x21)


# 1.2 Vectors and trap frame.


def test_an_exit_saves_every_register(lab: Lab, seed: int) -> None:
    """A vector entered with the state that the hardware gives it, up to guest_return."""
    bench = cold(lab, seed)
    machine = bench.machine
    top = bench.stack
    bench.put(bench.cpu, stack_top=top)
    for vector, function in ((0x400, "trap_dispatch"), (0x480, "trap_irq"), (0x580, "trap_serror")):
        vcpu = bench.vcpu(frame__pstate=bench.noise(1)[0])  # all 64 bits are written
        general = bench.noise(31)
        pc, pstate = 0x4048_1234, 0x6000_0000 | DAIF | EL1H
        esr = 0x15 << 32 | 0x5A00_0000 | bench.random.getrandbits(16)  # with ISS2
        for name, value in (("ELR_EL2", pc), ("SPSR_EL2", pstate), ("ESR_EL2", esr)):
            bench.sysreg(name, value)
        bench.general(general)
        bench.enter(machine.symbols["vectors"] + vector, sp=vcpu.address)
        bench.run_to(f"*{function}", f"the vector at +{vector:#x} calls {function}()")
        expect("x0 is the vCPU", machine.register("x0"), vcpu.address)
        if function != "trap_irq":
            expect("x1 is ESR_EL2", machine.register("x1"), esr, Esr)
        expect("SP is the CPU's stack_top", machine.register("sp"), top)
        same_registers(f"vector +{vector:#x}, vcpu->frame", bench.frame(vcpu), general)
        for member, value in (("frame.pc", pc), ("frame.pstate", pstate)):
            expect(f"vcpu->{member} is the guest's", vcpu.get(member), value)
        # What a C function may do: use every register that it need not preserve.
        bench.general(bench.noise(19))
        bench.set_registers(pc=machine.register("x30"))
        bench.run_to("*guest_return", f"after {function}() has returned, guest_return is reached")
        expect("guest_return finds the vCPU in x19", machine.register("x19"), vcpu.address)


# 1.3 EL2 configuration.

WANTED_HCR = 0x0400_0018_807D_0638
WANTED_CPTR = 0x4010_37FF
WANTED_MDCR = 0x8_4E60  # and HPMN


# Fields of several bits: first and last.
FIELDS = {"HCR_EL2": {"BSU": (11, 10)}, "MDCR_EL2": {"HPMN": (4, 0), "E2PB": (13, 12)}}


def same_fields(name: str, observed: int, wanted: int, bits: dict[int, str]) -> None:
    """FAIL with the fields that differ, by their names."""
    words, whole = list[str](), observed
    for field, (last, first) in FIELDS.get(name, {}).items():
        mask = (1 << last + 1) - (1 << first)
        if (observed ^ wanted) & mask:
            words.append(f"{field} is {(observed & mask) >> first}, not {(wanted & mask) >> first}")
            observed = observed & ~mask | wanted & mask
    for value in (0, 1):
        names = [bits.get(at, f"bit {at}") for at in range(64)
                 if (observed ^ wanted) >> at & 1 and observed >> at & 1 == value]
        if len(names) > MOST_FIELDS:
            words.append(f"{value} in {len(names)} fields, {names[0]} to {names[-1]}")
        else:
            words += [f"{field} is {value}" for field in names]
    expect_that(f"{name} has the value that the specification lists", not words,
                f"{whole:#x}: {', '.join(words)}", f"{wanted:#x}")


def test_hcr_of_guests_is_what_the_specification_lists(lab: Lab, seed: int) -> None:
    same_fields("HCR_EL2", cold(lab, seed).call("el2_guest_hcr"), WANTED_HCR, el2.HCR_BITS)


@pytest.mark.parametrize("cpu", ["cortex-a76", "cortex-a57", "max"])
def test_every_control_of_el2_is_written(lab: Lab, seed: int, cpu: str) -> None:
    """Before the call each has what a reset might have left there."""
    bench = cold(lab, seed, cpu=cpu)
    machine = bench.machine
    # What the CPU keeps of el2_guest_hcr()'s value, whose fields another test looks at.
    bench.sysreg("HCR_EL2", bench.ask("el2_guest_hcr"))
    hcr = machine.register("HCR_EL2")
    left = {
        "CPTR_EL2": 0, "MDCR_EL2": 1 << 7 | 1 << 8, "CNTHCTL_EL2": 2, "HSTR_EL2": 0xFFFF,
        "CNTVOFF_EL2": bench.noise(1)[0], "VPIDR_EL2": 0, "HCR_EL2": 1 << 29,
        "VTTBR_EL2": 5 << 48 | 0x4000_0000,
    }  # fmt: skip
    for name, value in left.items():
        bench.sysreg(name, value)
    midr = {"cortex-a76": 0x414F_D0B1, "cortex-a57": 0x411F_D070}.get(cpu)
    counters = machine.register("PMCR_EL0") >> 11 & 0x1F
    expect("el2_configure() returns 0",
           bench.call("el2_configure", bench.cpu.address) & 0xFFFF_FFFF, 0)
    controls: tuple[tuple[str, int, dict[int, str], int], ...] = (
        ("CPTR_EL2", WANTED_CPTR, el2.CPTR_BITS, 1 << 30 | 1 << 12 | 1 << 8),
        ("MDCR_EL2", WANTED_MDCR | counters, el2.MDCR_BITS, 1 << 19 | 1 << 14),
        ("CNTHCTL_EL2", 1, el2.CNTHCTL_BITS, 0),
        ("HSTR_EL2", 0, {at: f"T{at}" for at in range(16)}, 0),
        ("CNTVOFF_EL2", 0, {}, 0),
        ("VTTBR_EL2", 0, {}, 0),
    )
    for name, wanted, bits, elsewhere in controls:
        observed = machine.register(name)
        # `elsewhere`: fields of features that this CPU may lack.
        if cpu == "cortex-a57":
            observed = observed & ~elsewhere | wanted & elsewhere
        same_fields(name, observed, wanted, bits)
    if midr:
        expect("VPIDR_EL2 is MIDR_EL1", machine.register("VPIDR_EL2"), midr)
    expect("HCR_EL2 is what el2_guest_hcr() returns", machine.register("HCR_EL2"), hcr, el2.hcr)
    if machine.register("ID_AA64MMFR1_EL1") >> 40 & 0xF:
        # Of what only later CPUs have. QEMU keeps few bits of it: the writes are looked at.
        written = [one.text for one in bench.executed(r"msr (hcrx_el2|s3_4_c1_c2_2),",
                                                      "el2_configure", bench.cpu.address)]
        expect_that("el2_configure() writes HCRX_EL2: it calls el2_configure_extensions()",
                    bool(written), "no MSR to HCRX_EL2 is executed")


# 1.4 Guest entry.


def test_an_entry_restores_every_register(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    machine = bench.machine
    code = bench.room(4096)
    general, pstate = bench.noise(31), 0xA000_0000 | DAIF | EL1H
    vcpu = bench.vcpu(frame__pc=code, frame__pstate=pstate)
    bench.set_frame(vcpu, general)
    bench.sysreg("HCR_EL2", HCR_RW)
    bench.general(bench.noise(31))
    bench.enter("guest_return", x19=vcpu.address)
    bench.run_to(code, "the guest is entered at its frame.pc, at EL1", EL1_ONLY)
    expect("PSTATE is frame.pstate", machine.register("PSTATE") & 0xFFFF_FFFF, pstate, el2.spsr)
    same_registers("the CPU", bench.read_general(), general)
    expect("SP_EL2 is the vCPU, for the next exit", machine.register("SP_EL2"), vcpu.address)


# 1.5 Trap decode and dispatch.

AARCH32_USR, THUMB = 0x10, 1 << 5
CV = 1 << 24
# Condition: flags (N Z C V) with which it holds, and with which not.
CONDITIONS = {
    0b0000: (0b0100, 0b1011), 0b0001: (0b1011, 0b0100), 0b0010: (0b0010, 0b1101),
    0b0011: (0b1101, 0b0010), 0b0100: (0b1000, 0b0111), 0b0101: (0b0111, 0b1000),
    0b0110: (0b0001, 0b1110), 0b0111: (0b1110, 0b0001), 0b1000: (0b0010, 0b0110),
    0b1001: (0b0110, 0b0010), 0b1010: (0b1001, 0b1000), 0b1011: (0b0001, 0b1001),
    0b1100: (0b1001, 0b1101), 0b1101: (0b1101, 0b1001), 0b1110: (0b0000, None),
    0b1111: (0b0000, None),
}  # fmt: skip


def it_state(it: int) -> int:
    """PSTATE.IT in its two places."""
    return (it >> 2 & 0x3F) << 10 | (it & 3) << 25


def test_conditions_of_aarch32_instructions(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    vcpu = bench.vcpu()

    def passed(pstate: int, esr: int) -> bool:
        bench.put(vcpu, frame__pstate=pstate)
        return bool(bench.call("trap_condition_passed", vcpu.address, esr) & 0xFF)

    for condition, (holds, fails) in CONDITIONS.items():
        for flags, wanted in ((holds, True), (fails, False)):
            if flags is not None:
                pstate = flags << 28 | AARCH32_USR
                what = f"A32, condition {condition:04b}, NZCV = {flags:04b}: executed"
                expect(what, passed(pstate, CV | condition << 20), wanted)
    inside = it_state(0b0000_1000) | AARCH32_USR | THUMB  # IT EQ, its last instruction
    expect("T32 in an IT block EQ, CV = 0, Z set: executed", passed(inside | 1 << 30, 0), True)
    expect("T32 in an IT block EQ, CV = 0, Z clear: executed", passed(inside, 0), False)
    expect("T32 in no IT block, CV = 0: executed", passed(AARCH32_USR | THUMB, 0), True)
    expect("A64, whatever stands in these bits: executed", passed(EL1H, CV), True)


def skipped(bench: Bench, cases: tuple[tuple[str, int, int, int, int], ...]) -> None:
    """Each: what it is, PSTATE and syndrome of what is skipped, its length, PSTATE after it."""
    vcpu = bench.vcpu()
    for what, pstate, esr, length, after in cases:
        bench.put(vcpu, frame__pc=0x1000, frame__pstate=pstate)
        bench.call("trap_skip_instruction", vcpu.address, esr)
        expect(f"{what}: PC", vcpu.get("frame.pc"), 0x1000 + length)
        expect(f"{what}: PSTATE", vcpu.get("frame.pstate"), after, el2.spsr)


def test_a_skipped_instruction_was_executed(lab: Lab, seed: int) -> None:
    """PC by the length in IL, BTYPE and SS cleared."""
    ss = 1 << 21
    skipped(cold(lab, seed), (
        ("A64", 0xF000_0000 | ss | 1 << 10 | DAIF | EL1H, IL, 4, 0xF000_0000 | DAIF | EL1H),
        ("A32", AARCH32_USR | ss, IL, 4, AARCH32_USR),
        ("T32, 16 bits", AARCH32_USR | THUMB, 0, 2, AARCH32_USR | THUMB),
    ))  # fmt: skip


def test_a_skipped_instruction_moves_its_it_block_on(lab: Lab, seed: int) -> None:
    thumb = AARCH32_USR | THUMB
    skipped(cold(lab, seed), (
        ("16 bits, in an IT block", thumb | it_state(0b0000_0101), 0, 2,
         thumb | it_state(0b0000_1010)),
        ("last of an IT block", thumb | it_state(0b1010_1000), IL, 4, thumb),
        ("IT[7:5] stays", thumb | it_state(0b1101_0110), IL, 4, thumb | it_state(0b1100_1100)),
        ("IT[5] too", thumb | it_state(0b1011_0110), IL, 4, thumb | it_state(0b1010_1100)),
    ))  # fmt: skip


ZCR_EL1 = (3, 0, 1, 2, 0)  # of SVE
ISS2 = 0x15 << 32  # of ESR_EL2, on later CPUs: the class has bits [31:26], and no more


def sysreg_esr(op0: int, op1: int, crn: int, crm: int, op2: int, rt: int, read: bool) -> int:
    iss = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | read
    return 0x18 << 26 | IL | iss


def test_trapped_system_registers_are_emulated(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    bench.call("trap_dispatch_init")
    mdscr, oslsr, dbgbvr0 = (2, 0, 0, 2, 2), (2, 0, 1, 1, 4), (2, 0, 0, 0, 4)
    vcpu = bench.vcpu(frame__pstate=DAIF | EL1H)

    def trap(register: tuple[int, int, int, int, int], rt: int, read: bool) -> None:
        bench.put(vcpu, frame__pc=0x1000)
        bench.call("trap_dispatch", vcpu.address, esr := sysreg_esr(*register, rt, read))
        expect("vcpu->exit.esr is the syndrome", vcpu.get("exit.esr"), esr, Esr)
        expect(f"{Esr(esr)}: PC", vcpu.get("frame.pc"), 0x1004)

    general = bench.noise(31)
    general[7] = 1 << 12 | 1 << 15
    bench.set_frame(vcpu, general)
    trap(mdscr, 7, read=False)
    expect("MSR MDSCR_EL1, x7 takes x7", vcpu.get("el1.mdscr"), general[7])
    trap(dbgbvr0, 9, read=False)
    expect("MSR DBGBVR0_EL1, x9 takes all 64 bits of x9", vcpu.get("debug.pair[0].bvr"), general[9])
    trap(dbgbvr0, 10, read=True)
    general[10] = general[9]
    trap(mdscr, 30, read=True)
    general[30] = general[7]
    trap(oslsr, 0, read=True)
    general[0] = 8
    trap(oslsr, 31, read=True)
    trap(mdscr, 31, read=False)
    expect("MSR MDSCR_EL1, XZR writes 0", vcpu.get("el1.mdscr"), 0)
    what = ("after MRS x10, DBGBVR0_EL1, MRS x30, MDSCR_EL1, MRS x0, OSLSR_EL1 and "
            "MRS XZR, OSLSR_EL1 the frame")
    same_registers(what, bench.frame(vcpu), general)
    resume = 0x16 << 26 | IL  # an HVC
    bench.put(vcpu, frame__pc=0x1000)
    recorded: list[int] = []

    def handler(*_: int) -> int:
        recorded.append(vcpu.get("exit.esr"))
        return RESUME

    bench.call("trap_dispatch", vcpu.address, resume, stubs={"trap_hvc": handler})
    expect("vcpu->exit.esr while the handler runs, which may look at it", recorded, [resume])
    expect(f"{Esr(resume)}, whose handler returns TRAP_RESUME: PC, which is ELR_EL2",
           vcpu.get("frame.pc"), 0x1000)
    result = bench.call("trap_sysreg", vcpu.address, sysreg_esr(*ZCR_EL1, 5, True)) & 0xFFFF_FFFF
    expect("trap_sysreg() of MRS x5, ZCR_EL1, which guests do not have, returns", result, REFLECT,
           trap_result)
    same_registers("after an MRS that is refused the frame", bench.frame(vcpu), general)
    bench.put(vcpu, frame__pc=0x1000)
    what = "MRS x0, OSLSR_EL1 with ISS2 in ESR_EL2[36:32]: EC is bits [31:26] alone (esr_ec())"
    try:
        bench.call("trap_dispatch", vcpu.address, ISS2 | sysreg_esr(*oslsr, 0, True))
    except Finding as failed:
        failed.what = what
        raise
    expect(f"{what}: PC", vcpu.get("frame.pc"), 0x1004)


# 1.6 Hypercalls.

VERSION, ARCH_FEATURES = 0x8000_0000, 0x8000_0001
PSCI_VERSION, PSCI_FEATURES, SYSTEM_OFF = 0x8400_0000, 0x8400_000A, 0x8400_0008
CPU_SUSPEND, SMC64 = 0x8400_0001, 1 << 30
RUBBISH = 0xDEAD_BEEF << 32
STEPPED, BTYPE = 1 << 21, 3 << 10  # PSTATE.SS, and where an indirect branch came from


@pytest.mark.parametrize("conduit", ["trap_hvc", "trap_smc"])
def test_calls_are_served(lab: Lab, seed: int, conduit: str) -> None:
    bench = cold(lab, seed)
    bench.call("trap_dispatch_init")
    vcpu = bench.vcpu(frame__pstate=DAIF | EL1H)
    ec = 0x16 if conduit == "trap_hvc" else 0x17
    for what, function, argument, wanted in (
        ("SMCCC_VERSION", VERSION, 0, 0x10002),
        ("SMCCC_VERSION with rubbish in X0[63:32]", RUBBISH | VERSION, 0, 0x10002),
        ("an unknown function", 0xC600_0077, 0, NOT_SUPPORTED),
        ("ARCH_FEATURES(VERSION)", ARCH_FEATURES, VERSION, 0),
        ("ARCH_FEATURES(itself)", ARCH_FEATURES, ARCH_FEATURES, 0),
        ("ARCH_FEATURES(unknown)", ARCH_FEATURES, 0x8000_7FFF, NOT_SUPPORTED),
        ("ARCH_FEATURES(VERSION with rubbish in X1[63:32])", ARCH_FEATURES, RUBBISH | VERSION, 0),
        ("PSCI_VERSION", PSCI_VERSION, 0, 0x10001),
        ("PSCI_FEATURES(SYSTEM_OFF)", PSCI_FEATURES, SYSTEM_OFF, 0),
        ("PSCI_FEATURES(SYSTEM_OFF with rubbish in X1[63:32])", PSCI_FEATURES,
         RUBBISH | SYSTEM_OFF, 0),
        ("PSCI_FEATURES(CPU_SUSPEND of 32 bits)", PSCI_FEATURES, CPU_SUSPEND, 0),
        ("PSCI_FEATURES(CPU_SUSPEND of 64 bits)", PSCI_FEATURES, CPU_SUSPEND | SMC64, 0),
        ("PSCI_FEATURES(SMCCC_VERSION)", PSCI_FEATURES, VERSION, 0),
        ("PSCI_FEATURES(SMCCC_VERSION with rubbish in X1[63:32])", PSCI_FEATURES,
         RUBBISH | VERSION, 0),
        ("PSCI_FEATURES(unknown)", PSCI_FEATURES, 0x8400_001F, NOT_SUPPORTED),
        ("PSCI_FEATURES(a call that is not PSCI's)", PSCI_FEATURES, 0xC600_0002, NOT_SUPPORTED),
    ):
        general = bench.noise(31)
        general[0], general[1] = function, argument
        bench.set_frame(vcpu, general)
        pstate = DAIF | EL1H | (0 if ec == 0x16 else STEPPED | BTYPE)
        bench.put(vcpu, frame__pc=0x1000, frame__pstate=pstate)
        result = bench.call(conduit, vcpu.address, ec << 26 | IL) & 0xFFFF_FFFF
        pc = vcpu.get("frame.pc") + (4 if result == SKIP_INSN else 0)
        expect_that(f"{what}: the result is RESUME or SKIP_INSN",
                    result in (RESUME, SKIP_INSN), result)
        expect(f"{what}: the guest goes on at", pc, 0x1000 if ec == 0x16 else 0x1004)
        if result == RESUME:
            expect(f"{what}: PSTATE, as the instruction leaves it", vcpu.get("frame.pstate"),
                   DAIF | EL1H, el2.spsr)
        frame = bench.frame(vcpu)
        expect(f"{what}: X0", frame[0], wanted)
        same_registers(f"{what} keeps x4 to x30: the frame", general[:4] + frame[4:], general)


# 1.7 Injecting exceptions.


@pytest.mark.parametrize("cpu", ["cortex-a76", "cortex-a57"])
def test_an_injected_exception_is_as_from_hardware(lab: Lab, seed: int, cpu: str) -> None:
    bench = cold(lab, seed, cpu=cpu)
    machine = bench.machine
    has_pan = machine.register("ID_AA64MMFR1_EL1") >> 20 & 0xF != 0
    has_ssbs = machine.register("ID_AA64PFR1_EL1") >> 4 & 0xF != 0
    bench.sysreg("VBAR_EL1", GUEST_VBAR)
    span, pan, uao = 1 << 23, 1 << 22 if has_pan else 0, 1 << 23
    ss_il_btype = 1 << 21 | 1 << 20 | 3 << 10
    dssbs, ssbs = 1 << 44 if has_ssbs else 0, 1 << 12 if has_ssbs else 0
    for what, pstate, sctlr, offset, after in (
        ("EL1h", 0xF000_0000 | ss_il_btype | EL1H, span, 0x200, 0xF000_0000),
        ("EL1h with UAO", uao | EL1H, span, 0x200, 0),
        ("EL1h with PAN, which SPAN = 1 keeps", pan | EL1H, span, 0x200, pan),
        ("EL1t", 0x5000_0000 | EL1T, span, 0x000, 0x5000_0000),
        ("EL0", DAIF | EL0T, span, 0x400, 0),
        ("AArch32 EL0", 0x8800_0000 | AARCH32_USR | THUMB | it_state(0xFF), span,
         0x600, 0x8000_0000),
        ("AArch32 EL0 with DIT", 0x0100_0000 | AARCH32_USR, span, 0x600, 0x0100_0000),
        ("EL1h, SCTLR_EL1.SPAN = 0", EL1H, 0, 0x200, pan),
        ("EL1h, SCTLR_EL1.DSSBS = 1", EL1H, span | dssbs, 0x200, ssbs),
        ("EL1h with SSBS, SCTLR_EL1.DSSBS = 0", EL1H | ssbs, span, 0x200, 0),
        ("EL1t, SCTLR_EL1 bit 44 = 1, which is DSSBS if the CPU has SSBS", EL1T, span | 1 << 44,
         0x000, ssbs),
    ):  # fmt: skip
        pc, esr, far = bench.noise(1)[0] & ~3 & 0xFFFF_FFFF, 0x0200_0000, bench.noise(1)[0]
        vcpu = bench.vcpu(frame__pc=pc, frame__pstate=pstate)
        bench.sysreg("SCTLR_EL1", 0x30D0_0800 & ~span | sctlr)
        bench.sysreg("FAR_EL1", far)
        bench.call("inject_exception", vcpu.address, esr)
        expect(f"from {what}: ESR_EL1", machine.register("ESR_EL1"), esr, Esr)
        expect(f"from {what}: ELR_EL1 is the guest's PC", machine.register("ELR_EL1"), pc)
        expect(f"from {what}: SPSR_EL1 is the guest's PSTATE", machine.register("SPSR_EL1"),
               pstate, el2.spsr)
        expect(f"from {what}: FAR_EL1 is not touched", machine.register("FAR_EL1"), far)
        expect(f"from {what}: PC is VBAR_EL1 + {offset:#x}", vcpu.get("frame.pc"),
               GUEST_VBAR + offset)
        expect(f"from {what}: PSTATE of the handler", vcpu.get("frame.pstate"),
               after | DAIF | EL1H, el2.spsr)


def test_an_injected_abort_says_whose_it_is(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    machine = bench.machine
    bench.sysreg("VBAR_EL1", GUEST_VBAR)
    bench.sysreg("SCTLR_EL1", 0x30D0_0800 | 1 << 23)
    wnr, s1ptw, cm = 1 << 6, 1 << 7, 1 << 8
    on_level_2 = 0x16
    for what, pstate, esr, wanted in (
        ("load at EL0", EL0T, 0x24 << 26 | IL | 7, 0x24 << 26 | IL | 0x10),
        ("store at EL0", EL0T, 0x24 << 26 | IL | wnr | 7, 0x24 << 26 | IL | wnr | 0x10),
        ("load at EL1", EL1H, 0x24 << 26 | IL | 1 << 24 | 3 << 16 | 6, 0x25 << 26 | IL | 0x10),
        ("store at EL1t", EL1T, 0x24 << 26 | IL | wnr | 6, 0x25 << 26 | IL | wnr | 0x10),
        ("load in AArch32", AARCH32_USR, 0x24 << 26 | IL | 7, 0x24 << 26 | IL | 0x10),
        ("load by a 16-bit T32 instruction", AARCH32_USR | THUMB, 0x24 << 26 | 1 << 24 | 7,
         0x24 << 26 | IL | 0x10),
        ("fetch at EL0", EL0T, 0x20 << 26 | IL | 7, 0x20 << 26 | IL | 0x10),
        ("fetch at EL1", EL1H, 0x20 << 26 | IL | 5, 0x21 << 26 | IL | 0x10),
        ("walk for a load at EL1", EL1H, 0x24 << 26 | IL | s1ptw | 5, 0x25 << 26 | IL | on_level_2),
        ("walk for a fetch at EL0", EL0T, 0x20 << 26 | IL | s1ptw | 5,
         0x20 << 26 | IL | on_level_2),
        ("fetch at EL1, with bits where a data abort has WnR and CM", EL1H,
         0x20 << 26 | IL | cm | wnr | 6, 0x21 << 26 | IL | 0x10),
        ("AT at EL1", EL1H, 0x24 << 26 | IL | cm | s1ptw | wnr | 5,
         0x25 << 26 | IL | cm | wnr | on_level_2),
    ):
        far = bench.noise(1)[0]
        vcpu = bench.vcpu(frame__pc=0x4048_0000, frame__pstate=pstate)
        status = on_level_2 if esr & s1ptw else 0x10
        bench.call("inject_abort", vcpu.address, esr, far, stubs={"guest_abort_status": status})
        expect(f"{what}: ESR_EL1", machine.register("ESR_EL1"), wanted, Esr)
        expect(f"{what}: FAR_EL1", machine.register("FAR_EL1"), far)
        expect(f"{what}: ELR_EL1", machine.register("ELR_EL1"), 0x4048_0000)


# 1.8 World switch.

# Member of struct el1_state: register, and the bits that any CPU has.
EL1_STATE = {
    "sp_el0": ("SP_EL0", -1), "sp_el1": ("SP_EL1", -1), "elr_el1": ("ELR_EL1", -1),
    "spsr_el1": ("SPSR_EL1", 0xF000_03C5), "sctlr": ("SCTLR_EL1", 0x0000_1005),
    "cpacr": ("CPACR_EL1", 0x30_0000), "ttbr0": ("TTBR0_EL1", 0xFFFF_FFFF_F000),
    "ttbr1": ("TTBR1_EL1", 0xFFFF_FFFF_F000), "tcr": ("TCR_EL1", 0x3F_003F),
    "mair": ("MAIR_EL1", -1), "amair": ("AMAIR_EL1", 0), "vbar": ("VBAR_EL1", 0xFFFF_FFFF_F800),
    "esr": ("ESR_EL1", 0xFFFF_FFFF), "far": ("FAR_EL1", -1), "afsr0": ("AFSR0_EL1", 0),
    "afsr1": ("AFSR1_EL1", 0), "par": ("PAR_EL1", 0xFFFF_FFFF_F000),
    "contextidr": ("CONTEXTIDR_EL1", 0xFFFF_FFFF), "tpidr_el0": ("TPIDR_EL0", -1),
    "tpidrro_el0": ("TPIDRRO_EL0", -1), "tpidr_el1": ("TPIDR_EL1", -1),
}  # fmt: skip


def test_el1_state_is_saved_and_loaded(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    machine = bench.machine

    def fresh(member: str) -> int:
        return bench.noise(1)[0] & EL1_STATE[member][1]

    state = bench.make("struct el1_state", mdscr=0x5555)
    base = 0x30D0_0800
    written = {}
    for member, (register, _) in EL1_STATE.items():
        bench.sysreg(register, fresh(member) | (base if member == "sctlr" else 0))
        written[member] = machine.register(register)
    bench.sysreg("CSSELR_EL1", 4)
    bench.call("world_save_el1", state.address)
    expect("world_save_el1(): csselr is CSSELR_EL1", state.get("csselr"), 4)
    for member, (register, _) in EL1_STATE.items():
        observed = state.get(member)
        expect(f"world_save_el1(): {member} is {register}", observed, written[member])
    expect("world_save_el1() leaves mdscr", state.get("mdscr"), 0x5555)

    wanted = {member: fresh(member) | (base if member == "sctlr" else 0) for member in EL1_STATE}
    bench.put(state, mdscr=1 << 12, csselr=2, **wanted)
    bench.call("world_load_el1", state.address)
    expect("world_load_el1(): CSSELR_EL1 is csselr", bench.read_sysreg("CSSELR_EL1"), 2)
    for member, (register, _) in EL1_STATE.items():
        expect(f"world_load_el1(): {register} is {member}", machine.register(register),
               wanted[member])
    expect("world_load_el1(): MDSCR_EL1 is mdscr", machine.register("MDSCR_EL1"), 1 << 12)
    for access, function in (("mrs", "world_save_el1"), ("msr", "world_load_el1")):
        like = rf"{access} .*\b(amair|afsr[01])_el1"
        seen = {one.operands.split(", ")[access == "mrs"]
                for one in bench.executed(like, function, state.address)}
        expect(f"{function}(): registers that this CPU has not, and others have", sorted(seen),
               ["afsr0_el1", "afsr1_el1", "amair_el1"])


def test_walks_of_the_guest_that_left_are_over_before_its_registers_change(
        lab: Lab, seed: int) -> None:
    """Arm ARM, "Out-of-context translation regimes": else a walk may mix two guests' tables."""
    bench = cold(lab, seed)
    vcpu = bench.vcpu(hcr=1 << 31)
    like = r"dsb|msr (ttbr[01]|tcr|sctlr|mair)_el1"
    load = hook_of(bench.machine, 1, "vcpu_load")
    seen = [one.name for one in bench.executed(like, load, vcpu.address)]
    expect("the load of a vCPU begins with", seen[:1], ["dsb"])
    expect_that("and then writes the registers of EL1's translation", seen.count("msr") >= 5, seen)


def test_what_only_some_cpus_have_follows_its_vcpu(lab: Lab, seed: int) -> None:
    """Where the CPU has RAS a guest has DISR_EL1, which is VDISR_EL2 while HCR_EL2.AMO is set. The
    same hooks take along what all CPUs have: that is the exercise."""
    bench = cold(lab, seed)
    save, load, reset = (hook_of(bench.machine, LAB, hook)
                         for hook in ("vcpu_save", "vcpu_load", "vcpu_reset"))
    bench.call(hook_of(bench.machine, LAB, "init"))
    left, came = (0x8000_0000 | bench.random.getrandbits(24) for _ in range(2))
    vcpu = bench.vcpu(hcr=WANTED_HCR)
    bench.sysreg("VDISR_EL2", left)
    bench.sysreg("TPIDR_EL1", left)
    bench.call(save, vcpu.address)
    expect("the guest that leaves takes VDISR_EL2 and TPIDR_EL1 along",
           (vcpu.get("el1_optional.vdisr"), vcpu.get("el1.tpidr_el1")), (left, left))
    bench.put(vcpu, el1_optional__vdisr=came, el1__tpidr_el1=came)
    bench.call(load, vcpu.address)
    expect("the one that comes finds its own",
           (bench.read_sysreg("VDISR_EL2"), bench.machine.register("TPIDR_EL1")), (came, came))
    bench.call(reset, vcpu.address)
    expect("after a reset it is 0", vcpu.get("el1_optional.vdisr"), 0)


def test_an_serror_of_the_guest_that_leaves_ends_no_other(lab: Lab, seed: int) -> None:
    """QEMU raises no SError: the test sets DISR_EL1 as ESB does, or the owner as a switch does."""
    bench = cold(lab, seed)
    bench.call(hook_of(bench.machine, LAB, "init"))
    leaves, runs = bench.make("struct vm"), bench.make("struct vm")
    vcpu = bench.vcpu(vm=leaves.address, hcr=WANTED_HCR)
    bench.sysreg("TPIDR_EL1", seed)

    def ended(function: str | int, *arguments: int) -> list[int]:
        bench.call(function, *arguments, stubs={"vm_stop": 0})
        return [call.arguments[0] for call in bench.calls]

    save = hook_of(bench.machine, LAB, "vcpu_save")
    bench.sysreg("DISR_EL1", 0x11)
    expect("a switch with DISR_EL1.A = 0 ends no VM", ended(save, vcpu.address), [])
    bench.sysreg("DISR_EL1", 1 << 31 | 0x11)
    expect("one with DISR_EL1.A = 1 ends the VM that leaves", ended(save, vcpu.address),
           [leaves.address])
    expect("and DISR_EL1 is ready for the next", bench.read_sysreg("DISR_EL1") >> 31, 0)
    expect("with what the VM had: TPIDR_EL1", vcpu.get("el1.tpidr_el1"), seed)
    vcpu = bench.vcpu(vm=runs.address)
    expect("an SError ends the VM that runs", ended("trap_serror", vcpu.address, 0xBE00_0000),
           [runs.address])
    bench.put(bench.cpu, serror_vm=leaves.address)
    expect("or the one that a switch noted", ended("trap_serror", vcpu.address, 0xBE00_0000),
           [leaves.address])
    expect("once", ended("trap_serror", vcpu.address, 0xBE00_0000), [runs.address])


TFP = 1 << 10
REQ_STOP = 1 << 2


def test_simd_state_follows_its_vcpu(lab: Lab, seed: int) -> None:
    """Two vCPUs use the unit in turn; the first one comes back, then starts anew."""
    bench = cold(lab, seed)
    machine = bench.machine
    in_memory = "fp.v[5][0]"

    def use(vcpu: Object) -> None:
        bench.put(bench.cpu, vcpu=vcpu.address)
        bench.call("fp_open", vcpu.address)
        expect("fp_open() opens the unit (CPTR_EL2.TFP)", machine.register("CPTR_EL2") & TFP, 0)

    def v5() -> int:
        return machine.gdb.evaluate_int("$v5.d.u[0]")

    def leave(vcpu: Object) -> None:
        bench.call("fp_leave", vcpu.address)
        expect("fp_leave() closes the unit (CPTR_EL2.TFP)", machine.register("CPTR_EL2") & TFP, TFP)
        expect("fp_leave(): cpu->fp_enabled", bench.cpu.get("fp_enabled"), 0)

    bench.sysreg("CPTR_EL2", WANTED_CPTR)
    a, b = bench.vcpu(), bench.vcpu()
    bench.put(a, **{in_memory: 0xA5})
    bench.put(b, **{in_memory: 0xB5})
    use(a)
    expect("the first use loads the vCPU's registers: v5", v5(), 0xA5)
    machine.gdb.set_register("v5.d.u[0]", 0xA6)
    leave(a)
    expect("what it computed is in its memory copy: v5", a.get(in_memory), 0xA6)
    kept = bench.cpu.get("fp_owner"), a.get("fp_cpu")
    expect("fp_leave() leaves the registers where they are: fp_owner, fp_cpu", kept,
           (a.address, bench.cpu.address))
    use(a)
    machine.gdb.set_register("v5.d.u[0]", 0xA8)
    leave(a)
    expect("so does a second turn in which nothing had to be loaded: v5", a.get(in_memory), 0xA8)
    leave(b)  # it did not use the unit
    expect("nothing is saved for a vCPU that did not use it", b.get(in_memory), 0xB5)
    use(b)
    expect("the next vCPU finds its own registers: v5", v5(), 0xB5)
    leave(b)
    bench.put(b, **{in_memory: 0xB6})
    use(b)
    expect("nobody used the unit meanwhile: fp_open() loads nothing from the memory copy: v5", v5(),
           0xB5)
    leave(b)
    use(a)
    expect("the first one finds its own again: v5", v5(), 0xA8)
    leave(a)
    elsewhere = bench.allocate("struct cpu")[0].address
    bench.put(a, fp_cpu=elsewhere, **{in_memory: 0xA9})
    use(a)
    expect("registers that were in use on another CPU since (fp_cpu) are loaded: v5", v5(), 0xA9)
    leave(a)
    bench.put(a, fp_cpu=0, **{in_memory: 0xA7})  # as after a reset of the VM
    use(a)
    expect("registers whose memory copy is newer (fp_cpu is NULL) are loaded: v5", v5(), 0xA7)


def test_a_switch_saves_the_one_that_leaves_before_it_loads_the_next(lab: Lab) -> None:
    """What the hooks of a layer find in cpu->vcpu is the vCPU that they are called for."""
    machine = lab.start("world_switch_el1", "world_switch_el1")
    objects = Objects(machine)
    hooks = {hook_of(machine, LAB, f"vcpu_{name}"): name for name in ("save", "load")}
    loaded, leaves = 0, None  # the vCPU on the CPU, and the one that it was before
    with ExitStack() as stack:
        for place in hooks:
            stack.enter_context(machine.breakpoint(place, EL2_ONLY))
        for turn in range(7):
            stop = machine.run()
            if stop.kind is not StopKind.BREAKPOINT:
                raise machine.finding_for(stop, "the two VMs take turns")
            name, vcpu = hooks[stop.pc], machine.register("x0")
            expect(f"hook {turn} of a switch", name, "save" if turn % 2 else "load")
            if name == "save":
                expect("vcpu_save() is called for the vCPU that was loaded", vcpu, loaded)
                leaves = vcpu
            else:
                expect_that("vcpu_load() is called for the other one", vcpu != leaves, vcpu)
                loaded = vcpu
            expect(f"cpu->vcpu while the {name} hooks run", objects.cpu(0).get("vcpu"), vcpu)
        machine.run_to("*trap_dispatch", EL2_ONLY)
        places = {place: f"layer 1's {name} hook" for place, name in hooks.items()}
        places |= {place: f"layer 2's {name} hook" for name, place in add_layer(machine).items()}
        places[machine.symbols["vm_vcpu_left"]] = "vm_vcpu_left()"
        for place in places.keys() - hooks.keys():
            stack.enter_context(machine.breakpoint(place, EL2_ONLY))

        def called(count: int) -> Iterator[str]:
            for _ in range(count):
                stop = machine.run()
                if stop.kind is not StopKind.BREAKPOINT:
                    raise machine.finding_for(stop, "a switch calls the hooks of two layers")
                yield places[stop.pc]

        expect("a switch calls, in an image to which the test has added a layer 2", [*called(4)],
               ["layer 2's save hook", "layer 1's save hook", "layer 1's load hook",
                "layer 2's load hook"])
        # Who has been loaded is to leave for good.
        Object(objects, "struct vcpu", machine.register("x0")).set("requests", REQ_STOP)
        expect("a switch to nobody (next is NULL) calls the save hooks alone", [*called(3)],
               ["layer 2's save hook", "layer 1's save hook", "vm_vcpu_left()"])
    expect("cpu->vcpu when a vCPU has left for good, and none has come",
           objects.cpu(0).get("vcpu"), 0)


def test_a_yield_asks_for_another_turn(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    vcpu = bench.vcpu(frame__pc=0x1000, requests=4)
    bench.put(vcpu, **{"frame.x[0]": 0xC600_0001})
    result = bench.call("strata_yield", vcpu.address) & 0xFFFF_FFFF
    expect("strata_yield() returns", result, RESUME, trap_result)
    expect("X0 is 0", vcpu.get("frame.x[0]"), 0)
    work = vcpu.get("requests")
    expect("REQ_RESCHEDULE is added to requests", work, 4 | 1)
    expect("the PC stays behind the HVC", vcpu.get("frame.pc"), 0x1000)
