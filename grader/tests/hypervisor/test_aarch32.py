# SPDX-License-Identifier: MIT
"""AArch32 at EL0 reaches AArch64's system registers under other names, with other syndromes."""

from __future__ import annotations

import pytest

from grader.conftest import MakeLab
from grader.machine.verdict import expect, expect_that
from grader.oracle.calls import Bench
from grader.oracle.decode import el2_registers as el2
from grader.oracle.objects import Object
from grader.tests.lab01.test_lab01_steps import (AARCH32_USR, CV, GUEST_VBAR, IL, cold,
                                                 same_registers)

CP15_32, CP15_64, CP14_32, CP14_64 = 0x03, 0x04, 0x05, 0x0C
ALWAYS, EQUAL, Z = 0xE << 20, 0, 1 << 30
READ, WRITE = 1, 0
UNDEFINED_AT = GUEST_VBAR + 0x600
APSR = 31


@pytest.mark.parametrize("cpu", ["cortex-a57", "cortex-a76", "max"])
@pytest.mark.parametrize("number", [1, 4])
def test_aarch32_has_the_registers_of_aarch64(make_lab: MakeLab, number: int, cpu: str) -> None:
    make_lab(number).probe("aarch32_registers", cpu=cpu)


def mrc(ec: int, crn: int, crm: int, opc2: int, rt: int, direction: int = READ,
        condition: int = ALWAYS) -> int:
    """Syndrome of a trapped MRC or MCR with opc1 = 0."""
    return ec << 26 | IL | CV | condition | opc2 << 17 | crn << 10 | rt << 5 | crm << 1 | direction


def mrrc(ec: int, opc1: int, crm: int, rt: int, rt2: int, direction: int = READ) -> int:
    """Syndrome of a trapped MRRC or MCRR."""
    return ec << 26 | IL | CV | ALWAYS | opc1 << 16 | rt2 << 10 | rt << 5 | crm << 1 | direction


class TrappedAtEl0:
    """A vCPU whose AArch32 code traps."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.call("trap_dispatch_init")
        bench.sysreg("VBAR_EL1", GUEST_VBAR)
        self.vcpu: Object = bench.vcpu()

    def dispatch(self, esr: int, flags: int = 0) -> tuple[int, list[int], list[int]]:
        """PC, and the general registers before and after."""
        before = [value & 0xFFFF_FFFF for value in self.bench.noise(31)]
        self.bench.set_frame(self.vcpu, before)
        self.bench.put(self.vcpu, frame__pc=0x1000, frame__pstate=AARCH32_USR | flags)
        self.bench.call("trap_dispatch", self.vcpu.address, esr)
        return self.vcpu.get("frame.pc"), before, self.bench.frame(self.vcpu)


def test_the_debug_channel_reads_zero(make_lab: MakeLab, seed: int) -> None:
    """QEMU has it undefined at EL0, so the trap is made by hand."""
    trapped = TrappedAtEl0(cold(make_lab(1), seed))
    for name, crm in (("DBGDSCRint", 1), ("DBGDTRRXint", 5)):
        pc, before, after = trapped.dispatch(mrc(CP14_32, 0, crm, 0, rt=5))
        expect(f"MRC r5, {name}: PC", pc, 0x1004)
        same_registers(f"after MRC r5, {name} the frame", after, [*before[:5], 0, *before[6:]])
    pc, _, _ = trapped.dispatch(mrc(CP14_32, 0, 5, 0, rt=5, direction=WRITE))
    expect("MCR DBGDTRTXint: PC", pc, 0x1004)
    pc, before, after = trapped.dispatch(mrc(CP14_32, 0, 1, 0, rt=APSR), flags=0xF << 28)
    expect("MRC APSR_nzcv, DBGDSCRint: PC", pc, 0x1004)
    expect("the flags are its bits [31:28]", trapped.vcpu.get("frame.pstate"),
           AARCH32_USR, el2.spsr)
    same_registers("the frame", after, before)


def test_what_has_no_other_name_is_undefined(make_lab: MakeLab, seed: int) -> None:
    trapped = TrappedAtEl0(cold(make_lab(1), seed))
    for what, esr in (
        ("MRC DBGDIDR", mrc(CP14_32, 0, 0, 0, rt=0)),
        ("MCR DBGDSCRint", mrc(CP14_32, 0, 1, 0, rt=0, direction=WRITE)),
        ("MRRC DBGDRAR", mrrc(CP14_64, 0, 1, rt=0, rt2=1)),
        ("MRC PMCR", mrc(CP15_32, 9, 12, 0, rt=0)),
        ("MRC CNTP_CTL, which layer 4 brings,", mrc(CP15_32, 14, 2, 1, rt=0)),
        ("MRRC CNTP_CVAL, which layer 4 brings,", mrrc(CP15_64, 2, 14, rt=0, rt2=1)),
    ):
        pc, before, after = trapped.dispatch(esr)
        expect(f"{what} is undefined: PC", pc, UNDEFINED_AT)
        same_registers("the frame", after, before)


def test_an_instruction_whose_condition_fails_changes_nothing(make_lab: MakeLab, seed: int) -> None:
    trapped = TrappedAtEl0(cold(make_lab(1), seed))
    esr = mrc(CP14_32, 0, 1, 0, rt=5, condition=EQUAL)
    pc, before, after = trapped.dispatch(esr)
    expect("MRCEQ with Z clear: PC", pc, 0x1004)
    same_registers("the frame", after, before)
    pc, before, after = trapped.dispatch(esr, flags=Z)
    expect("MRCEQ with Z set: PC", pc, 0x1004)
    same_registers("the frame", after, [*before[:5], 0, *before[6:]])


def test_64_bits_are_in_two_registers(make_lab: MakeLab, seed: int) -> None:
    trapped = TrappedAtEl0(cold(make_lab(4), seed))
    low, high = 7, 9
    first = trapped.bench.read_sysreg("CNTPCT_EL0")
    pc, before, after = trapped.dispatch(mrrc(CP15_64, 0, 14, rt=low, rt2=high))
    last = trapped.bench.read_sysreg("CNTPCT_EL0")
    expect("MRRC r7, r9, CNTPCT: PC", pc, 0x1004)
    count = after[high] << 32 | after[low]
    expect_that("it is the count", first <= count <= last, count, f"{first} to {last}")
    before[low], before[high] = after[low], after[high]
    same_registers("no other register changes: the frame", after, before)
