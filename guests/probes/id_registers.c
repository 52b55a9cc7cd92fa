// SPDX-License-Identifier: MIT
/*
 * A guest reads ID registers through an allow-list: no access faults, reserved registers read as
 * zero, features whose state a world switch does not save are hidden, and hidden features are
 * UNDEFINED. Most telling with -cpu max. Arm ARM, "ID registers", and the trap controls that each
 * feature names.
 */
#include "probe.h"

struct field {
	u8 crm, op2, shift;
	u32 insn; /* uses the feature; 0: nothing to execute */
	char name[44];
};

static const struct field hidden[] = {
	{4, 0, 32, INSN_MRS(3, 0, 1, 2, 0), "SVE is hidden, ZCR_EL1 undefined"},
	{4, 0, 32, 0x0420e3e0, "SVE is hidden, CNTB undefined"},
	{4, 1, 24, INSN_MRS(3, 0, 1, 2, 6), "SME is hidden, SMCR_EL1 undefined"},
	{4, 1, 24, 0x04bf5820, "SME is hidden, RDSVL undefined"},
	{6, 1, 4, INSN_MRS(3, 0, 2, 1, 0), "PAuth (APA) is hidden, APIAKeyLo undefined"},
	{6, 1, 8, 0xdac10020, "PAuth (API) is hidden, PACIA undefined"},
	{6, 1, 24, INSN_MRS(3, 0, 2, 3, 0), "PAuth (GPA) is hidden, APGAKeyLo undefined"},
	{6, 1, 28, 0, "PAuth (GPI) is hidden"},
	{6, 2, 12, 0, "PAuth (APA3) is hidden"},
	{6, 2, 8, 0, "PAuth (GPA3) is hidden"},
	{4, 1, 8, INSN_MRS(3, 0, 1, 0, 6), "MTE is hidden, GCR_EL1 undefined"},
	{4, 0, 44, INSN_MRS(3, 3, 13, 2, 0), "AMU is hidden, AMCR_EL0 undefined"},
	{4, 0, 40, INSN_MRS(3, 0, 10, 5, 0), "MPAM is hidden, MPAM1_EL1 undefined"},
	{5, 0, 32, INSN_MRS(3, 0, 9, 9, 0), "SPE is hidden, PMSCR_EL1 undefined"},
	{5, 0, 40, INSN_MRS(3, 0, 1, 2, 1), "trace filter is hidden, TRFCR_EL1 undefined"},
	{5, 0, 52, 0, "BRBE is hidden"},
	{7, 1, 16, INSN_MRS(3, 0, 10, 4, 3), "LORegions are hidden, LORC_EL1 undefined"},
	{7, 2, 24, 0, "nested virtualization is hidden"},
	{4, 0, 8, INSN_MRS(3, 4, 1, 1, 0), "EL2 is hidden, HCR_EL2 undefined"},
	{4, 0, 12, INSN_MRS(3, 6, 1, 1, 0), "EL3 is hidden, SCR_EL3 undefined"},
};

static u64 id_read(unsigned crm, unsigned op2)
{
	u64 value[2] = {~0UL, 0};

	if (insn_try(MODE_EL1H, INSN_MRS(3, 0, 0, crm, op2), value))
		return ~0UL;
	return value[0];
}

static void id_space(void)
{
	u64 faults = 0, value[2];

	for (unsigned crm = 0; crm < 8; crm++) {
		for (unsigned op2 = 0; op2 < 8; op2++) {
			/* CRm 0: only MIDR, MPIDR, REVIDR are allocated there. */
			if (crm == 0 && op2 != 0 && op2 != 5 && op2 != 6)
				continue;
			faults += insn_try(MODE_EL1H, INSN_MRS(3, 0, 0, crm, op2), value);
		}
	}
	report_equal("no register of the ID space faults", faults, 0);
	report_equal("reserved ID_AA64 registers are zero",
		     id_read(4, 7) | id_read(5, 2) | id_read(5, 7) | id_read(6, 7) | id_read(7, 7),
		     0);
}

static void hidden_features(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
		const struct field *f = &hidden[i];
		u64 seen = bits_get(id_read(f->crm, f->op2), f->shift + 3, f->shift);
		u64 value[2] = {0, 0};
		bool undefined = true;

		/* DebugVer-style fields: 0xf means "not implemented in the usual way". */
		if (f->insn)
			undefined = insn_try(MODE_EL1H, f->insn, value) &&
				    exception_seen.esr == ESR_UNDEFINED;
		report(seen == 0 && undefined, f->name, seen << 4 | undefined, 1);
	}
}

static void identity(void)
{
	u64 mpidr = sysreg_read(mpidr_el1), ctr[2];

	report_equal("MPIDR_EL1.Aff0 is the vCPU's index", mpidr & 0xff, guest.vcpu);
	report_equal("MPIDR_EL1: bit 31 set, U clear, Aff1..3 zero",
		     mpidr & ~0x01000000UL & ~0xffUL, 0x80000000);
	report(sysreg_read(midr_el1) >> 24 == 0x41 || sysreg_read(midr_el1) != 0,
	       "MIDR_EL1 is there", sysreg_read(midr_el1), 0x41000000);
	report(!insn_try(MODE_EL1H, INSN_MRS(3, 3, 0, 0, 1), ctr) &&
		       !insn_try(MODE_EL1H, INSN_MRS(3, 3, 0, 0, 7), ctr),
	       "CTR_EL0 and DCZID_EL0 can be read", exception_seen.esr, 0);
	report_equal("FP is there", bits_get(id_read(4, 0), 19, 16) != 0xf, 1);
	report_equal("EL0 and EL1 are AArch64", (bits_get(id_read(4, 0), 7, 0) & 0x33) != 0, 1);
}

/* Otherwise the guest's own controls would stop these instructions before the hypervisor's do. */
static void allow_all(void)
{
	sysreg_write(cpacr_el1, 0x03330000); /* SMEN, FPEN, ZEN */
	sysreg_write(sctlr_el1, sysreg_read(sctlr_el1) | 1UL << 31); /* EnIA */
	isb();
}

void probe(void)
{
	allow_all();
	id_space();
	identity();
	hidden_features();
}
