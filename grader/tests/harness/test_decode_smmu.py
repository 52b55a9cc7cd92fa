# SPDX-License-Identifier: MIT
"""Structures of the SMMU written by hand, and read by the decoders."""

from __future__ import annotations

import pytest

from grader.oracle.decode.smmu import Cd, Command, Event, Ste, device, positions

ROOT = 0x4567_8000
STE_2 = (0xD, 1 << 44,
         7 | 32 << 32 | 1 << 38 | 1 << 40 | 1 << 42 | 3 << 44 | 4 << 48 | 1 << 51 | 1 << 58, ROOT)
STE_1 = (0xB | 0x4444_4440, 1 << 2 | 1 << 4 | 3 << 6 | 1 << 44, 0, 0)
CD_0 = 32 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 30 | 1 << 31 | 4 << 32 | 1 << 41 | 7 << 45 | 9 << 48


def test_an_entry_for_stage_2() -> None:
    ste = Ste((*STE_2, 0, 0, 0, 0))
    assert not ste.problem
    assert (ste.vmid, ste.root, ste.vtcr.input_bits, ste.vtcr.start_level) == (7, ROOT, 32, 1)
    assert str(ste) == "stage 2, VMID 7, 32-bit IPA, root 0x45678000"


@pytest.mark.parametrize(
    ("word", "flip", "problem"),
    [
        (0, 0xD ^ 0x9, "Config is bypass"),
        (0, 0xD ^ 0x5, "Config is reserved"),
        (1, 1 << 44, "SHCFG"),
        (1, 1 << 28, "EATS"),
        (2, 1 << 51, "S2AA64 is 0"),
        (2, 1 << 58, "S2R is 0"),
        (2, 1 << 57, "S2S is 1"),
        (2, 1 << 38, "4 concatenated"),
        (2, 1 << 46, "granule"),
    ],
)
def test_what_is_wrong_with_an_entry(word: int, flip: int, problem: str) -> None:
    words = [*STE_2, 0, 0, 0, 0]
    words[word] ^= flip
    assert problem in Ste(tuple(words)).problem


def test_an_entry_for_stage_1_and_its_context_descriptor() -> None:
    ste = Ste((*STE_1, 0, 0, 0, 0))
    assert not ste.problem
    assert ste.context == 0x4444_4440
    cd = Cd((CD_0, ROOT, 0, 0xFF04, 0, 0, 0, 0))
    assert not cd.problem
    assert (cd.asid, cd.root, cd.tcr.input_bits, cd.tcr.output_bits) == (9, ROOT, 32, 44)
    assert "V is 0" in Cd((CD_0 ^ 1 << 31, ROOT, 0, 0xFF04, 0, 0, 0, 0)).problem
    assert "R, A is 0" in Cd((CD_0 ^ 3 << 45, ROOT, 0, 0xFF04, 0, 0, 0, 0)).problem


def test_nothing_is_wrong_with_an_entry_that_refuses() -> None:
    assert str(Ste((0,) * 8)) == "invalid"
    assert str(Ste((1,) + (0,) * 7)) == "abort"


def test_commands_and_events_in_words() -> None:
    assert str(Command((0x10_0000_0003, 1))) == "CFGI_STE 00:02.0"
    assert str(Command((0x28 | 5 << 32, 0))) == "TLBI_S12_VMALL VMID 5"
    assert str(Command((0x11 | 5 << 48, 0))) == "TLBI_NH_ASID ASID 5"
    assert str(Command((0x46, 0))) == "SYNC"
    assert Command((0xFF, 0)).name == "0xff"
    assert (str(Event((0x10 | 0x31 << 32, 1 << 35, 0x6000, 0))) == "00:06.1 F_TRANSLATION read of "
            "0x6000, stage 1")
    assert str(Event((0x04 | 0x31 << 32, 0, 0, 0))) == "00:06.1 C_BAD_STE"


def test_what_lies_in_a_ring() -> None:
    assert positions(5, 5, 2) == []
    assert positions(6, 2, 2) == [2, 3, 0, 1]
    assert positions(1, 7, 2) == [3, 0]


def test_device_names() -> None:
    assert device(0x10) == "00:02.0"
    assert device(0x1FF) == "01:1f.7"
