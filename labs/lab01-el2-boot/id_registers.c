// SPDX-License-Identifier: MIT
/*
 * What guests learn of the CPU. HCR_EL2.TID3 traps every identification register, and each answers
 * through a list of what is allowed: a field that is not listed reads as zero, "not implemented".
 *
 * Allowed is what needs no state beyond that which the world switch saves (general, SIMD and EL1
 * registers) and no control at EL2. Pointer authentication has keys, SVE and SME have registers,
 * MTE has tags, the PMU and RAS have banks of their own: all hidden, and their instructions and
 * registers trap and reflect as UNDEFINED. A feature of next year's CPU is hidden by default.
 *
 * Manual: Arm ARM, "ID registers"; section "Principles of the ID scheme for fields in ID
 * registers".
 */
#include "el2_boot.h"
#include "lib/bits.h"

#define FIELD(low) (0xfUL << (low))

/**
 * struct id_rule - what of a register is shown
 * @allowed: fields handed through
 * @fixed_mask, @fixed: fields with a value of our choice
 */
struct id_rule {
	u32 encoding;
	u64 allowed;
	u64 fixed_mask, fixed;
};

#define ID(crm, op2) SYSREG_ENCODING(3, 0, 0, crm, op2)
#define ALL32 0xffffffffUL

static const struct id_rule id_rules[] = {
	/* AArch32 at EL0 only: no state of its own but the general and SIMD registers. */
	{ID(1, 0), ALL32 & ~(FIELD(20) | FIELD(28)), 0, 0}, /* ID_PFR0: no AMU, RAS */
	{ID(1, 1), FIELD(0) | FIELD(4) | FIELD(16) | FIELD(28), 0, 0}, /* ID_PFR1 */
	{ID(1, 2), FIELD(0) | FIELD(8), 0, 0}, /* ID_DFR0: no trace, PMU */
	{ID(1, 4), ALL32, 0, 0}, /* ID_MMFR0..3 */
	{ID(1, 5), ALL32, 0, 0},
	{ID(1, 6), ALL32, 0, 0},
	{ID(1, 7), ALL32, 0, 0},
	{ID(2, 0), ALL32, 0, 0}, /* ID_ISAR0..5 */
	{ID(2, 1), ALL32, 0, 0},
	{ID(2, 2), ALL32, 0, 0},
	{ID(2, 3), ALL32, 0, 0},
	{ID(2, 4), ALL32, 0, 0},
	{ID(2, 5), ALL32, 0, 0},
	{ID(2, 6), FIELD(0) | FIELD(4) | FIELD(8) | FIELD(12) | FIELD(16), 0, 0}, /* ID_MMFR4 */
	{ID(2, 7), ALL32, 0, 0}, /* ID_ISAR6 */
	{ID(3, 0), ALL32, 0, 0}, /* MVFR0..2 */
	{ID(3, 1), ALL32, 0, 0},
	{ID(3, 2), ALL32, 0, 0},
	{ID(3, 4), FIELD(0) | FIELD(4), 0, 0}, /* ID_PFR2: CSV3, SSBS */
	/* ID_AA64PFR0: EL0, FP, AdvSIMD, GIC, DIT, CSV3; EL1 is AArch64 only, no EL2, no EL3;
	   CSV2 at most 1: SCXTNUM registers are not saved (clamped below). */
	{ID(4, 0), FIELD(0) | FIELD(16) | FIELD(20) | FIELD(24) | FIELD(48) | FIELD(56) | FIELD(60),
	 FIELD(4), 1UL << 4},
	{ID(4, 1), FIELD(4), 0, 0}, /* ID_AA64PFR1: SSBS */
	/* ID_AA64DFR0: the debug architecture with the fewest breakpoints (debug.c), no PMU, no
	   trace; DoubleLock as it is. */
	{ID(5, 0), FIELD(36), FIELD(0) | FIELD(12) | FIELD(20), 6UL | 1UL << 12 | 1UL << 20},
	/* ID_AA64ISAR0: all but RNDR, whose entropy EL2 could not virtualize. */
	{ID(6, 0), ~FIELD(60) & ~FIELD(0), 0, 0},
	/* ID_AA64ISAR1: DPB, JSCVT, FCMA, LRCPC, FRINTTS, SB, SPECRES, BF16, DGH, I8MM. */
	{ID(6, 1),
	 FIELD(0) | FIELD(12) | FIELD(16) | FIELD(20) | FIELD(32) | FIELD(36) | FIELD(40) |
		 FIELD(44) | FIELD(48) | FIELD(52),
	 0, 0},
	{ID(6, 2), FIELD(4), 0, 0}, /* ID_AA64ISAR2: RPRES */
	/* ID_AA64MMFR0: PARange, ASIDBits, BigEnd, SNSMem, BigEndEL0, TGran; stage-2 granule fields
	   are for hypervisors. */
	{ID(7, 0),
	 FIELD(0) | FIELD(4) | FIELD(8) | FIELD(12) | FIELD(16) | FIELD(20) | FIELD(24) |
		 FIELD(28) | FIELD(44),
	 0, 0},
	/* ID_AA64MMFR1: HAFDBS, HPDS, PAN, SpecSEI, ETS, AFP; no VMIDBits, VH, LO, XNX. */
	{ID(7, 1), FIELD(0) | FIELD(12) | FIELD(20) | FIELD(24) | FIELD(36) | FIELD(44), 0, 0},
	/* ID_AA64MMFR2: CnP, UAO, LSM, VARange, CCIDX, ST, AT, IDS, TTL, BBM, E0PD. */
	{ID(7, 2),
	 FIELD(0) | FIELD(4) | FIELD(8) | FIELD(16) | FIELD(20) | FIELD(28) | FIELD(32) |
		 FIELD(36) | FIELD(48) | FIELD(52) | FIELD(60),
	 0, 0},
};

/* The machine's registers; MRS takes its register as part of the instruction. */
static u64 id_register_physical(u32 encoding)
{
	switch (encoding) {
#define READ(crm, op2)                                                                             \
	case ID(crm, op2):                                                                         \
		return read_sysreg(S3_0_C0_C##crm##_##op2)
		READ(1, 0);
		READ(1, 1);
		READ(1, 2);
		READ(1, 4);
		READ(1, 5);
		READ(1, 6);
		READ(1, 7);
		READ(2, 0);
		READ(2, 1);
		READ(2, 2);
		READ(2, 3);
		READ(2, 4);
		READ(2, 5);
		READ(2, 6);
		READ(2, 7);
		READ(3, 0);
		READ(3, 1);
		READ(3, 2);
		READ(3, 4);
		READ(4, 0);
		READ(4, 1);
		READ(5, 0);
		READ(6, 0);
		READ(6, 1);
		READ(6, 2);
		READ(7, 0);
		READ(7, 1);
		READ(7, 2);
#undef READ
	default:
		return 0;
	}
}

u64 id_register_guest(u32 encoding)
{
	for (unsigned i = 0; i < ARRAY_SIZE(id_rules); i++) {
		const struct id_rule *rule = &id_rules[i];
		u64 value;

		if (rule->encoding != encoding)
			continue;
		value = id_register_physical(encoding);
		value = (value & rule->allowed) | (rule->fixed & rule->fixed_mask);
		if (encoding == ID_AA64PFR0_EL1 && bits_get(value, 59, 56) > 1)
			value = bits_set(value, 59, 56, 1);
		if (encoding == ID_AA64PFR0_EL1 && bits_get(value, 27, 24) > 1)
			value = bits_set(value, 27, 24, 1);
		return value;
	}
	return 0;
}
