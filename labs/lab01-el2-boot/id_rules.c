// SPDX-License-Identifier: MIT
/*
 * What a guest is shown of the CPU's identification: for each field the highest value that Strata
 * can answer for, one hexadecimal digit a field, bits [3:0] on the right. A field whose digit is 0,
 * and a register that is not listed, reads as zero, "not implemented": a feature of next year's CPU
 * is hidden until somebody has looked at what it needs. A higher value of a field means more (Arm
 * ARM, "Principles of the ID scheme for fields in ID registers"), so a lower one shows less than
 * the CPU has.
 *
 * A feature is shown if it needs no state beyond what the world switch saves (general, SIMD and EL1
 * registers), and no control of EL2 that is off. Hidden, for instance:
 *
 *	state		PAuth keys, SVE, SME, MTE tags, PMU, RAS records, AMU, MPAM, SCXTNUM
 *			(CSV2 2), TME's transactions, which no exit to EL2 keeps
 *	HCRX_EL2 = 0	MOPS, LS64, TCR2_EL1 and what stands in it (HAFDBS 3: HAFT), SCTLR2_EL1,
 *			128-bit tables, memory-encryption and permission indirection
 *	no handler	WFxT (a wait that times out), BBM (a TLB conflict abort comes to EL2)
 *	for EL2, EL3	VH, NV, VMIDBits, XNX, FGT, ECV, stage-2 granules, RNDR traps
 *	no virtual one	RNDR, whose entropy EL2 cannot withhold from one VM for another
 *
 * Manual: Arm ARM, "AArch64 System register descriptions", each register.
 */
#include "internal.h"
#include "lib/bits.h"

/**
 * struct id_rule - what a guest is shown of a register
 * @highest: the highest value of each field
 * @negative: fields in which 0xf means less than 0: a CPU's 0xf is shown
 * @fixed: fields that read as given here on every CPU; their digit in @highest is 0
 */
struct id_rule {
	u32 encoding;
	u64 highest, negative, fixed;
};

#define ID(crm, op2) SYSREG_ENCODING(3, 0, 0, crm, op2)
#define FIELD(low) (0xfUL << (low))

/* AArch32 is for EL0 alone, where its only state is in general and SIMD registers. */
static const struct id_rule id_rules[] = {
	/* ID_PFR0: DIT, CSV2 1, State3 to State0; no RAS, AMU */
	{ID(1, 0), 0x01011231, 0, 0},
	/* ID_PFR1: GIC 1, GenTimer 1, ProgMod; no Virtualization, Security */
	{ID(1, 1), 0x10010001, 0, 0},
	/* ID_DFR0: CopDbg 6, as ID_AA64DFR0 says; no PMU, trace */
	{ID(1, 2), 0x00000006, 0, 0},
	/* ID_MMFR0 to ID_MMFR4 */
	{ID(1, 4), 0x10201105, FIELD(28) | FIELD(8), 0},
	{ID(1, 5), 0x40000000, 0, 0},
	{ID(1, 6), 0x11260000, 0, 0},
	{ID(1, 7), 0x02132211, FIELD(28), 0},
	{ID(2, 6), 0x00021011, 0, 0},
	/* ID_ISAR0 to ID_ISAR6 */
	{ID(2, 0), 0x02101111, 0, 0},
	{ID(2, 1), 0x13112111, 0, 0},
	{ID(2, 2), 0x21232242, 0, 0},
	{ID(2, 3), 0x11112131, 0, 0},
	{ID(2, 4), 0x11311142, 0, 0},
	{ID(2, 5), 0x11011121, 0, 0},
	{ID(2, 7), 0x01121111, 0, 0},
	/* MVFR0 to MVFR2 */
	{ID(3, 0), 0x11111222, 0, 0},
	{ID(3, 1), 0x13211111, 0, 0},
	{ID(3, 2), 0x00000043, 0, 0},
	/* ID_PFR2: SSBS, CSV3 */
	{ID(3, 4), 0x00000011, 0, 0},

	/* ID_AA64PFR0: CSV3, CSV2 1, DIT, GIC 1, AdvSIMD, FP, EL0; EL1 is AArch64 alone */
	{ID(4, 0), 0x1101000001110002, FIELD(20) | FIELD(16), 1UL << 4},
	/* ID_AA64PFR1: SSBS */
	{ID(4, 1), 0x0000000000000020, 0, 0},
	/* ID_AA64DFR0: ARMv8.0's debug, the fewest breakpoints (debug.c); DoubleLock as it is */
	{ID(5, 0), 0, FIELD(36), 1UL << 20 | 1UL << 12 | 6},
	/* ID_AA64ISAR0: TLB, TS, FHM, DP, SM4, SM3, SHA3, RDM, Atomic, CRC32, SHA2, SHA1, AES */
	{ID(6, 0), 0x0221111110312120, 0, 0},
	/* ID_AA64ISAR1: I8MM, DGH, BF16, SPECRES, SB, FRINTTS, LRCPC, FCMA, JSCVT, DPB */
	{ID(6, 1), 0x0011221100311002, 0, 0},
	/* ID_AA64ISAR2: RPRES */
	{ID(6, 2), 0x0000000000000010, 0, 0},
	/* ID_AA64MMFR0: ExS, TGran4, TGran64, TGran16, BigEndEL0, SNSMem, BigEnd, ASIDBits, PARange
	   6 (52 bits) */
	{ID(7, 0), 0x0000100010211126, FIELD(28) | FIELD(24), 0},
	/* ID_AA64MMFR1: AFP, ETS, SpecSEI, PAN, HPDS, HAFDBS 2 */
	{ID(7, 1), 0x0000103001302002, 0, 0},
	/* ID_AA64MMFR2: E0PD, TTL, IDS 1, AT, ST, CCIDX, VARange 1, LSM, UAO, CnP */
	{ID(7, 2), 0x1001001110110111, 0, 0},
};

static u64 field_shown(const struct id_rule *rule, unsigned low, u64 value)
{
	u64 highest = bits_get(rule->highest, low + 3, low);

	if (value == 0xf && (rule->negative & FIELD(low)))
		return value;
	return value < highest ? value : highest;
}

u64 id_register_shown(u32 encoding, u64 physical)
{
	for (unsigned i = 0; i < ARRAY_SIZE(id_rules); i++) {
		const struct id_rule *rule = &id_rules[i];
		u64 value = rule->fixed;

		if (rule->encoding != encoding)
			continue;
		for (unsigned low = 0; low < 64; low += 4)
			value |= field_shown(rule, low, bits_get(physical, low + 3, low)) << low;
		return value;
	}
	return 0;
}
