// SPDX-License-Identifier: MIT
/*
 * Debug registers: the OS lock; which registers keep what was written and which read as zero; only
 * the breakpoints and watchpoints of ID_AA64DFR0_EL1 exist. Each VM leaves values that no other may
 * find. Arm ARM, "Debug registers", "The OS Lock and the OS Double Lock".
 */
#include "probe.h"

#define MDSCR 0, 0, 2, 2
#define OSLAR 0, 1, 0, 4
#define OSLSR 0, 1, 1, 4
#define OSDLR 0, 1, 3, 4
#define READ(...) INSN_MRS(2, __VA_ARGS__)
#define WRITE(...) INSN_MSR(2, __VA_ARGS__)
#define OSLSR_OSLK BIT(1)
#define MDSCR_TDCC BIT(12)

static bool raised;

static u64 get(u64 mode, u32 insn)
{
	u64 value[2] = {~0UL, 0};

	raised = insn_try(mode, insn, value);
	return value[0];
}

static void set(u32 insn, u64 data)
{
	u64 value[2] = {data, 0};

	raised = insn_try(MODE_EL1H, insn, value);
}

static void os_lock(void)
{
	report_equal("OSLSR_EL1 at reset: implemented and locked", get(MODE_EL1H, READ(OSLSR)),
		     8 | OSLSR_OSLK);
	set(WRITE(OSLAR), 0);
	report_equal("OSLAR_EL1 = 0: unlocked", get(MODE_EL1H, READ(OSLSR)), 8);
	set(WRITE(OSLAR), 1);
	report_equal("OSLAR_EL1 = 1: locked", get(MODE_EL1H, READ(OSLSR)), 8 | OSLSR_OSLK);
	vm_yield();
	report_equal("and still after another VM's turn", get(MODE_EL1H, READ(OSLSR)),
		     8 | OSLSR_OSLK);
	set(WRITE(OSLAR), 0);
	get(MODE_EL1H, READ(OSLAR));
	report(raised, "OSLAR_EL1 cannot be read", raised, true);
	set(WRITE(OSLSR), 0);
	report(raised, "OSLSR_EL1 cannot be written", raised, true);
}

/* Number @n of a kind: op2 4 to 7 is DBGBVR, DBGBCR, DBGWVR, DBGWCR. */
static u32 pair(u32 n, u32 op2)
{
	return READ(0, 0, n, op2);
}

static u32 write_of(u32 mrs)
{
	return mrs & ~0x00200000u;
}

static void numbers(u32 op2, unsigned count, const char *zero, const char *kept, const char *beyond)
{
	u64 at_reset = 0, lost = 0, missing = 0, extra = 0;
	u64 mask = op2 & 1 ? 0x1e6 : 0x0000fffffffffffc, values[16];

	for (u32 n = 0; n < count; n++) {
		at_reset |= get(MODE_EL1H, pair(n, op2));
		missing += raised;
		values[n] = random() & mask;
		set(write_of(pair(n, op2)), values[n]);
		missing += raised;
	}
	for (unsigned turn = 0; turn < 3; turn++) {
		vm_yield();
		for (u32 n = 0; n < count; n++)
			lost |= (get(MODE_EL1H, pair(n, op2)) ^ values[n]) & mask;
	}
	for (u32 n = 0; n < count; n++)
		set(write_of(pair(n, op2)), 0);
	for (u32 n = count; n < 16; n++) {
		get(MODE_EL1H, pair(n, op2));
		extra += !raised || exception_seen.esr != ESR_UNDEFINED;
		set(write_of(pair(n, op2)), 1);
		extra += !raised || exception_seen.esr != ESR_UNDEFINED;
	}
	report_equal(zero, at_reset | missing, 0);
	report_equal(kept, lost, 0);
	report_equal(beyond, extra, 0);
}

/*
 * The debug communications channel, with nobody at the other end. Not every QEMU has all of its
 * registers: one that is undefined without the hypervisor's doing is none of its business.
 */
static void channel(void)
{
	static const struct {
		u32 insn;
		bool everywhere;
	} registers[] = {
		{READ(3, 0, 1, 0), true}, /* MDCCSR_EL0 */
		{READ(3, 0, 4, 0), false}, /* DBGDTR_EL0 */
		{READ(3, 0, 5, 0), false}, /* DBGDTRRX_EL0 */
		{READ(0, 0, 2, 0), true}, /* MDCCINT_EL1 */
		{READ(0, 0, 0, 2), false}, /* OSDTRRX_EL1 */
		{READ(0, 0, 3, 2), false}, /* OSDTRTX_EL1 */
		{READ(0, 0, 6, 2), false}, /* OSECCR_EL1 */
	};
	u64 undefined = 0, contents = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		u32 insn = registers[i].insn;
		u64 value;

		if (i > 0)
			set(write_of(insn), random());
		undefined |= i > 0 && raised && registers[i].everywhere ? BIT(i) : 0;
		vm_yield();
		for (u64 el0 = 0; el0 < (i < 3 ? 2 : 1); el0++) {
			value = get(el0 ? MODE_EL0 : MODE_EL1H, insn);
			undefined |= raised && registers[i].everywhere ? BIT(i) : 0;
			contents |= raised ? 0 : value;
		}
	}
	report_equal("the channel's registers exist, for EL0 as well", undefined, 0);
	report_equal("and read as zero", contents, 0);
	set(WRITE(MDSCR), MDSCR_TDCC);
	get(MODE_EL0, READ(3, 0, 1, 0));
	report_equal("with TDCC it traps to EL1", raised ? ESR_EC(exception_seen.esr) : 0,
		     ESR_EC_SYSREG);
	report_equal("as this instruction", ESR_ISS(exception_seen.esr), 0x20c003);
	set(WRITE(MDSCR), 0);
	get(MODE_EL0, READ(MDSCR));
	report(raised && exception_seen.esr == ESR_UNDEFINED, "MDSCR_EL1 is undefined at EL0",
	       exception_seen.esr, ESR_UNDEFINED);
}

void probe(void)
{
	u64 dfr0 = sysreg_read(id_aa64dfr0_el1);
	unsigned breakpoints = bits_get(dfr0, 15, 12) + 1, watchpoints = bits_get(dfr0, 23, 20) + 1;

	os_lock();
	numbers(4, breakpoints, "DBGBVR<n>_EL1 exist and are zero at reset",
		"DBGBVR<n>_EL1 keep this VM's values", "DBGBVR<n>_EL1: no more than announced");
	numbers(5, breakpoints, "DBGBCR<n>_EL1 exist and are zero at reset",
		"DBGBCR<n>_EL1 keep this VM's values", "DBGBCR<n>_EL1: no more than announced");
	numbers(6, watchpoints, "DBGWVR<n>_EL1 exist and are zero at reset",
		"DBGWVR<n>_EL1 keep this VM's values", "DBGWVR<n>_EL1: no more than announced");
	numbers(7, watchpoints, "DBGWCR<n>_EL1 exist and are zero at reset",
		"DBGWCR<n>_EL1 keep this VM's values", "DBGWCR<n>_EL1: no more than announced");
	channel();
	set(WRITE(OSDLR), 0);
	report(!raised, "OSDLR_EL1 can be written", raised, false);
}
