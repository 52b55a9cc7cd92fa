# SPDX-License-Identifier: MIT
"""The SMMU's structures in memory: stream table entries, context descriptors, commands, events."""

from __future__ import annotations

from dataclasses import dataclass

from grader.oracle.decode.fields import bit, bits
from grader.oracle.decode.stage1 import Stage1, Tcr
from grader.oracle.decode.stage2 import Stage2, Vtcr
from grader.oracle.decode.table import ReadWords

STE_BYTES = CD_BYTES = 64
ADDRESS_MASK = (1 << 52) - 1

ABORT, BYPASS, STAGE_1, STAGE_2, NESTED = 0, 4, 5, 6, 7
CONFIGS = {ABORT: "abort", BYPASS: "bypass", STAGE_1: "stage 1", STAGE_2: "stage 2",
           NESTED: "both stages"}

SYNC = 0x46
COMMANDS = {
    0x03: "CFGI_STE",
    0x04: "CFGI_STE_RANGE",
    0x05: "CFGI_CD",
    0x06: "CFGI_CD_ALL",
    0x10: "TLBI_NH_ALL",
    0x11: "TLBI_NH_ASID",
    0x12: "TLBI_NH_VA",
    0x28: "TLBI_S12_VMALL",
    0x2A: "TLBI_S2_IPA",
    0x30: "TLBI_NSNH_ALL",
    SYNC: "SYNC",
}

TRANSLATION, PERMISSION, BAD_STE, BAD_STREAMID = 0x10, 0x13, 0x04, 0x02
EVENTS = {
    0x01: "F_UUT",
    BAD_STREAMID: "C_BAD_STREAMID",
    0x03: "F_STE_FETCH",
    BAD_STE: "C_BAD_STE",
    0x06: "F_STREAM_DISABLED",
    0x09: "F_CD_FETCH",
    0x0A: "C_BAD_CD",
    0x0B: "F_WALK_EABT",
    TRANSLATION: "F_TRANSLATION",
    0x11: "F_ADDR_SIZE",
    0x12: "F_ACCESS",
    PERMISSION: "F_PERMISSION",
    0x20: "F_TLB_CONFLICT",
    0x21: "F_CFG_CONFLICT",
}


def device(stream: int) -> str:
    """The PCI address that a StreamID stands for."""
    return f"{stream >> 8:02x}:{stream >> 3 & 31:02x}.{stream & 7}"


@dataclass(frozen=True)
class Ste:
    """A stream table entry."""

    words: tuple[int, ...]

    @property
    def valid(self) -> bool:
        return bool(self.words[0] & 1)

    @property
    def config(self) -> int:
        return bits(self.words[0], 3, 1)

    @property
    def context(self) -> int:
        """Address of the context descriptor."""
        return bits(self.words[0], 51, 6) << 6

    @property
    def vmid(self) -> int:
        return bits(self.words[2], 15, 0)

    @property
    def vtcr(self) -> Vtcr:
        """The geometry of stage 2, which lies in word 2 as it does in VTCR_EL2."""
        return Vtcr(bits(self.words[2], 50, 32) | 1 << 31)

    @property
    def root(self) -> int:
        return bits(self.words[3], 51, 4) << 4

    def stage2(self, read: ReadWords) -> Stage2:
        return Stage2(self.vtcr.value, self.root, read)

    @property
    def problem(self) -> str:
        """What an SMMU would do with it that nobody wants; empty when nothing."""
        if not self.valid or self.config == ABORT:
            return ""
        if self.config not in (STAGE_1, STAGE_2):
            return f"Config is {CONFIGS.get(self.config, 'reserved')}"
        if bits(self.words[1], 45, 44) != 1:
            return "SHCFG is not 1: the incoming shareability is replaced"
        if bits(self.words[1], 29, 28):
            return "EATS: translated requests of the device pass"
        if self.config == STAGE_1:
            return ("S1CDMax or S1Fmt is not 0" if self.words[0] >> 59
                    or bits(self.words[0], 5, 4) else "")
        if not bit(self.words[2], 51):
            return "S2AA64 is 0: a table of AArch32"
        if not bit(self.words[2], 58):
            return "S2R is 0: faults leave no record"
        if bit(self.words[2], 57):
            return "S2S is 1: faults stall"
        if self.vtcr.root_tables != 1:
            return f"the root is {self.vtcr.root_tables} concatenated tables"
        return self.vtcr.problem

    def __str__(self) -> str:
        if not self.valid:
            return "invalid"
        text = CONFIGS.get(self.config, "reserved")
        if self.config == STAGE_1:
            text += f", context descriptor {self.context:#x}"
        if self.config == STAGE_2:
            text += f", VMID {self.vmid}, {self.vtcr.input_bits}-bit IPA, root {self.root:#x}"
        return text + (f"; PROBLEM: {self.problem}" if self.problem else "")


