// SPDX-License-Identifier: MIT
/*
 * What the leaves of the two kinds of table look like.
 *
 *	63      55 54 53 52 51    48 47                12 11 10 9  8 7  6 5     2 1 0
 *	          |XN   |  |        |  output address    |  |AF| SH |    |       |T|V|   both
 *	                                                             |AP  |NS Attr|         stage 1
 *	                                                             |S2AP|MemAttr|         stage 2
 *
 * The access flag is always set: nothing here ages pages. Device memory is never executable, or a
 * speculative instruction fetch could read a device's registers.
 *
 * Stage 2 combines with the guest's stage 1, and the stricter of both wins: with Normal write-back
 * at stage 2 the guest's own attributes decide, with Device-nGnRE they do not.
 *
 * Pure functions, so that the host's unit tests can run them. Arm ARM, "VMSAv8-64 descriptor
 * formats".
 */
#include "exercise.h"
#include "lib/bits.h"
#include "pgtable.h"

#define LEAF_AF BIT(10)
#define LEAF_SH_INNER (3UL << 8)
#define LEAF_XN BIT(54)

#define STAGE1_ATTR_NORMAL (1UL << 2) /* index into MAIR_EL2; Device is index 0 */
#define STAGE1_AP1_RES1 BIT(6)
#define STAGE1_AP2_READ_ONLY BIT(7)

#define STAGE2_MEMATTR_DEVICE_NGNRE (1UL << 2)
#define STAGE2_MEMATTR_NORMAL_WB (15UL << 2)
#define STAGE2_MEMATTR_NORMAL_MASK (12UL << 2)
#define STAGE2_MEMATTR_MASK (15UL << 2)
#define STAGE2_MEMATTR_FWB_NORMAL_WB (6UL << 2)
#define STAGE2_S2AP_READ BIT(6)
#define STAGE2_S2AP_WRITE BIT(7)

/**
 * Exercise 2.1: pgtable_stage1_leaf() - attribute bits of a leaf of EL2's stage 1 that allows @prot
 *
 * Address and type bits are left out. The access flag; inner shareable (Device memory ignores it);
 * AP[1], which is RES1; the index into MAIR_EL2, Normal or with PROT_DEVICE Device; AP[2],
 * read-only, without PROT_WRITE; XN without PROT_EXEC and always with PROT_DEVICE. Stage 1 cannot
 * make memory unreadable: PROT_READ is implied.
 */
EXERCISE(2.1)
u64 pgtable_stage1_leaf(unsigned prot)
{
	TODO(2.1);
}

unsigned pgtable_stage1_prot(u64 descriptor)
{
	return PROT_READ | (descriptor & STAGE1_AP2_READ_ONLY ? 0 : PROT_WRITE) |
	       (descriptor & LEAF_XN ? 0 : PROT_EXEC) |
	       (descriptor & STAGE1_ATTR_NORMAL ? 0 : PROT_DEVICE);
}

/**
 * Exercise 2.1: pgtable_stage2_leaf() - attribute bits of a stage-2 leaf that allows @prot
 *
 * Address and type bits are left out. The access flag; inner shareable; MemAttr Normal write-back,
 * or with PROT_DEVICE Device-nGnRE; the read and the write bit of S2AP as @prot says; XN without
 * PROT_EXEC and always with PROT_DEVICE: bit 54, the upper of [54:53], which forbids execution at
 * EL1 and EL0 with FEAT_XNX and without.
 */
EXERCISE(2.1)
u64 pgtable_stage2_leaf(unsigned prot)
{
	TODO(2.1);
}

/*
 * HCR_EL2.FWB (FEAT_S2FWB) gives MemAttr another meaning: Device-nGnRE stays 0b0001, 0b0110 makes
 * memory Normal write-back whatever the guest's stage 1 says. Arm ARM, "Stage 2 memory type and
 * Cacheability attributes when FEAT_S2FWB is enabled".
 */
u64 pgtable_stage2_fwb_leaf(unsigned prot)
{
	u64 leaf = pgtable_stage2_leaf(prot);

	if (prot & PROT_DEVICE)
		return leaf;
	return (leaf & ~STAGE2_MEMATTR_MASK) | STAGE2_MEMATTR_FWB_NORMAL_WB;
}

unsigned pgtable_stage2_prot(u64 descriptor)
{
	return (descriptor & STAGE2_S2AP_READ ? PROT_READ : 0) |
	       (descriptor & STAGE2_S2AP_WRITE ? PROT_WRITE : 0) |
	       (descriptor & LEAF_XN ? 0 : PROT_EXEC) |
	       (descriptor & STAGE2_MEMATTR_NORMAL_MASK ? 0 : PROT_DEVICE);
}
