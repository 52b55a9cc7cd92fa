// SPDX-License-Identifier: MIT
/*
 * The controls of EL2, chosen field by field. A reset leaves most of them UNKNOWN, and a control
 * left at "do not trap" is state that one VM can read or change under another.
 *
 * Manual: Arm ARM, "AArch64 System register descriptions"; VHE is not used (HCR_EL2.E2H = 0).
 */
#include "el2_boot.h"
#include "exercise.h"
#include "lib/bits.h"

/**
 * el2_guest_hcr() - HCR_EL2 while a vCPU of an image with this layer alone runs
 *
 * RW: EL1 is AArch64. FMO, IMO, AMO: physical interrupts and SErrors are EL2's. TSC: SMC traps.
 * TID3: identification registers trap. TIDCP, TACR, TLOR, TERR: so do implementation defined,
 * auxiliary, LORegion and error-record registers. TSW: and set/way maintenance. FB and BSU = inner
 * shareable: what a guest invalidates or orders for itself reaches the CPU that it migrates to.
 * Everything else 0: no PAuth, no MTE, no nested virtualization, HVC enabled.
 */
EXERCISE(1.3)
u64 el2_guest_hcr(void)
{
	TODO(1.3);
}

/*
 * Controls that only exist on later CPUs. Fine-grained traps are all off (what is hidden is already
 * trapped or disabled by older controls) and HCRX_EL2 enables nothing.
 */
static void el2_configure_extensions(void)
{
	u64 mmfr0 = read_sysreg(id_aa64mmfr0_el1);
	u64 mmfr1 = read_sysreg(id_aa64mmfr1_el1);

	if (bits_get(mmfr0, 59, 56)) { /* FGT */
		write_sysreg(S3_4_C1_C1_4, 0); /* HFGRTR_EL2 */
		write_sysreg(S3_4_C1_C1_5, 0); /* HFGWTR_EL2 */
		write_sysreg(S3_4_C1_C1_6, 0); /* HFGITR_EL2 */
		write_sysreg(S3_4_C3_C1_4, 0); /* HDFGRTR_EL2 */
		write_sysreg(S3_4_C3_C1_5, 0); /* HDFGWTR_EL2 */
	}
	if (bits_get(mmfr1, 43, 40)) /* HCX */
		write_sysreg(S3_4_C1_C2_2, 0); /* HCRX_EL2 */
}

/**
 * el2_configure() - put every control of this CPU's EL2 into the state in which guests may run
 *
 * HCR_EL2 as el2_guest_hcr(). CPTR_EL2: RES1 bits, and trap SIMD and floating point (TFP, for lazy
 * switching), SVE (TZ), SME (TSM is RES1 territory), trace (TTA) and activity monitors (TAM).
 * MDCR_EL2: trap debug (TDE stays 0: debug exceptions are EL1's; TDA, TDOSA, TDRA), PMU (TPM,
 * TPMCR), statistical profiling (TPMS with E2PB 0), trace filter (TTRF); HPMN = PMCR_EL0.N, all
 * counters belong to the lower levels. CNTHCTL_EL2: EL1 reads the counter (EL1PCTEN), its physical
 * timer traps (EL1PCEN 0). HSTR_EL2 = 0. CNTVOFF_EL2 = 0. VPIDR_EL2 = MIDR_EL1. What only later
 * CPUs have is el2_configure_extensions()'s. Ends with an ISB. Returns 0.
 */
EXERCISE(1.3)
int el2_configure(struct cpu *cpu)
{
	TODO(1.3);
}
