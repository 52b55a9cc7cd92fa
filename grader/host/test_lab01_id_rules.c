// SPDX-License-Identifier: MIT
/*
 * What guests are shown of identification registers that no CPU here has: every value of every
 * field. The meanings are told here once more, apart from the table under test, field by field.
 */
#include "check.h"
#include "internal.h"
#include "lib/bits.h"

#define ID(crm, op2) SYSREG_ENCODING(3, 0, 0, crm, op2)

struct field {
	u32 encoding;
	unsigned low;
	u64 highest; /* that may be shown */
};

/* Features that cannot work: state that is not switched, or a control of EL2 that is off. */
static const struct field limits[] = {
	{ID(4, 0), 8, 0}, /* EL2 */
	{ID(4, 0), 12, 0}, /* EL3 */
	{ID(4, 0), 24, 1}, /* GIC: no 4.1 */
	{ID(4, 0), 28, 0}, /* RAS */
	{ID(4, 0), 32, 0}, /* SVE */
	{ID(4, 0), 40, 0}, /* MPAM */
	{ID(4, 0), 44, 0}, /* AMU */
	{ID(4, 0), 56, 1}, /* CSV2: 2 brings SCXTNUM */
	{ID(4, 1), 0, 0}, /* BT */
	{ID(4, 1), 8, 0}, /* MTE */
	{ID(4, 1), 24, 0}, /* SME */
	{ID(4, 1), 36, 0}, /* NMI */
	{ID(4, 1), 44, 0}, /* GCS */
	{ID(5, 0), 4, 0}, /* TraceVer */
	{ID(5, 0), 8, 0}, /* PMUVer */
	{ID(5, 0), 32, 0}, /* PMSVer */
	{ID(5, 0), 40, 0}, /* TraceFilt */
	{ID(5, 0), 44, 0}, /* TraceBuffer */
	{ID(6, 0), 24, 0}, /* TME */
	{ID(6, 0), 60, 0}, /* RNDR */
	{ID(6, 1), 4, 0}, /* APA */
	{ID(6, 1), 8, 0}, /* API */
	{ID(6, 1), 24, 0}, /* GPA */
	{ID(6, 1), 28, 0}, /* GPI */
	{ID(6, 1), 56, 0}, /* XS */
	{ID(6, 1), 60, 0}, /* LS64 */
	{ID(6, 2), 0, 0}, /* WFxT */
	{ID(6, 2), 8, 0}, /* GPA3 */
	{ID(6, 2), 12, 0}, /* APA3 */
	{ID(6, 2), 16, 0}, /* MOPS */
	{ID(6, 2), 32, 0}, /* SYSREG_128 */
	{ID(7, 0), 0, 6}, /* PARange: 7 needs 128-bit tables */
	{ID(7, 0), 32, 0}, /* TGran16_2 */
	{ID(7, 0), 56, 0}, /* FGT */
	{ID(7, 0), 60, 0}, /* ECV */
	{ID(7, 1), 0, 2}, /* HAFDBS: HAFT is a bit of TCR2_EL1 */
	{ID(7, 1), 4, 0}, /* VMIDBits */
	{ID(7, 1), 8, 0}, /* VH */
	{ID(7, 1), 16, 0}, /* LO */
	{ID(7, 1), 28, 0}, /* XNX */
	{ID(7, 1), 40, 0}, /* HCX */
	{ID(7, 1), 56, 0}, /* CMOW */
	{ID(7, 2), 12, 0}, /* IESB */
	{ID(7, 2), 16, 1}, /* VARange: 2 needs 128-bit tables */
	{ID(7, 2), 24, 0}, /* NV */
	{ID(7, 2), 52, 0}, /* BBM */
	{ID(7, 3), 0, 0}, /* TCRX */
	{ID(7, 3), 4, 0}, /* SCTLRX */
	{ID(4, 4), 0, 0}, /* SVEver */
	{ID(4, 5), 32, 0}, /* F64F64 and others of SME */
	{ID(1, 0), 28, 0}, /* RAS of AArch32 */
	{ID(1, 1), 28, 1}, /* GIC of AArch32 */
	{ID(1, 2), 24, 0}, /* PerfMon */
};

/* What ordinary software counts on is not hidden. */
static const struct field present[] = {
	{ID(4, 0), 0, 2}, /* EL0, AArch32 as well */
	{ID(6, 0), 4, 2}, /* AES, PMULL */
	{ID(6, 0), 12, 2}, /* SHA512 */
	{ID(6, 0), 16, 1}, /* CRC32 */
	{ID(6, 0), 20, 2}, /* Atomic */
	{ID(6, 1), 0, 2}, /* DC CVADP */
	{ID(6, 1), 20, 2}, /* LRCPC */
	{ID(7, 0), 4, 2}, /* ASIDs of 16 bits */
	{ID(7, 1), 0, 2}, /* dirty state by hardware */
	{ID(7, 1), 20, 3}, /* PAN */
};

/* 0xf is not "more" in these. */
static const struct field negative[] = {
	{ID(4, 0), 16, 1}, /* FP */
	{ID(4, 0), 20, 1}, /* AdvSIMD */
	{ID(5, 0), 36, 0}, /* DoubleLock */
	{ID(7, 0), 24, 0}, /* TGran64 */
	{ID(7, 0), 28, 1}, /* TGran4 */
};

static u64 shown(const struct field *f, u64 value)
{
	return bits_get(id_register_shown(f->encoding, value << f->low), f->low + 3, f->low);
}

static void check_fields(void)
{
	for (u64 value = 0; value < 16; value++) {
		for (unsigned i = 0; i < ARRAY_SIZE(limits); i++)
			CHECK(shown(&limits[i], value) <= limits[i].highest);
		for (unsigned i = 0; i < ARRAY_SIZE(negative); i++)
			CHECK(shown(&negative[i], value) <= negative[i].highest || value == 0xf);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(present); i++)
		CHECK(shown(&present[i], present[i].highest) == present[i].highest);
	for (unsigned i = 0; i < ARRAY_SIZE(negative); i++)
		CHECK(shown(&negative[i], 0xf) == 0xf);
}

/* No field is shown as more than there is, but for those of a value of our choice. */
static void check_never_more(u32 encoding, u64 physical)
{
	u64 value = id_register_shown(encoding, physical);
	u64 ours = id_register_shown(encoding, 0);

	for (unsigned low = 0; low < 64; low += 4) {
		u64 fixed = bits_get(ours, low + 3, low);

		CHECK(bits_get(value, low + 3, low) == fixed ||
		      bits_get(value, low + 3, low) <= bits_get(physical, low + 3, low));
	}
}

int main(void)
{
	check_fields();
	for (unsigned crm = 1; crm < 8; crm++) {
		for (unsigned op2 = 0; op2 < 8; op2++) {
			for (unsigned round = 0; round < 200; round++)
				check_never_more(ID(crm, op2), check_random());
		}
	}
	CHECK(id_register_shown(ID(4, 0), 0) == 1UL << 4); /* EL1 is AArch64 alone */
	CHECK(id_register_shown(ID(5, 0), 0) == 0x101006);
	return check_finish();
}
