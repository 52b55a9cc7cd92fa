// SPDX-License-Identifier: MIT
/*
 * Every MRS, MSR, SYS and SYSL encoding there is, executed at EL1: each gives a value or an
 * exception to the guest, and the machine lives on. A register that could be read is written with
 * the value it had, so that the guest itself survives.
 */
#include "probe.h"

static u64 scratch[512] __attribute__((aligned(4096)));
static u64 executed, undefined, strange, first_strange;

/* With FEAT_IDST exceptions of reads from the ID space say so (ID_AA64MMFR2_EL1.IDS). */
static bool is_undefined(u32 insn)
{
	if (exception_seen.elr != insn_address())
		return false;
	if ((insn & 0xfff8f800) == 0xd5380000 && ESR_EC(exception_seen.esr) == ESR_EC_SYSREG)
		return true;
	return exception_seen.esr == ESR_UNDEFINED;
}

static void execute(u32 insn, u64 value[2], bool may_abort)
{
	executed++;
	if (executed % 8192 == 0)
		vm_yield();
	if (!insn_try(MODE_EL1H, insn, value))
		return;
	if (is_undefined(insn)) {
		undefined++;
	} else if (!may_abort || ESR_EC(exception_seen.esr) != ESR_EC_DABT_SAME) {
		if (!strange++)
			first_strange = (u64)insn << 32 | exception_seen.esr;
	}
}

static void registers(unsigned op0)
{
	for (u32 n = 0; n < 1u << 14; n++) {
		u32 encoding = op0 << 19 | n << 5;
		u64 value[2] = {0, 0};

		execute(0xd5200000u | encoding, value, false);
		execute(0xd5000000u | encoding, value, false);
	}
}

static void operations(void)
{
	for (u32 n = 0; n < 1u << 14; n++) {
		u32 encoding = 1u << 19 | n << 5;
		u64 value[2] = {(u64)scratch, 0};

		execute(0xd5000000u | encoding, value, true);
		execute(0xd5200000u | encoding, value, true);
	}
}

void probe(void)
{
	sysreg_write(cpacr_el1, 0x03330000); /* the guest itself forbids none: SMEN, FPEN, ZEN */
	isb();
	registers(3);
	report_equal("MRS and MSR, op0 = 3: value or UNDEFINED", first_strange, 0);
	registers(2);
	report_equal("MRS and MSR, op0 = 2: value or UNDEFINED", first_strange, 0);
	operations();
	report_equal("SYS and SYSL: done, UNDEFINED or a data abort", first_strange, 0);
	report_equal("98304 encodings were executed", executed, 98304);
	report(undefined > 1000, "many of them undefined", undefined, 1000);
	report_equal("calls are still served", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
