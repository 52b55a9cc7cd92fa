// SPDX-License-Identifier: MIT
/*
 * CNTKCTL_EL1, which belongs to the guest's kernel, decides what user space may do with counters
 * and timers; the hypervisor's own controls must not override that. Arm ARM, "CNTKCTL_EL1".
 */
#include "probe.h"

#define MRS_CNTVCT (INSN_MRS(3, 3, 14, 0, 2) | 0)
#define MRS_CNTPCT (INSN_MRS(3, 3, 14, 0, 1) | 0)
#define MRS_CNTV_CTL (INSN_MRS(3, 3, 14, 3, 1) | 0)
#define MRS_CNTP_CTL (INSN_MRS(3, 3, 14, 2, 1) | 0)
#define MSR_CNTP_CVAL (INSN_MSR(3, 3, 14, 2, 2) | 0)
#define EL0PCTEN 1
#define EL0VCTEN 2
#define EL0VTEN 0x100
#define EL0PTEN 0x200

static void check(u32 insn, u64 control, const char *denied, const char *allowed)
{
	u64 value[2] = {0, 0};
	bool raised;

	sysreg_write(cntkctl_el1, 0x303 & ~control);
	isb();
	raised = insn_try(MODE_EL0, insn, value);
	report(raised && ESR_EC(exception_seen.esr) == ESR_EC_SYSREG &&
		       exception_seen.vector == VECTOR_SYNC_EL0 &&
		       exception_seen.elr == insn_address(),
	       denied, exception_seen.esr, (u64)ESR_EC_SYSREG << 26);
	sysreg_write(cntkctl_el1, control);
	isb();
	value[0] = ~0UL;
	raised = insn_try(MODE_EL0, insn, value);
	report(!raised, allowed, exception_seen.esr, 0);
}

void probe(void)
{
	check(MRS_CNTVCT, EL0VCTEN, "CNTVCT_EL0 at EL0: denied by the guest's kernel",
	      "CNTVCT_EL0 at EL0: allowed");
	check(MRS_CNTPCT, EL0PCTEN, "CNTPCT_EL0 at EL0: denied", "CNTPCT_EL0 at EL0: allowed");
	check(MRS_CNTV_CTL, EL0VTEN, "CNTV_CTL_EL0 at EL0: denied", "CNTV_CTL_EL0 at EL0: allowed");
	check(MRS_CNTP_CTL, EL0PTEN, "CNTP_CTL_EL0 at EL0: denied", "CNTP_CTL_EL0 at EL0: allowed");
	check(MSR_CNTP_CVAL, EL0PTEN, "CNTP_CVAL_EL0 write at EL0: denied",
	      "CNTP_CVAL_EL0 write at EL0: allowed");
	report_equal("and it was the guest's CNTP_CVAL_EL0 that was written",
		     sysreg_read(cntp_cval_el0), ~0UL);
	sysreg_write(cntkctl_el1, 0);
}
