# SPDX-License-Identifier: MIT
"""List registers and the other state of the virtual CPU interface, GICv3 layout (IHI 0069)."""

from __future__ import annotations

from dataclasses import dataclass

from grader.oracle.decode.fields import bit, bits, names_of

STATES = {0: "inactive", 1: "pending", 2: "active", 3: "pending and active"}

HCR_BITS = {
    0: "En", 1: "UIE", 2: "LRENPIE", 3: "NPIE", 4: "VGrp0EIE", 5: "VGrp0DIE", 6: "VGrp1EIE",
    7: "VGrp1DIE", 10: "TC", 11: "TALL0", 12: "TALL1", 13: "TSEI", 14: "TDIR",
}  # fmt: skip


@dataclass(frozen=True)
class ListRegister:
    """ICH_LR<n>_EL2, Interrupt Controller List Registers."""

    value: int

    @classmethod
    def make(
        cls,
        vintid: int,
        *,
        state: int = 1,
        priority: int = 0,
        group: int = 1,
        pintid: int | None = None,
        eoi: bool = False,
    ) -> ListRegister:
        """A value from its fields, for tests."""
        value = state << 62 | group << 60 | priority << 48 | vintid
        if pintid is not None:
            value |= 1 << 61 | pintid << 32
        elif eoi:
            value |= 1 << 41
        return cls(value)

    @property
    def state(self) -> int:
        return bits(self.value, 63, 62)

    @property
    def pending(self) -> bool:
        return bool(self.state & 1)

    @property
    def active(self) -> bool:
        return bool(self.state & 2)

    @property
    def hardware(self) -> bool:
        """HW: deactivation goes on to the physical interrupt."""
        return bool(bit(self.value, 61))

    @property
    def group(self) -> int:
        return bit(self.value, 60)

    @property
    def priority(self) -> int:
        return bits(self.value, 55, 48)

    @property
    def pintid(self) -> int:
        """Physical INTID; means something only with HW = 1."""
        return bits(self.value, 44, 32)

    @property
    def eoi(self) -> bool:
        """Maintenance interrupt on EOI; bit 41 when HW = 0."""
        return not self.hardware and bool(bit(self.value, 41))

    @property
    def vintid(self) -> int:
        return bits(self.value, 31, 0)

    def __str__(self) -> str:
        if not self.value:
            return "empty"
        text = f"INTID {self.vintid}"
        if self.vintid >> 10 in range(1, 8) and self.vintid & 0x3F0 == 0:
            text = f"SGI {self.vintid & 15} of requester {self.vintid >> 10}"  # on a GICv2
        text += f" {STATES[self.state]}, priority {self.priority:#04x}"
        text += f", group {self.group}"
        if self.hardware:
            text += f", HW {self.pintid}"
        return text + (", EOI maintenance" if self.eoi else "")


def ich_hcr(value: int) -> str:
    """ICH_HCR_EL2, Interrupt Controller Hyp Control Register."""
    words = names_of(value, HCR_BITS)
    count = bits(value, 31, 27)
    return f"{value:#x} " + " ".join([*words, f"EOIcount={count}"])


@dataclass(frozen=True)
class Vmcr:
    """ICH_VMCR_EL2, Interrupt Controller Virtual Machine Control Register."""

    value: int

    @property
    def group0(self) -> bool:
        return bool(bit(self.value, 0))

    @property
    def group1(self) -> bool:
        return bool(bit(self.value, 1))

    @property
    def eoi_mode(self) -> int:
        return bit(self.value, 9)

    @property
    def priority_mask(self) -> int:
        return bits(self.value, 31, 24)

    def __str__(self) -> str:
        return (
            f"{self.value:#x} group 0 {'on' if self.group0 else 'off'},"
            f" group 1 {'on' if self.group1 else 'off'}, priority mask {self.priority_mask:#x},"
            f" EOImode {self.eoi_mode},"
            f" BPR0 {bits(self.value, 23, 21)}, BPR1 {bits(self.value, 20, 18)}"
        )
