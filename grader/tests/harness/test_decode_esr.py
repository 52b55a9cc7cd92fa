# SPDX-License-Identifier: MIT
"""ESR_ELx: values put together by hand from the field tables of the Arm ARM."""

from __future__ import annotations

import pytest

from grader.oracle.decode.esr import CLASSES, Abort, Esr, fault_status


def test_hvc_carries_its_immediate() -> None:
    # EC 0x16 at [31:26], IL at 25, imm16 0x1234.
    esr = Esr(0x16 << 26 | 1 << 25 | 0x1234)
    assert esr.value == 0x5A001234
    assert (esr.ec, esr.il, esr.iss) == (0x16, 1, 0x1234)
    assert str(esr) == "0x5a001234 EC 0x16 HVC: #0x1234"


def test_data_abort_of_a_guest_store() -> None:
    # strh w5, [x1] to an unmapped IPA: ISV, SAS=1 (2 bytes), SRT=5, SF=0, WnR, DFSC 0b000101.
    value = 0x24 << 26 | 1 << 25 | 1 << 24 | 1 << 22 | 5 << 16 | 1 << 6 | 0b000101
    assert value == 0x93450045
    abort = Esr(value).abort
    assert abort.isv and abort.write and not abort.sign_extend and not abort.sixty_four
    assert (abort.size, abort.register) == (2, 5)
    assert abort.is_translation_fault and not abort.is_permission_fault
    assert "2 bytes w5" in str(Esr(value))


def test_sign_extending_load_into_x30() -> None:
    # ldrsw x30, ...: SAS=2, SSE, SRT=30, SF, read, permission fault level 3.
    value = 0x24 << 26 | 1 << 25 | 1 << 24 | 2 << 22 | 1 << 21 | 30 << 16 | 1 << 15 | 0b001111
    abort = Esr(value).abort
    assert (abort.size, abort.register, abort.sign_extend, abort.sixty_four) == (4, 30, True, True)
    assert not abort.write and abort.is_permission_fault
    assert str(abort) == "permission fault, level 3, read, 4 bytes x30, sign-extended"


def test_register_31_is_the_zero_register() -> None:
    iss = 1 << 24 | 3 << 22 | 31 << 16 | 1 << 15 | 1 << 6 | 0b000110
    assert "8 bytes xzr" in str(Abort.of(iss, is_data=True))


def test_abort_without_syndrome_tells_no_access() -> None:
    abort = Esr(0x24 << 26 | 1 << 25 | 1 << 6 | 0b000111).abort
    assert not abort.isv
    assert abort.size == 0
    assert "no instruction syndrome" in str(abort)


def test_instruction_abort_has_no_access_fields() -> None:
    # Bits 24..15 and 6 are RES0 there; a decoder that reads them would invent an access.
    abort = Esr(0x20 << 26 | 1 << 25 | 1 << 24 | 1 << 6 | 1 << 7 | 0b000101).abort
    assert not abort.isv and not abort.write
    assert abort.s1ptw


def test_far_not_valid() -> None:
    assert Esr(0x25 << 26 | 1 << 25 | 1 << 10 | 0b010000).abort.fnv


def test_trapped_system_register_access() -> None:
    # mrs x7, CNTP_CTL_EL0: op0=3 op1=3 CRn=14 CRm=2 op2=1, Rt=7, read.
    iss = 3 << 20 | 1 << 17 | 3 << 14 | 14 << 10 | 7 << 5 | 2 << 1 | 1
    access = Esr(0x18 << 26 | 1 << 25 | iss).sysreg
    assert access.encoding == (3, 3, 14, 2, 1)
    assert str(access) == "mrs x7, CNTP_CTL_EL0"
    write = Esr(0x18 << 26 | 1 << 25 | (iss & ~1 & ~(31 << 5)) | 31 << 5).sysreg
    assert str(write) == "msr CNTP_CTL_EL0, xzr"


def test_register_without_a_name_is_shown_by_its_encoding() -> None:
    iss = 3 << 20 | 6 << 17 | 1 << 14 | 15 << 10 | 0 << 5 | 9 << 1
    assert str(Esr(0x18 << 26 | 1 << 25 | iss)).endswith("msr S3_1_C15_C9_6, x0")


@pytest.mark.parametrize(
    ("iss", "text"), [(0, "WFI"), (1, "WFE"), (1 << 24 | 14 << 20, "WFI"), (2, "WFIT"), (3, "WFET")]
)
def test_wait_instructions(iss: int, text: str) -> None:
    assert str(Esr(0x01 << 26 | 1 << 25 | iss)).endswith(f": {text}")


def test_conditional_aarch32_wait_names_its_condition() -> None:
    assert "condition 0x1" in str(Esr(0x01 << 26 | 1 << 24 | 1 << 20))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0b000000, "address size fault, level 0"),
        (0b000101, "translation fault, level 1"),
        (0b001010, "access flag fault, level 2"),
        (0b001111, "permission fault, level 3"),
        (0b010000, "external abort"),
        (0b010101, "external abort on a table walk, level 1"),
        (0b100001, "alignment fault"),
        (0b110000, "TLB conflict"),
        (0b111111, "reserved status 0x3f"),
    ],
)
def test_fault_status_codes(code: int, text: str) -> None:
    assert fault_status(code) == text


def test_every_class_can_be_printed() -> None:
    for ec in range(64):
        text = str(Esr(ec << 26 | 0x1FFFFFF))
        assert CLASSES.get(ec, "reserved class") in text


def test_asking_the_wrong_class_is_an_error() -> None:
    with pytest.raises(ValueError, match="not an abort"):
        _ = Esr(0x16 << 26).abort
    with pytest.raises(ValueError, match="not a system register"):
        _ = Esr(0x24 << 26).sysreg
