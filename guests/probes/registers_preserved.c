// SPDX-License-Identifier: MIT
/*
 * A trip to EL2 must leave unchanged x4..x30, both stack pointers, the thread registers, flags and
 * masks, for every kind of exit. SMCCC 1.2 allows a call to change x0..x3 alone
 * (DEN 0028, "SMC32/HVC32 argument passing"); a trapped MRS changes its target alone, an interrupt
 * no register.
 */
#include "probe.h"
#include "registers.h"
#include "timer.h"

#define LOOPS 20000 /* two instructions each: 40 us at one a nanosecond */

static struct registers in, before, after;

static void randomize(u64 x0)
{
	for (unsigned i = 0; i < 31; i++)
		in.x[i] = random();
	in.x[0] = x0;
	in.sp_el0 = random() & ~15UL;
	in.tpidr_el0 = random();
	in.tpidrro_el0 = random();
	in.tpidr_el1 = random();
	in.nzcv = random() & 0xf0000000;
	in.daif = 0x3c0;
}

/* Bitmap of general registers [first, 30] but @except that changed; runs a NOP for reference. */
static u64 general_changed(u32 insn, unsigned first, unsigned except)
{
	u64 changed = 0;

	registers_patch(0xd503201f);
	registers_run(&in, &before);
	registers_patch(insn);
	registers_run(&in, &after);
	for (unsigned i = first; i < 31; i++)
		changed |= i != except && before.x[i] != after.x[i] ? BIT(i) : 0;
	return changed;
}

/* Which of the others changed: one bit each in the order of struct registers. */
static u64 system_changed(void)
{
	u64 *a = &before.sp, *b = &after.sp, changed = 0;

	for (unsigned i = 0; i < 8; i++)
		changed |= a[i] != b[i] ? BIT(i) : 0;
	return changed;
}

static void check(u32 insn, u64 x0, unsigned first, unsigned except, const char *general,
		  const char *system)
{
	u64 bad_general = 0, bad_system = 0;

	for (unsigned round = 0; round < 16; round++) {
		randomize(x0);
		bad_general |= general_changed(insn, first, except);
		bad_system |= system_changed();
	}
	report_equal(general, bad_general, 0);
	report_equal(system, bad_system, 0);
}

/*
 * An exit that the guest did not ask for: its timer's interrupt, disabled in the interrupt
 * controller, comes to EL2 while it computes. Below layer 4 nobody takes it: also good.
 */
static void check_interrupted(void)
{
	u64 bad_general = 0, bad_system = 0;

	for (unsigned round = 0; round < 4; round++) {
		randomize(0);
		registers_patch(0xd503201f);
		registers_run(&in, &before);
		in.x[0] = LOOPS;
		registers_patch_loop();
		timer_set_tval(TIMER_VIRTUAL, ticks_from_us(LOOPS / 2000));
		timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
		registers_run(&in, &after);
		timer_set_ctl(TIMER_VIRTUAL, 0);
		for (unsigned i = 0; i < 31; i++)
			bad_general |= before.x[i] != after.x[i] ? BIT(i) : 0;
		bad_system |= system_changed();
		vm_yield(); /* the next turn begins with an idle timer */
	}
	report_equal("an interrupt keeps x0..x30 (bit n is xn)", bad_general, 0);
	report_equal("an interrupt keeps SP, SP_EL0, TPIDR*, NZCV, DAIF, SPSel", bad_system, 0);
}

#define HVC 0xd4000002
#define SMC 0xd4000003
#define MRS_X18_ISAR0 (INSN_MRS(3, 0, 0, 6, 0) | 18)
#define MRS_X29_PFR0 (INSN_MRS(3, 0, 0, 4, 0) | 29)
#define MRS_X30_MMFR0 (INSN_MRS(3, 0, 0, 7, 0) | 30)
#define MRS_XZR_ISAR0 (INSN_MRS(3, 0, 0, 6, 0) | 31)

void probe(void)
{
	check(HVC, SMCCC_VERSION, 4, 31, "HVC keeps x4..x30 (bit n is xn)",
	      "HVC keeps SP, SP_EL0, TPIDR*, NZCV, DAIF, SPSel");
	check(HVC, 0x4b000000, 4, 31, "HVC of an unknown id keeps x4..x30 (bit n is xn)",
	      "HVC of an unknown id keeps SP, SP_EL0, TPIDR*, NZCV, DAIF, SPSel");
	check(SMC, PSCI_VERSION, 4, 31, "SMC keeps x4..x30 (bit n is xn)",
	      "SMC keeps SP, SP_EL0, TPIDR*, NZCV, DAIF, SPSel");
	check(HVC, STRATA_YIELD, 4, 31, "yield keeps x4..x30 (bit n is xn)",
	      "yield keeps SP, SP_EL0, TPIDR*, NZCV, DAIF, SPSel");
	check(MRS_X18_ISAR0, random(), 0, 18,
	      "a trapped MRS to x18 changes no other register (bit n is xn)",
	      "a trapped MRS keeps SP, SP_EL0, TPIDR*, NZCV, DAIF, SPSel");
	check(MRS_X29_PFR0, random(), 0, 29,
	      "a trapped MRS to x29 changes no other register (bit n is xn)",
	      "the same for the system registers");
	check(MRS_X30_MMFR0, random(), 0, 30,
	      "a trapped MRS to x30 changes no other register (bit n is xn)",
	      "the same for the system registers again");
	check(MRS_XZR_ISAR0, random(), 0, 31,
	      "a trapped MRS to xzr changes no register (bit n is xn)", "nor a system register");
	check_interrupted();
}
