/* SPDX-License-Identifier: MIT */
/*
 * What MRS and MSR with op0 2 and 3 may do at EL1: the registers that the architecture gives a CPU
 * with the features that the ID registers announce, and the exceptions from that, each with its
 * reason. What is not listed is UNDEFINED. (Arm ARM, "AArch64 System register encodings".)
 */
#ifndef GUEST_ENCODINGS_H
#define GUEST_ENCODINGS_H

#include "lib/types.h"

/** enum encoding_flags - what a register does */
enum encoding_flags {
	R = 1 << 0, /* MRS answers */
	W = 1 << 1, /* MSR answers */
	RW = R | W,
	MAY = 1 << 2, /* it may answer or be UNDEFINED */
	VOLATILE = 1 << 3, /* its value changes by itself, or says what the hardware is */
	KEEP = 1 << 4, /* only what was read is written to it */
	EARLY = 1 << 5, /* an exception changes it */
};

/* A field of an ID register, by CRm, op2 and its lowest bit, and the least value that is meant. */
#define ID_FIELD(crm, op2, low, least) ((crm) << 16 | (op2) << 12 | (low) << 4 | (least))
#define ID_FIELD_CRM(field) ((field) >> 16)
#define ID_FIELD_OP2(field) ((field) >> 12 & 0xf)
#define ID_FIELD_LOW(field) ((field) >> 4 & 0xff)
#define ID_FIELD_LEAST(field) (0xf & (field))

/**
 * struct encoding - a register, or all with CRm and op2 up to a last one
 * @layer: which layer switches it; an image without that layer does not
 * @feature: ID_FIELD() that announces it, or ALWAYS
 * @mask: bits that a guest can change without harm to itself
 * @reset: what a fresh vCPU finds in those bits
 */
struct encoding {
	u8 op0, op1, crn, crm, op2, crm_last, op2_last;
	u8 layer, flags;
	u32 feature;
	u64 mask, reset;
};

#define ALL (~0UL)
#define ALWAYS 0
#define PAN ID_FIELD(7, 1, 20, 1)
#define UAO ID_FIELD(7, 2, 4, 1)
#define DIT ID_FIELD(4, 0, 48, 1)
#define SSBS ID_FIELD(4, 1, 4, 2)
#define CCIDX ID_FIELD(7, 2, 20, 1)
#define GIC ID_FIELD(4, 0, 24, 1)
#define RNDR ID_FIELD(6, 0, 60, 1)
#define RAS ID_FIELD(4, 0, 28, 1)
#define ECV ID_FIELD(7, 0, 60, 1)
#define MTE ID_FIELD(4, 1, 8, 1)
#define SME ID_FIELD(4, 1, 24, 1)
#define NMI ID_FIELD(4, 1, 36, 1)

#define REG(op0, op1, crn, crm, op2, layer, flags, feature, mask, reset)                           \
	((struct encoding){op0, op1, crn, crm, op2, crm, op2, layer, flags, feature, mask, reset})

