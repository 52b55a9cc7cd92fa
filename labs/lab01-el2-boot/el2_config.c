// SPDX-License-Identifier: MIT
/*
 * The controls of EL2, chosen field by field. A reset leaves most of them UNKNOWN. A register that
 * does not trap, and is not switched, is state that one VM can read or change under another.
 *
 * Manual: Arm ARM, "AArch64 System register descriptions"; VHE is not used (HCR_EL2.E2H = 0).
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"

/**
 * Exercise 1.3: el2_guest_hcr() - HCR_EL2 while a vCPU of an image with this layer alone runs
 *
 *	RW			EL1 is AArch64
 *	FMO, IMO, AMO		physical interrupts and SErrors are EL2's
 *	TSC			SMC traps
 *	TID1, TID3, TID5	identification registers trap
 *	TIDCP, TACR, TLOR, TERR	so do implementation defined, auxiliary, LORegion and error-record
 *				registers
 *	TSW			so does set/way maintenance
 *	FB, BSU = inner		what a guest invalidates or orders for itself reaches the CPU to
 *				which its vCPU moves
 *
 * Everything else is 0: no PAuth, no MTE, no nested virtualization, HVC enabled.
 */
EXERCISE(1.3)
u64 el2_guest_hcr(void)
{
	NOT_YET(1.3);
	return HCR_EL2_RW; /* without it no guest can be entered at all */
}

/*
 * Memory partitioning: everybody has partition 0, and a guest's registers trap. Which control traps
 * MPAMIDR_EL1 depends on the version of MPAM (Arm ARM, "MPAM2_EL2", "MPAMHCR_EL2").
 */
static void el2_configure_mpam(void)
{
	u64 idr = read_sysreg(S3_0_C10_C4_4); /* MPAMIDR_EL1 */
	u64 tidr = idr & MPAMIDR_EL1_HAS_TIDR ? MPAM2_EL2_TIDR : 0;

	write_sysreg(S3_4_C10_C5_0 /* MPAM2_EL2 */,
		     MPAM2_EL2_TRAPMPAM0EL1 | MPAM2_EL2_TRAPMPAM1EL1 | tidr);
	if (idr & MPAMIDR_EL1_HAS_HCR)
		write_sysreg(S3_4_C10_C4_0 /* MPAMHCR_EL2 */, MPAMHCR_EL2_TRAP_MPAMIDR_EL1);
}

/*
 * Controls that only later CPUs have. All bits of the fine-grained traps are 0. Those named "n..."
 * then trap, which are for the registers that came with them or later. Older registers trap, or are
 * disabled, by older controls. HCRX_EL2 enables nothing.
 */
static void el2_configure_extensions(void)
{
	u64 pfr0 = read_sysreg(id_aa64pfr0_el1);
	u64 pfr1 = read_sysreg(id_aa64pfr1_el1);
	u64 mmfr0 = read_sysreg(id_aa64mmfr0_el1);
	u64 mmfr1 = read_sysreg(id_aa64mmfr1_el1);
	u64 fgt = bits_get(mmfr0, 59, 56);

	if (fgt >= 1) {
		write_sysreg(S3_4_C1_C1_4, 0); /* HFGRTR_EL2 */
		write_sysreg(S3_4_C1_C1_5, 0); /* HFGWTR_EL2 */
		write_sysreg(S3_4_C1_C1_6, 0); /* HFGITR_EL2 */
		write_sysreg(S3_4_C3_C1_4, 0); /* HDFGRTR_EL2 */
		write_sysreg(S3_4_C3_C1_5, 0); /* HDFGWTR_EL2 */
	}
	if (fgt >= 1 && bits_get(pfr0, 47, 44)) /* AMU */
		write_sysreg(S3_4_C3_C1_6, 0); /* HAFGRTR_EL2 */
	if (fgt >= 2) { /* FGT2 */
		write_sysreg(S3_4_C3_C1_2, 0); /* HFGRTR2_EL2 */
		write_sysreg(S3_4_C3_C1_3, 0); /* HFGWTR2_EL2 */
		write_sysreg(S3_4_C3_C1_7, 0); /* HFGITR2_EL2 */
		write_sysreg(S3_4_C3_C1_0, 0); /* HDFGRTR2_EL2 */
		write_sysreg(S3_4_C3_C1_1, 0); /* HDFGWTR2_EL2 */
	}
	if (bits_get(mmfr1, 43, 40)) /* HCX */
		write_sysreg(S3_4_C1_C2_2, 0); /* HCRX_EL2 */
	if (bits_get(pfr0, 43, 40) || bits_get(pfr1, 19, 16)) /* MPAM, MPAM_frac */
		el2_configure_mpam();
}

/**
 * Exercise 1.3: el2_configure() - put every control of this CPU's EL2 into the state for guests
 *
 *	HCR_EL2		el2_guest_hcr()
 *	CPTR_EL2	its RES1 bits; traps: SIMD and floating point (TFP, for lazy switching), SVE
 *			(TZ), SME (TSM), trace (TTA), activity monitors (TAM)
 *	MDCR_EL2	traps: debug registers (TDA, TDOSA, TDRA), performance monitors (TPM,
 *			TPMCR), statistical profiling (TPMS, with E2PB 0), trace filter (TTRF).
 *			TDE 0: debug exceptions are EL1's. HPMN = PMCR_EL0.N (bits [15:11]): all
 *			counters belong to the lower levels
 *	CNTHCTL_EL2	EL1 reads the physical counter (EL1PCTEN); its physical timer traps
 *			(EL1PCEN 0)
 *	HSTR_EL2, CNTVOFF_EL2, VTTBR_EL2	0
 *	VPIDR_EL2	MIDR_EL1
 *
 * el2_configure_extensions() has the controls that only later CPUs have. Last, an ISB. Returns 0.
 */
EXERCISE(1.3)
int el2_configure(struct cpu *cpu)
{
	NOT_YET(1.3);
	return 0;
}
