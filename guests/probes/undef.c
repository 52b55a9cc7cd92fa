// SPDX-License-Identifier: MIT
/*
 * Undefined instructions: for what the hypervisor traps and does not offer, the guest must take the
 * exception that hardware would raise (Arm ARM, "Unknown reason" syndrome).
 */
#include "probe.h"

struct undefined {
	u32 insn;
	char name[28];
};

/* Always undefined at EL1 and EL0, whether an EL2 is there or not. */
static const struct undefined instructions[] = {
	{0x00000000, "UDF #0"},
	{INSN_MRS(3, 4, 1, 1, 0), "MRS HCR_EL2"},
	{INSN_MSR(3, 4, 1, 1, 0), "MSR HCR_EL2"},
	{INSN_MRS(3, 4, 2, 1, 0), "MRS VTTBR_EL2"},
	{INSN_MRS(3, 4, 14, 0, 3), "MRS CNTVOFF_EL2"},
	{INSN_MRS(3, 6, 1, 1, 0), "MRS SCR_EL3"},
	{INSN_MRS(3, 6, 12, 0, 0), "MRS VBAR_EL3"},
	{INSN_MRS(3, 0, 15, 7, 7), "MRS S3_0_C15_C7_7"},
};

/* Trapped and not offered: reflected by the hypervisor, where those above raise by themselves. */
static const struct undefined hidden[] = {
	{INSN_MRS(3, 3, 9, 12, 0), "MRS PMCR_EL0"}, /* at EL0 EL1 traps it */
	{INSN_MSR(3, 3, 9, 12, 0), "MSR PMCR_EL0"},
};
#define MRS_CNTP_CTL INSN_MRS(3, 3, 14, 2, 1) /* layer 4 offers it */
#define CNTKCTL_EL0PTEN BIT(9)

static const u64 modes[] = {MODE_EL1H, MODE_EL1T, MODE_EL0};
static const u64 vectors[] = {VECTOR_SYNC_EL1H, VECTOR_SYNC_EL1T, VECTOR_SYNC_EL0};

struct tally {
	u64 vector, esr, elr, spsr, none;
	u64 last;
};

static void try(struct tally *bad, u32 insn, unsigned m)
{
	u64 value[2] = {0, 0};

	if (!insn_try(modes[m], insn, value)) {
		bad->none++;
		bad->last = insn;
		return;
	}
	bad->vector += exception_seen.vector != vectors[m];
	bad->esr += exception_seen.esr != ESR_UNDEFINED;
	bad->elr += exception_seen.elr != insn_address();
	bad->spsr += (exception_seen.spsr & 0x3df) != modes[m];
}

static void check(struct tally bad, const char *raises, const char *vector, const char *esr,
		  const char *elr, const char *spsr)
{
	report_equal(raises, bad.none ? bad.last : 0, 0);
	report_equal(vector, bad.vector, 0);
	report_equal(esr, bad.esr, 0);
	report_equal(elr, bad.elr, 0);
	report_equal(spsr, bad.spsr, 0);
}

/* What is not there for EL1 is not there for EL0, although EL1 would allow it. */
static void try_timer(struct tally *bad, unsigned m)
{
	u64 value[2] = {0, 0};

	if (!insn_try(MODE_EL1H, MRS_CNTP_CTL, value))
		return;
	sysreg_write(cntkctl_el1, CNTKCTL_EL0PTEN);
	isb();
	try(bad, MRS_CNTP_CTL, m);
	sysreg_write(cntkctl_el1, 0);
}

static struct tally try_all(unsigned m)
{
	struct tally bad = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++)
		try(&bad, instructions[i].insn, m);
	for (unsigned i = 0; guest.hypervisor && modes[m] != MODE_EL0 && i < ARRAY_SIZE(hidden);
	     i++)
		try(&bad, hidden[i].insn, m);
	try_timer(&bad, m);
	return bad;
}

void probe(void)
{
	check(try_all(0), "EL1h: every undefined instruction raises an exception",
	      "EL1h: it arrives at VBAR_EL1 + 0x200", "EL1h: ESR_EL1 is unknown reason, IL set",
	      "EL1h: ELR_EL1 is the instruction", "EL1h: SPSR_EL1 holds EL1h and the masks");
	check(try_all(1), "EL1t: every undefined instruction raises an exception",
	      "EL1t: it arrives at VBAR_EL1 + 0x000", "EL1t: ESR_EL1 is unknown reason, IL set",
	      "EL1t: ELR_EL1 is the instruction", "EL1t: SPSR_EL1 holds EL1t and the masks");
	check(try_all(2), "EL0: every undefined instruction raises an exception",
	      "EL0: it arrives at VBAR_EL1 + 0x400", "EL0: ESR_EL1 is unknown reason, IL set",
	      "EL0: ELR_EL1 is the instruction", "EL0: SPSR_EL1 holds EL0 and the masks");
}