static const struct encoding encodings[] = {
	/* Identification: reserved ones are there as well and read as zero. */
	REG(3, 0, 0, 0, 0, 1, R | VOLATILE, ALWAYS, 0, 0), /* MIDR */
	REG(3, 0, 0, 0, 5, 1, R | VOLATILE, ALWAYS, 0, 0), /* MPIDR */
	REG(3, 0, 0, 0, 6, 1, R | VOLATILE, ALWAYS, 0, 0), /* REVIDR */
	{3, 0, 0, 1, 0, 7, 7, 1, R | VOLATILE, ALWAYS, 0, 0}, /* ID_* */
	REG(3, 1, 0, 0, 0, 1, R | VOLATILE, ALWAYS, 0, 0), /* CCSIDR, of what CSSELR selects */
	REG(3, 1, 0, 0, 1, 1, R | VOLATILE, ALWAYS, 0, 0), /* CLIDR */
	REG(3, 1, 0, 0, 2, 1, R | VOLATILE, CCIDX, 0, 0), /* CCSIDR2 */
	REG(3, 1, 0, 0, 7, 1, R | VOLATILE, ALWAYS, 0, 0), /* AIDR */
	REG(3, 2, 0, 0, 0, 1, RW, ALWAYS, ALL, 0), /* CSSELR */
	REG(3, 3, 0, 0, 1, 1, R | VOLATILE, ALWAYS, 0, 0), /* CTR_EL0 */
	REG(3, 3, 0, 0, 7, 1, R | VOLATILE, ALWAYS, 0, 0), /* DCZID_EL0 */

	/* Control of EL1. In SCTLR bits for EL0 alone: UMA, DZE, UCT, nTWI, nTWE, UCI. CPACR is
	   needed as it is to reach FPCR: world_switch_el1 looks at it. */
	REG(3, 0, 1, 0, 0, 1, RW, ALWAYS, 0x0405c200, 0), /* SCTLR */
	REG(3, 0, 1, 0, 1, 1, RW, ALWAYS, ALL, 0), /* ACTLR */
	REG(3, 0, 1, 0, 2, 1, RW | KEEP, ALWAYS, 0, 0), /* CPACR */
	REG(3, 0, 2, 0, 0, 1, RW, ALWAYS, ALL, 0), /* TTBR0 */
	REG(3, 0, 2, 0, 1, 1, RW, ALWAYS, ALL, 0), /* TTBR1 */
	REG(3, 0, 2, 0, 2, 1, RW, ALWAYS, ALL, 0), /* TCR */
	REG(3, 0, 10, 2, 0, 1, RW, ALWAYS, ALL, 0), /* MAIR */
	REG(3, 0, 10, 3, 0, 1, RW, ALWAYS, ALL, 0), /* AMAIR */
	REG(3, 0, 13, 0, 1, 1, RW, ALWAYS, ALL, 0), /* CONTEXTIDR */
	REG(3, 0, 13, 0, 4, 1, RW, ALWAYS, ALL, 0), /* TPIDR_EL1 */
	REG(3, 3, 13, 0, 2, 1, RW, ALWAYS, ALL, 0), /* TPIDR_EL0 */
	REG(3, 3, 13, 0, 3, 1, RW, ALWAYS, ALL, 0), /* TPIDRRO_EL0 */

	/* Exceptions. This runtime has set VBAR before it looks. */
	REG(3, 0, 4, 0, 0, 1, RW | EARLY, ALWAYS, ALL, 0), /* SPSR */
	REG(3, 0, 4, 0, 1, 1, RW | EARLY, ALWAYS, ALL, 0), /* ELR */
	REG(3, 0, 4, 1, 0, 1, RW | EARLY, ALWAYS, ALL, 0), /* SP_EL0 */
	REG(3, 0, 5, 1, 0, 1, RW, ALWAYS, ALL, 0), /* AFSR0 */
	REG(3, 0, 5, 1, 1, 1, RW, ALWAYS, ALL, 0), /* AFSR1 */
	REG(3, 0, 5, 2, 0, 1, RW | EARLY, ALWAYS, ALL, 0), /* ESR */
	REG(3, 0, 6, 0, 0, 1, RW | EARLY, ALWAYS, ALL, 0), /* FAR */
	REG(3, 0, 7, 4, 0, 1, RW, ALWAYS, ALL, 0), /* PAR */
	REG(3, 0, 12, 0, 0, 1, RW | EARLY, ALWAYS, ALL, 0), /* VBAR */
	REG(3, 0, 12, 1, 0, 1, R, ALWAYS, 0, 0), /* ISR */

	/* PSTATE, which every exit saves. Code has flags of its own, and needs its masks and SP:
	   registers_preserved looks at these. */
	REG(3, 0, 4, 2, 0, 1, RW | KEEP, ALWAYS, 0, 0), /* SPSel */
	REG(3, 0, 4, 2, 2, 1, R, ALWAYS, 0, 0), /* CurrentEL */
	REG(3, 0, 4, 2, 3, 1, RW, PAN, ALL, 0), /* PAN */
	REG(3, 0, 4, 2, 4, 1, RW, UAO, ALL, 0), /* UAO */
	REG(3, 3, 4, 2, 0, 1, RW | KEEP | VOLATILE, ALWAYS, 0, 0), /* NZCV */
	REG(3, 3, 4, 2, 1, 1, RW | KEEP, ALWAYS, 0, 0), /* DAIF */
	REG(3, 3, 4, 2, 5, 1, RW, DIT, ALL, 0), /* DIT */
	REG(3, 3, 4, 4, 0, 1, RW, ALWAYS, ALL, 0), /* FPCR */
	REG(3, 3, 4, 4, 1, 1, RW, ALWAYS, ALL, 0), /* FPSR */

	/* The interrupt controller's CPU interface. Reads of IAR and writes of EOIR, DIR and SGIR act;
	   nothing is pending here. AP0R1 to AP1R3 exist with more than five bits of priority. */
	REG(3, 0, 4, 6, 0, 3, RW, GIC, ALL, 0), /* ICC_PMR */
	REG(3, 0, 12, 8, 0, 3, R, GIC, 0, 0), /* ICC_IAR0 */
	REG(3, 0, 12, 8, 1, 3, W | KEEP, GIC, 0, 0), /* ICC_EOIR0 */
	REG(3, 0, 12, 8, 2, 3, R, GIC, 0, 0), /* ICC_HPPIR0 */
	REG(3, 0, 12, 8, 3, 3, RW, GIC, 4,
	    0), /* ICC_BPR0: less than the least is taken by QEMU, and lost */
	REG(3, 0, 12, 8, 4, 3, RW, GIC, ALL, 0), /* ICC_AP0R0 */
	REG(3, 0, 12, 9, 0, 3, RW, GIC, ALL, 0), /* ICC_AP1R0 */
	REG(3, 0, 12, 11, 1, 3, W | KEEP, GIC, 0, 0), /* ICC_DIR */
	REG(3, 0, 12, 11, 3, 3, R, GIC, 0, 0), /* ICC_RPR */
	REG(3, 0, 12, 11, 5, 3, W | KEEP, GIC, 0, 0), /* ICC_SGI1R */
	REG(3, 0, 12, 11, 6, 3, W | KEEP, GIC, 0, 0), /* ICC_ASGI1R */
	REG(3, 0, 12, 11, 7, 3, W | KEEP, GIC, 0, 0), /* ICC_SGI0R */
	REG(3, 0, 12, 12, 0, 3, R, GIC, 0, 0), /* ICC_IAR1 */
	REG(3, 0, 12, 12, 1, 3, W | KEEP, GIC, 0, 0), /* ICC_EOIR1 */
	REG(3, 0, 12, 12, 2, 3, R, GIC, 0, 0), /* ICC_HPPIR1 */
	REG(3, 0, 12, 12, 3, 3, RW, GIC, 4, 0), /* ICC_BPR1: the same */
	REG(3, 0, 12, 12, 4, 3, RW, GIC, 3, 0), /* ICC_CTLR: EOImode, CBPR */
	REG(3, 0, 12, 12, 5, 3, RW | KEEP, GIC, 0, 0), /* ICC_SRE */
	REG(3, 0, 12, 12, 6, 3, RW, GIC, ALL, 0), /* ICC_IGRPEN0 */
	REG(3, 0, 12, 12, 7, 3, RW, GIC, ALL, 0), /* ICC_IGRPEN1 */

	/* The timers. Only IMASK of a CTL is changed, so that none fires; TVAL is a view of CVAL. */
	REG(3, 0, 14, 1, 0, 4, RW, ALWAYS, ALL, 0), /* CNTKCTL */
	REG(3, 3, 14, 0, 0, 1, R, ALWAYS, 0, 0), /* CNTFRQ_EL0 */
	REG(3, 3, 14, 0, 1, 4, R | VOLATILE, ALWAYS, 0, 0), /* CNTPCT_EL0 */
	REG(3, 3, 14, 0, 2, 1, R | VOLATILE, ALWAYS, 0, 0), /* CNTVCT_EL0 */
	REG(3, 3, 14, 2, 0, 4, RW | KEEP | VOLATILE, ALWAYS, 0, 0), /* CNTP_TVAL_EL0 */
	REG(3, 3, 14, 2, 1, 4, RW, ALWAYS, 2, 0), /* CNTP_CTL_EL0 */
	REG(3, 3, 14, 2, 2, 4, RW, ALWAYS, ALL, 0), /* CNTP_CVAL_EL0 */
	REG(3, 3, 14, 3, 0, 4, RW | KEEP | VOLATILE, ALWAYS, 0, 0), /* CNTV_TVAL_EL0 */
	REG(3, 3, 14, 3, 1, 4, RW, ALWAYS, 2, 0), /* CNTV_CTL_EL0 */
	REG(3, 3, 14, 3, 2, 4, RW, ALWAYS, ALL, 0), /* CNTV_CVAL_EL0 */

	/* Debug. The mask D of PSTATE keeps what is enabled here from happening. QEMU lacks OSDTRRX,
	   OSDTRTX, OSECCR, DBGCLAIMSET and DBGCLAIMCLR (7.2), DBGPRCR and DBGAUTHSTATUS (10 too). */
	REG(2, 0, 0, 0, 2, 1, RW | MAY, ALWAYS, ALL, 0), /* OSDTRRX */
	REG(2, 0, 0, 2, 0, 1, RW, ALWAYS, ALL, 0), /* MDCCINT */
	REG(2, 0, 0, 2, 2, 1, RW, ALWAYS, ALL, 0), /* MDSCR */
	REG(2, 0, 0, 3, 2, 1, RW | MAY, ALWAYS, ALL, 0), /* OSDTRTX */
	REG(2, 0, 0, 6, 2, 1, RW | MAY, ALWAYS, ALL, 0), /* OSECCR */
	{2, 0, 0, 0, 4, 1, 4, 1, RW, ALWAYS, ALL, 0}, /* DBGBVR0..1 */
	{2, 0, 0, 0, 5, 1, 5, 1, RW, ALWAYS, ALL, 0}, /* DBGBCR0..1 */
	{2, 0, 0, 0, 6, 1, 6, 1, RW, ALWAYS, ALL, 0}, /* DBGWVR0..1 */
	{2, 0, 0, 0, 7, 1, 7, 1, RW, ALWAYS, ALL, 0}, /* DBGWCR0..1 */
	REG(2, 0, 1, 0, 0, 1, R, ALWAYS, 0, 0), /* MDRAR */
	REG(2, 0, 1, 0, 4, 1, W, ALWAYS, ALL, 0), /* OSLAR */
	REG(2, 0, 1, 1, 4, 1, R, ALWAYS, 0, 0), /* OSLSR */
	REG(2, 0, 1, 3, 4, 1, RW, ALWAYS, ALL, 0), /* OSDLR */
	REG(2, 0, 1, 4, 4, 1, RW | MAY, ALWAYS, ALL, 0), /* DBGPRCR */
	REG(2, 0, 7, 8, 6, 1, RW | MAY, ALWAYS, ALL, 0), /* DBGCLAIMSET */
	REG(2, 0, 7, 9, 6, 1, RW | MAY, ALWAYS, ALL, 0), /* DBGCLAIMCLR */
	REG(2, 0, 7, 14, 6, 1, R | MAY, ALWAYS, 0, 0), /* DBGAUTHSTATUS */
	REG(2, 3, 0, 1, 0, 1, R | MAY, ALWAYS, 0, 0), /* MDCCSR_EL0 */
	REG(2, 3, 0, 4, 0, 1, RW | MAY, ALWAYS, ALL, 0), /* DBGDTR_EL0 */
	REG(2, 3, 0, 5, 0, 1, RW | MAY, ALWAYS, ALL, 0), /* DBGDTRRX_EL0, DBGDTRTX_EL0 */
	/* The CPU may have more breakpoints than the two that are announced: EL2 traps them all. */
	{2, 0, 0, 2, 4, 15, 4, 1, RW | MAY, ALWAYS, ALL, 0},
	{2, 0, 0, 2, 5, 15, 5, 1, RW | MAY, ALWAYS, ALL, 0},
	{2, 0, 0, 2, 6, 15, 6, 1, RW | MAY, ALWAYS, ALL, 0},
	{2, 0, 0, 2, 7, 15, 7, 1, RW | MAY, ALWAYS, ALL, 0},

	/* The CPU's own, constants on QEMU, which HCR_EL2.TIDCP traps there from 8.1 on. */
	{3, 0, 15, 0, 0, 15, 7, 1, RW | MAY, ALWAYS, ALL, 0},
	{3, 1, 11, 0, 0, 15, 7, 1, RW | MAY, ALWAYS, ALL, 0},
	{3, 1, 15, 0, 0, 15, 7, 1, RW | MAY, ALWAYS, ALL, 0},
	REG(3, 1, 15, 3, 0, 1, R | MAY, ALWAYS, 0, 0), /* CBAR */
	/* Hidden, but EL2 has no trap for it: state is switched, or there is none. */
	REG(3, 0, 12, 1, 1, 1, RW | MAY, RAS, ALL, 0), /* DISR: it is VDISR_EL2 */
	/* Where FEAT_FGT is missing, as with SME on QEMU 7.2 alone. */
	REG(3, 3, 13, 0, 5, 1, RW | MAY, SME, ALL, 0), /* TPIDR2_EL0 */
	REG(3, 0, 1, 2, 4, 1, RW | MAY, SME, ALL, 0), /* SMPRI: a constant there */
	REG(3, 3, 4, 2, 6, 1, RW | MAY, SSBS, ALL, 0), /* SSBS: on QEMU where the field is 1, too */
	REG(3, 3, 4, 2, 7, 1, RW | MAY, MTE, ALL, 0), /* TCO, a bit of PSTATE */
	REG(3, 0, 4, 3, 0, 1, RW | MAY, NMI, ALL, 0), /* ALLINT, a bit of PSTATE */
	REG(3, 0, 12, 9, 5, 1, R | MAY, NMI, 0, 0), /* ICC_NMIAR1: there are none */
	REG(3, 3, 14, 0, 5, 1, R | MAY | VOLATILE, ECV, 0, 0), /* CNTPCTSS_EL0 */
	REG(3, 3, 14, 0, 6, 1, R | MAY | VOLATILE, ECV, 0, 0), /* CNTVCTSS_EL0 */
	REG(3, 3, 2, 4, 0, 1, R | MAY | VOLATILE, RNDR, 0, 0), /* RNDR */
	REG(3, 3, 2, 4, 1, 1, R | MAY | VOLATILE, RNDR, 0, 0), /* RNDRRS */
};

#endif
