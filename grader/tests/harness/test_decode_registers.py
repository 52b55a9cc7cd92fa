# SPDX-License-Identifier: MIT
"""Control registers of EL2, program status and list registers, against values made by hand."""

from __future__ import annotations

from grader.oracle.decode import el2_registers as el2
from grader.oracle.decode.fields import bits, sign_extend
from grader.oracle.decode.list_register import ListRegister, Vmcr, ich_hcr


def test_bit_ranges() -> None:
    assert bits(0xABCD, 15, 12) == 0xA
    assert bits(0xABCD, 3, 0) == 0xD
    assert sign_extend(0x1FF, 9) == -1
    assert sign_extend(0x0FF, 9) == 255


def test_hcr() -> None:
    # RW, TSC, TWI, AMO, IMO, FMO, VM.
    value = 1 << 31 | 1 << 19 | 1 << 13 | 1 << 5 | 1 << 4 | 1 << 3 | 1
    assert value == 0x80082039
    assert el2.hcr(value) == "0x80082039 RW TSC TWI AMO IMO FMO VM"
    assert el2.hcr_has(value, "VM", "TSC")
    assert not el2.hcr_has(value, "VM", "TWE")
    assert el2.hcr(1 << 10) == "0x400 BSU=inner"


def test_cptr_mdcr_cnthctl() -> None:
    assert el2.cptr(1 << 10 | 1 << 20) == "0x100400 TTA TFP"
    assert el2.mdcr(1 << 9 | 6) == "0x206 HPMN=6 TDA"
    assert el2.cnthctl(1) == "0x1 EL1PCTEN"
    assert el2.cnthctl(0) == "0x0 (no field set)"


def test_spsr() -> None:
    assert el2.spsr(0x3C5) == "0x3c5 EL1h D A I F"
    assert el2.spsr(0x6000_0000) == "0x60000000 EL0t Z C"
    assert el2.spsr(0x1D3) == "0x1d3 AArch32 svc A I F"
    assert el2.spsr(0xB030) == "0xb030 AArch32 usr IT=0xb0 T"


def test_list_register_of_a_hardware_interrupt() -> None:
    # Pending, HW, group 1, priority 0xa0, physical 27, virtual 27.
    value = 1 << 62 | 1 << 61 | 1 << 60 | 0xA0 << 48 | 27 << 32 | 27
    assert value == 0x70A0_001B_0000_001B
    lr = ListRegister(value)
    assert lr.pending and not lr.active and lr.hardware and not lr.eoi
    assert (lr.group, lr.priority, lr.pintid, lr.vintid) == (1, 0xA0, 27, 27)
    assert str(lr) == "INTID 27 pending, priority 0xa0, group 1, HW 27"
    assert ListRegister.make(27, priority=0xA0, pintid=27) == lr


def test_list_register_of_a_software_interrupt() -> None:
    lr = ListRegister.make(40, state=3, priority=0x80, eoi=True)
    assert lr.pending and lr.active and lr.eoi and not lr.hardware
    assert str(lr) == "INTID 40 pending and active, priority 0x80, group 1, EOI maintenance"
    assert str(ListRegister(0)) == "empty"


def test_bit_41_is_part_of_the_physical_intid_when_hw_is_set() -> None:
    lr = ListRegister(1 << 62 | 1 << 61 | 1 << 41 | 30 << 32 | 30)
    assert not lr.eoi
    assert lr.pintid == 0x200 | 30


def test_virtual_interface_control() -> None:
    assert ich_hcr(3 | 5 << 27) == "0x28000003 UIE En EOIcount=5"
    vmcr = Vmcr(0xF0 << 24 | 1 << 1)
    assert vmcr.group1 and not vmcr.group0
    assert vmcr.priority_mask == 0xF0