@dataclass(frozen=True)
class Cd:
    """A context descriptor."""

    words: tuple[int, ...]

    @property
    def valid(self) -> bool:
        return bool(bit(self.words[0], 31))

    @property
    def asid(self) -> int:
        return bits(self.words[0], 63, 48)

    @property
    def tcr(self) -> Tcr:
        """Its lower half as TCR_EL2 with one range would say it."""
        word = self.words[0]
        return Tcr(
            bits(word, 5, 0) | bits(word, 13, 8) << 8 | bits(word, 7, 6) << 14 |
            bits(word, 34, 32) << 16
        )

    @property
    def root(self) -> int:
        return bits(self.words[1], 51, 4) << 4

    @property
    def mair(self) -> int:
        return self.words[3]

    def stage1(self, read: ReadWords) -> Stage1:
        return Stage1(self.tcr.value, self.root, self.mair, read)

    @property
    def problem(self) -> str:
        wanted = {31: "V", 30: "EPD1", 41: "AA64", 45: "R", 46: "A"}
        missing = [name for position, name in wanted.items() if not bit(self.words[0], position)]
        if missing:
            return f"{', '.join(missing)} is 0"
        if bit(self.words[0], 44):
            return "S is 1: faults stall"
        if bit(self.words[0], 14):
            return "EPD0 is 1: the table is not walked"
        return ""

    def __str__(self) -> str:
        text = f"ASID {self.asid}, {self.tcr.input_bits}-bit address, root {self.root:#x}"
        return text + (f"; PROBLEM: {self.problem}" if self.problem else "")


@dataclass(frozen=True)
class Command:
    """An entry of the command queue."""

    words: tuple[int, int]

    @property
    def opcode(self) -> int:
        return bits(self.words[0], 7, 0)

    @property
    def name(self) -> str:
        return COMMANDS.get(self.opcode, f"{self.opcode:#04x}")

    @property
    def stream(self) -> int:
        return bits(self.words[0], 63, 32)

    @property
    def vmid(self) -> int:
        return bits(self.words[0], 47, 32)

    @property
    def asid(self) -> int:
        return bits(self.words[0], 63, 48)

    def __str__(self) -> str:
        if self.name in ("CFGI_STE", "CFGI_CD"):
            return f"{self.name} {device(self.stream)}"
        if self.name == "TLBI_S12_VMALL":
            return f"{self.name} VMID {self.vmid}"
        if self.name == "TLBI_NH_ASID":
            return f"{self.name} ASID {self.asid}"
        return self.name


@dataclass(frozen=True)
class Event:
    """An entry of the event queue."""

    words: tuple[int, ...]

    @property
    def kind(self) -> int:
        return bits(self.words[0], 7, 0)

    @property
    def name(self) -> str:
        return EVENTS.get(self.kind, f"{self.kind:#04x}")

    @property
    def stream(self) -> int:
        return bits(self.words[0], 63, 32)

    @property
    def is_write(self) -> bool:
        return not bit(self.words[1], 35)

    @property
    def is_stage2(self) -> bool:
        return bool(bit(self.words[1], 39))

    @property
    def address(self) -> int:
        return self.words[2]

    def __str__(self) -> str:
        text = f"{device(self.stream)} {self.name}"
        if self.kind >= TRANSLATION:
            text += f" {'write to' if self.is_write else 'read of'} {self.address:#x}"
            text += f", stage {2 if self.is_stage2 else 1}"
        return text


def positions(prod: int, cons: int, log2_count: int) -> list[int]:
    """Indexes of what lies between CONS and PROD of a ring, oldest first."""
    size = 1 << log2_count
    return [(cons + i) % size for i in range((prod - cons) % (2 * size))]
