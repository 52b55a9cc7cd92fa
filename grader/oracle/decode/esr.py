# SPDX-License-Identifier: MIT
"""ESR_ELx: the syndrome of an exception (Arm ARM, "ESR_EL2, Exception Syndrome Register")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from grader.oracle.decode.fields import bit, bits
from grader.oracle.decode.sysreg_names import SysregAccess

CLASSES = {
    0x00: "unknown reason",
    0x01: "trapped WFI or WFE",
    0x03: "trapped MCR or MRC (coproc 15)",
    0x04: "trapped MCRR or MRRC (coproc 15)",
    0x05: "trapped MCR or MRC (coproc 14)",
    0x06: "trapped LDC or STC",
    0x07: "access to SIMD, floating point or SVE",
    0x08: "trapped VMRS",
    0x09: "trapped pointer authentication",
    0x0A: "trapped LD64B or ST64B",
    0x0C: "trapped MRRC (coproc 14)",
    0x0D: "branch target exception",
    0x0E: "illegal execution state",
    0x11: "SVC (AArch32)",
    0x12: "HVC (AArch32)",
    0x13: "SMC (AArch32)",
    0x15: "SVC",
    0x16: "HVC",
    0x17: "SMC",
    0x18: "trapped MSR, MRS or system instruction",
    0x19: "access to SVE",
    0x1A: "trapped ERET",
    0x1C: "pointer authentication failure",
    0x1D: "access to SME",
    0x20: "instruction abort from a lower EL",
    0x21: "instruction abort without a change of EL",
    0x22: "PC alignment fault",
    0x24: "data abort from a lower EL",
    0x25: "data abort without a change of EL",
    0x26: "SP alignment fault",
    0x28: "floating point (AArch32)",
    0x2C: "floating point",
    0x2F: "SError",
    0x30: "breakpoint from a lower EL",
    0x31: "breakpoint without a change of EL",
    0x32: "software step from a lower EL",
    0x33: "software step without a change of EL",
    0x34: "watchpoint from a lower EL",
    0x35: "watchpoint without a change of EL",
    0x38: "BKPT (AArch32)",
    0x3A: "vector catch (AArch32)",
    0x3C: "BRK",
}

_FAULT_WITH_LEVEL = {
    0b0000: "address size fault",
    0b0001: "translation fault",
    0b0010: "access flag fault",
    0b0011: "permission fault",
    0b0101: "external abort on a table walk",
    0b0111: "parity or ECC error on a table walk",
}
_FAULTS = {
    0b010000: "external abort",
    0b010001: "tag check fault",
    0b011000: "parity or ECC error",
    0b100001: "alignment fault",
    0b101001: "address size fault, level -1",
    0b101011: "translation fault, level -1",
    0b110000: "TLB conflict",
    0b110001: "unsupported atomic update",
    0b110100: "implementation defined (lockdown)",
    0b110101: "unsupported exclusive or atomic access",
}


def fault_status(code: int) -> str:
    """The fault status code of an abort (IFSC, DFSC)."""
    kind = _FAULT_WITH_LEVEL.get(code >> 2)
    if kind is not None:
        return f"{kind}, level {code & 3}"
    return _FAULTS.get(code, f"reserved status {code:#x}")


@dataclass(frozen=True)
class Abort:
    """ISS of an instruction or data abort; access fields mean something only when isv is set."""

    status: int
    is_data: bool
    s1ptw: bool
    cache_maintenance: bool
    fnv: bool
    write: bool
    isv: bool
    size: int
    sign_extend: bool
    register: int
    sixty_four: bool

    @classmethod
    def of(cls, iss: int, is_data: bool) -> Abort:
        isv = is_data and bool(bit(iss, 24))
        return cls(
            status=bits(iss, 5, 0),
            is_data=is_data,
            s1ptw=bool(bit(iss, 7)),
            cache_maintenance=is_data and bool(bit(iss, 8)),
            fnv=bool(bit(iss, 10)),
            write=is_data and bool(bit(iss, 6)),
            isv=isv,
            size=1 << bits(iss, 23, 22) if isv else 0,
            sign_extend=isv and bool(bit(iss, 21)),
            register=bits(iss, 20, 16) if isv else 0,
            sixty_four=isv and bool(bit(iss, 15)),
        )

    @property
    def is_translation_fault(self) -> bool:
        return self.status >> 2 == 0b0001

    @property
    def is_permission_fault(self) -> bool:
        return self.status >> 2 == 0b0011

    def __str__(self) -> str:
        parts = [fault_status(self.status)]
        if self.is_data:
            parts.append("write" if self.write else "read")
        if self.isv:
            name = "zr" if self.register == 31 else str(self.register)
            parts.append(f"{self.size} bytes {'x' if self.sixty_four else 'w'}{name}")
            if self.sign_extend:
                parts.append("sign-extended")
        elif self.is_data:
            parts.append("no instruction syndrome")
        for set_, text in (
            (self.s1ptw, "on a stage-1 table walk"),
            (self.cache_maintenance, "cache maintenance"),
            (self.fnv, "FAR not valid"),
        ):
            if set_:
                parts.append(text)
        return ", ".join(parts)


@dataclass(frozen=True)
class Condition:
    """CV and COND of the classes that a condition code can precede (AArch32)."""

    valid: bool
    code: int

    @classmethod
    def of(cls, iss: int) -> Condition:
        return cls(bool(bit(iss, 24)), bits(iss, 23, 20))

    def __str__(self) -> str:
        return f"condition {self.code:#x}" if self.valid else "no condition"


def _wfx(iss: int) -> str:
    name = ("WFI", "WFE", "WFIT", "WFET")[bits(iss, 1, 0)]
    condition = Condition.of(iss)
    return name if not condition.valid or condition.code == 14 else f"{name}, {condition}"


def _call(iss: int) -> str:
    return f"#{bits(iss, 15, 0):#x}"


def _fp(iss: int) -> str:
    condition = Condition.of(iss)
    return "" if not condition.valid or condition.code == 14 else str(condition)


def _serror(iss: int) -> str:
    if bit(iss, 24):
        return f"implementation defined syndrome {bits(iss, 23, 0):#x}"
    return f"AET {bits(iss, 12, 10)}, EA {bit(iss, 9)}, status {bits(iss, 5, 0):#x}"


_ISS: dict[int, Callable[[int], object]] = {
    0x01: _wfx,
    0x07: _fp,
    0x11: _call,
    0x12: _call,
    0x15: _call,
    0x16: _call,
    0x17: _call,
    0x18: SysregAccess.of,
    0x20: lambda iss: Abort.of(iss, is_data=False),
    0x21: lambda iss: Abort.of(iss, is_data=False),
    0x24: lambda iss: Abort.of(iss, is_data=True),
    0x25: lambda iss: Abort.of(iss, is_data=True),
    0x2F: _serror,
    0x38: _call,
    0x3C: _call,
}


@dataclass(frozen=True)
class Esr:
    """A syndrome value; str() gives all of it in words."""

    value: int

    @property
    def ec(self) -> int:
        return bits(self.value, 31, 26)

    @property
    def il(self) -> int:
        """1: the instruction was 32 bits long."""
        return bit(self.value, 25)

    @property
    def iss(self) -> int:
        return bits(self.value, 24, 0)

    @property
    def abort(self) -> Abort:
        """The abort fields; only for classes 0x20, 0x21, 0x24, 0x25."""
        if self.ec not in (0x20, 0x21, 0x24, 0x25):
            raise ValueError(f"class {self.ec:#x} is not an abort")
        return Abort.of(self.iss, is_data=self.ec >= 0x24)

    @property
    def sysreg(self) -> SysregAccess:
        """The access of a trapped MSR or MRS; only for class 0x18."""
        if self.ec != 0x18:
            raise ValueError(f"class {self.ec:#x} is not a system register trap")
        return SysregAccess.of(self.iss)

    def __str__(self) -> str:
        name = CLASSES.get(self.ec, "reserved class")
        decode = _ISS.get(self.ec)
        if decode is None:
            detail = f"ISS {self.iss:#x}" if self.iss else ""
        else:
            detail = str(decode(self.iss))
        length = "" if self.il else ", 16-bit instruction"
        return (
            f"{self.value:#x} EC {self.ec:#04x} {name}" + (f": {detail}" if detail else "") + length
        )
