# SPDX-License-Identifier: MIT
"""What QEMU cannot show of lab 3: system registers and devices are not ordered among each other."""

from __future__ import annotations

from grader.machine.verdict import expect
from grader.oracle.barriers import findings

LAB = 3
RETURN = r"(ret|eret)\b"


def test_interface_is_on_before_it_is_used() -> None:
    """IHI 0069, "ICC_SRE_EL2": the other ICC_ registers exist once SRE is in effect."""
    expect("an ISB stands between ICC_SRE_EL2 and the next ICC_ register",
           findings(LAB, r"msr icc_sre_el2", ("isb",),
                    rf"(msr|mrs) .*\bicc_(?!sre_el2)|{RETURN}"), [])


def test_controller_has_seen_a_write_before_el2_relies_on_it() -> None:
    """IHI 0069, "Observability of the effects of accesses to the GIC registers".

    Accesses to memory, to devices and to system registers are not ordered among each other.
    """
    expect("an ISB follows the registers of the CPU interface before their function returns",
           findings(LAB, r"msr ic[ch]_", ("isb",), RETURN, "gic_v3_init_cpu"), [])
    for register in ("icc_eoir1_el1", "icc_dir_el1", "icc_sgi1r_el1", "ich_hcr_el2"):
        expect(f"an ISB follows each write of {register.upper()} before the function returns",
               findings(LAB, rf"msr {register}", ("isb",), RETURN), [])
    for function, read in (("gic_v3_acknowledge", "mrs"), ("gic_v2_acknowledge", "ldr")):
        expect(f"a DSB stands between the INTID and the handler in {function}()",
               findings(LAB, read, ("dsb",), RETURN, function), [])
    for function, write in (("gic_v3_end", "msr icc_eoir1_el1"), ("gic_v2_end", "str"),
                            ("gic_v3_send_sgi", "msr icc_sgi1r_el1"), ("gic_v2_send_sgi", "str")):
        expect(f"a DSB stands before the write in {function}()",
               findings(LAB, "dsb", (), write, function, first=True), [])
    for function in ("gic_v3_set_active", "gic_v2_set_active", "gic_v3_disable",
                     "gic_v2_deactivate", "gic_v2_write_hcr"):
        expect(f"a DSB follows the write in {function}()",
               findings(LAB, "str", ("dsb",), RETURN, function), [])
