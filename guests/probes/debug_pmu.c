// SPDX-License-Identifier: MIT
/*
 * Debug and performance registers. An operating system resets breakpoints at boot, so access to
 * them must not fault. Where ID_AA64DFR0_EL1.PMUVer announces counters they work, otherwise they
 * are UNDEFINED. No VM may see anything of another. To be packed as one or two VMs.
 */
#include "probe.h"

#define DBGBVR(n) INSN_MRS(2, 0, 0, n, 4)
#define DBGBCR(n) INSN_MRS(2, 0, 0, n, 5)
#define DBGWVR(n) INSN_MRS(2, 0, 0, n, 6)
#define DBGWCR(n) INSN_MRS(2, 0, 0, n, 7)
#define MRS_TO_MSR 0x00200000u

static u64 read_register(u32 mrs, bool *fault)
{
	u64 value[2] = {0, 0};

	*fault |= insn_try(MODE_EL1H, mrs, value);
	return value[0];
}

static void write_register(u32 mrs, u64 value, bool *fault)
{
	u64 values[2] = {value, 0};

	*fault |= insn_try(MODE_EL1H, mrs & ~MRS_TO_MSR, values);
}

static void debug_reset_like_an_os(void)
{
	u64 dfr0 = sysreg_read(id_aa64dfr0_el1);
	unsigned breakpoints = bits_get(dfr0, 15, 12) + 1, watchpoints = bits_get(dfr0, 23, 20) + 1;
	bool fault = false;

	write_register(INSN_MRS(2, 0, 1, 3, 4), 0, &fault); /* OSDLR_EL1 */
	write_register(INSN_MRS(2, 0, 1, 0, 4), 0, &fault); /* OSLAR_EL1 */
	report(!fault, "OSLAR_EL1 and OSDLR_EL1 can be written", exception_seen.esr, 0);
	fault = false;
	for (unsigned i = 0; i < breakpoints; i++) {
		write_register(DBGBCR(i), 0, &fault);
		write_register(DBGBVR(i), 0, &fault);
	}
	for (unsigned i = 0; i < watchpoints; i++) {
		write_register(DBGWCR(i), 0, &fault);
		write_register(DBGWVR(i), 0, &fault);
	}
	report(!fault, "breakpoints and watchpoints of ID_AA64DFR0_EL1 can be reset",
	       exception_seen.esr, 0);
	fault = false;
	read_register(INSN_MRS(2, 0, 0, 2, 2), &fault); /* MDSCR_EL1 */
	write_register(INSN_MRS(2, 0, 0, 2, 2), 0, &fault);
	report(!fault, "MDSCR_EL1 can be accessed", exception_seen.esr, 0);
}

static void nothing_leaks(void)
{
	u64 mine = (random() & 0xffffffff) | 1UL << 40 | (u64)guest.vm << 48, foreign = 0;
	bool fault = false;

	mine &= ~3UL;
	for (unsigned round = 0; round < 8; round++) {
		write_register(DBGBVR(0), mine, &fault);
		vm_yield();
		vm_yield();
		u64 now = read_register(DBGBVR(0), &fault);
		foreign |= now != mine && now != 0;
	}
	report_equal("DBGBVR0_EL1 never shows another VM's value", foreign, 0);
	write_register(DBGBVR(0), 0, &fault);
}

/* TDCC and MDE: neither has an effect while no breakpoint is set. */
static void monitor_control(void)
{
	u64 mine = guest.vm & 1 ? BIT(12) : BIT(15), lost = 0;
	bool fault = false;

	for (unsigned round = 0; round < 4; round++) {
		write_register(INSN_MRS(2, 0, 0, 2, 2), mine, &fault); /* MDSCR_EL1 */
		vm_yield();
		vm_yield();
		lost |= (read_register(INSN_MRS(2, 0, 0, 2, 2), &fault) & (BIT(12) | BIT(15))) ^
			mine;
	}
	report_equal("MDSCR_EL1 keeps this VM's value", lost, 0);
	write_register(INSN_MRS(2, 0, 0, 2, 2), 0, &fault);
}

static void counters(void)
{
	bool fault = false;
	u64 version = bits_get(sysreg_read(id_aa64dfr0_el1), 11, 8);

	read_register(INSN_MRS(3, 3, 9, 12, 0), &fault); /* PMCR_EL0 */
	if (version == 0 || version == 0xf)
		report(fault && exception_seen.esr == ESR_UNDEFINED,
		       "no PMU in ID_AA64DFR0_EL1: PMCR_EL0 is undefined", exception_seen.esr,
		       ESR_UNDEFINED);
	else
		report(!fault, "a PMU in ID_AA64DFR0_EL1: PMCR_EL0 can be read", exception_seen.esr,
		       0);
}

void probe(void)
{
	debug_reset_like_an_os();
	nothing_leaks();
	monitor_control();
	counters();
}
