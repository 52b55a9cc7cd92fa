// SPDX-License-Identifier: MIT
/*
 * Addresses where the guest's machine has nothing: a load, store or fetch takes a synchronous
 * external abort at EL1, as on a board. The guest never reaches EL2's memory or
 * another VM's, and never hangs.
 */
#include "probe.h"

#define INSN_LDR_W 0xb9400001u /* ldr w1, [x0] */
#define INSN_STR_W 0xb9000001u
#define INSN_LDRB 0x39400001u
#define INSN_LDRH 0x79400001u
#define INSN_LDR_X 0xf9400001u
#define INSN_STR_X 0xf9000001u
#define INSN_LDP_X 0xa9400001u /* ldp x1, x0, [x0] */
#define ESR_WNR 0x40

static u64 holes[10];
static unsigned hole_count;

static void find_holes(void)
{
	static const u64 fixed[] = {
		0x08050000, 0x08fff000, 0x09010000,   0x0a004000,   0x10000000,
		0x3efff000, 0x3ffff000, 0x4010000000, 0x8000000000,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		holes[hole_count++] = fixed[i];
	holes[hole_count++] = ram_end();
}

/* Bitmap of holes where @insn in @mode did not abort as it must. */
static u64 wrong(u64 mode, u32 insn, u64 ec, u64 wnr)
{
	u64 bad = 0;

	for (unsigned i = 0; i < hole_count; i++) {
		u64 value[2] = {holes[i], 0x5a5a};
		bool good = insn_try(mode, insn, value) && ESR_EC(exception_seen.esr) == ec &&
			    (exception_seen.esr & ESR_WNR) == wnr &&
			    ESR_DFSC(exception_seen.esr) == FSC_EXTERNAL &&
			    exception_seen.far == holes[i] && exception_seen.elr == insn_address();
		bad |= good ? 0 : BIT(i);
	}
	return bad;
}

static void data(void)
{
	report_equal("LDR W: external abort, FAR and ELR exact",
		     wrong(MODE_EL1H, INSN_LDR_W, ESR_EC_DABT_SAME, 0), 0);
	report_equal("LDRB", wrong(MODE_EL1H, INSN_LDRB, ESR_EC_DABT_SAME, 0), 0);
	report_equal("LDRH", wrong(MODE_EL1H, INSN_LDRH, ESR_EC_DABT_SAME, 0), 0);
	report_equal("LDR X", wrong(MODE_EL1H, INSN_LDR_X, ESR_EC_DABT_SAME, 0), 0);
	report_equal("STR W: the same with WnR set",
		     wrong(MODE_EL1H, INSN_STR_W, ESR_EC_DABT_SAME, ESR_WNR), 0);
	report_equal("STR X", wrong(MODE_EL1H, INSN_STR_X, ESR_EC_DABT_SAME, ESR_WNR), 0);
	report_equal("LDP (no syndrome)", wrong(MODE_EL1H, INSN_LDP_X, ESR_EC_DABT_SAME, 0), 0);
	report_equal("LDR W at EL1t", wrong(MODE_EL1T, INSN_LDR_W, ESR_EC_DABT_SAME, 0), 0);
	report_equal("LDR W at EL0: EC says lower level",
		     wrong(MODE_EL0, INSN_LDR_W, ESR_EC_DABT_LOWER, 0), 0);
}

static void jump(void *address)
{
	((void (*)(void))address)();
}

static u64 wrong_fetch(u64 mode, u64 ec)
{
	u64 bad = 0;

	for (unsigned i = 0; i < hole_count; i++) {
		bool good = exception_catch(mode, jump, (void *)holes[i]) &&
			    ESR_EC(exception_seen.esr) == ec &&
			    ESR_DFSC(exception_seen.esr) == FSC_EXTERNAL &&
			    exception_seen.elr == holes[i] && exception_seen.far == holes[i];
		bad |= good ? 0 : BIT(i);
	}
	return bad;
}

static void devices_do_not_execute(void)
{
	bool raised = exception_catch(MODE_EL1H, jump, (void *)0x09000000UL);

	report(raised && ESR_EC(exception_seen.esr) == ESR_EC_IABT_SAME,
	       "a fetch from a device aborts", exception_seen.esr, 0x86000010);
}

static void ram_ends_exactly(void)
{
	u64 last[2] = {ram_end() - 8, 0}, beyond[2] = {ram_end(), 0};

	report(!insn_try(MODE_EL1H, INSN_LDR_X, last), "the last word of RAM can be read",
	       exception_seen.esr, 0);
	report(insn_try(MODE_EL1H, INSN_LDR_X, beyond), "the word behind RAM cannot", 0, 1);
}

/* Above the guest's address size the fault's kind depends on PARange; that it is one does not. */
static void far_away(void)
{
	u64 missed = 0;

	for (unsigned bit = 39; bit < 56; bit++) {
		u64 value[2] = {BIT(bit) | 0x40000000, 0};

		missed |= insn_try(MODE_EL1H, INSN_LDR_X, value) ? 0 : BIT(bit);
	}
	report_equal("addresses with high bits set abort, no alias of RAM", missed, 0);
}

void probe(void)
{
	find_holes();
	data();
	report_equal("fetch at EL1: instruction abort, ELR and FAR exact",
		     wrong_fetch(MODE_EL1H, ESR_EC_IABT_SAME), 0);
	report_equal("fetch at EL0: instruction abort, lower level",
		     wrong_fetch(MODE_EL0, ESR_EC_IABT_LOWER), 0);
	devices_do_not_execute();
	ram_ends_exactly();
	far_away();
}
