# SPDX-License-Identifier: MIT
"""Control registers of EL2 and saved program status, field by field (Arm ARM, register index).

Layouts with HCR_EL2.E2H = 0.
"""

from __future__ import annotations

from grader.oracle.decode.fields import bit, bits, names_of

HCR_BITS = {
    0: "VM", 1: "SWIO", 2: "PTW", 3: "FMO", 4: "IMO", 5: "AMO", 6: "VF", 7: "VI", 8: "VSE",
    9: "FB", 12: "DC", 13: "TWI", 14: "TWE", 15: "TID0", 16: "TID1", 17: "TID2", 18: "TID3",
    19: "TSC", 20: "TIDCP", 21: "TACR", 22: "TSW", 23: "TPCP", 24: "TPU", 25: "TTLB", 26: "TVM",
    27: "TGE", 28: "TDZ", 29: "HCD", 30: "TRVM", 31: "RW", 32: "CD", 33: "ID", 34: "E2H",
    35: "TLOR", 36: "TERR", 37: "TEA", 38: "MIOCNCE", 40: "APK", 41: "API", 42: "NV", 43: "NV1",
    44: "AT", 45: "NV2", 46: "FWB", 47: "FIEN", 49: "TID4", 50: "TICAB", 51: "AMVOFFEN",
    52: "TOCU", 53: "EnSCXT", 54: "TTLBIS", 55: "TTLBOS", 56: "ATA", 57: "DCT", 58: "TID5",
}  # fmt: skip

BSU = {0: "", 1: "BSU=inner", 2: "BSU=outer", 3: "BSU=full"}

CPTR_BITS = {8: "TZ", 10: "TFP", 12: "TSM", 20: "TTA", 30: "TAM", 31: "TCPAC"}

MDCR_BITS = {
    5: "TPMCR", 6: "TPM", 7: "HPME", 8: "TDE", 9: "TDA", 10: "TDOSA", 11: "TDRA", 14: "TPMS",
    17: "HPMD", 19: "TTRF", 23: "HCCD", 26: "HLP", 27: "TDCC", 28: "MTPME", 29: "HPMFZO",
}  # fmt: skip

CNTHCTL_BITS = {0: "EL1PCTEN", 1: "EL1PCEN", 2: "EVNTEN", 3: "EVNTDIR", 12: "ECV"}

SCTLR_BITS = {
    0: "M", 1: "A", 2: "C", 3: "SA", 4: "SA0", 5: "CP15BEN", 6: "nAA", 8: "SED", 9: "UMA",
    11: "EOS", 12: "I", 14: "DZE", 15: "UCT", 16: "nTWI", 18: "nTWE", 19: "WXN", 22: "EIS",
    23: "SPAN", 24: "E0E", 25: "EE", 26: "UCI", 44: "DSSBS",
}  # fmt: skip

MODES = {
    0b0000: "EL0t", 0b0100: "EL1t", 0b0101: "EL1h", 0b1000: "EL2t", 0b1001: "EL2h",
    0b1100: "EL3t", 0b1101: "EL3h",
}  # fmt: skip
MODES_AARCH32 = {
    0b0000: "usr", 0b0001: "fiq", 0b0010: "irq", 0b0011: "svc", 0b0111: "abt", 0b1010: "hyp",
    0b1011: "und", 0b1111: "sys",
}  # fmt: skip
SPSR_BITS = {
    6: "F", 7: "I", 8: "A", 9: "D", 12: "SSBS", 20: "IL", 21: "SS", 22: "PAN", 23: "UAO",
    24: "DIT", 25: "TCO", 28: "V", 29: "C", 30: "Z", 31: "N",
}  # fmt: skip


# Bits [15:10] and [26:25] are IT there (Arm ARM, "SPSR_EL2", exception from AArch32).
SPSR_BITS_AARCH32 = {
    5: "T", 6: "F", 7: "I", 8: "A", 9: "E", 20: "IL", 21: "SS", 22: "PAN", 23: "SSBS",
    24: "DIT", 27: "Q", 28: "V", 29: "C", 30: "Z", 31: "N",
}  # fmt: skip


def _listed(value: int, names: dict[int, str], *more: str) -> str:
    words = [word for word in more if word] + names_of(value, names)
    return f"{value:#x} " + (" ".join(words) if words else "(no field set)")


def hcr(value: int) -> str:
    """HCR_EL2, Hypervisor Configuration Register."""
    return _listed(value, HCR_BITS, BSU[bits(value, 11, 10)])


def hcr_has(value: int, *names: str) -> bool:
    """Whether all these fields of HCR_EL2 are set."""
    by_name = {name: position for position, name in HCR_BITS.items()}
    return all(bit(value, by_name[name]) for name in names)


def page_of(hpfar: int) -> int:
    """HPFAR_EL2, Hypervisor IPA Fault Address Register: FIPA, bits [43:4], is IPA[51:12]."""
    return bits(hpfar, 43, 4) << 12


def cptr(value: int) -> str:
    """CPTR_EL2, Architectural Feature Trap Register."""
    return _listed(value, CPTR_BITS)


def mdcr(value: int) -> str:
    """MDCR_EL2, Monitor Debug Configuration Register."""
    return _listed(value, MDCR_BITS, f"HPMN={bits(value, 4, 0)}")


def cnthctl(value: int) -> str:
    """CNTHCTL_EL2, Counter-timer Hypervisor Control register."""
    return _listed(value, CNTHCTL_BITS)


def sctlr(value: int) -> str:
    """SCTLR_EL1 or SCTLR_EL2, System Control Register."""
    return _listed(value, SCTLR_BITS)


def spsr(value: int) -> str:
    """SPSR_ELx, Saved Program Status Register, of either execution state."""
    if bit(value, 4):
        mode = "AArch32 " + MODES_AARCH32.get(bits(value, 3, 0), "reserved mode")
        it = bits(value, 15, 10) << 2 | bits(value, 26, 25)
        return _listed(value, SPSR_BITS_AARCH32, mode, f"IT={it:#x}" if it else "")
    mode = MODES.get(bits(value, 3, 0), "reserved mode")
    btype = bits(value, 11, 10)
    return _listed(value, SPSR_BITS, mode, f"BTYPE={btype}" if btype else "")
