/* SPDX-License-Identifier: MIT */
/*
 * System registers: access helpers and the fields that Strata uses, spelled as in the Arm ARM
 * (DDI 0487, "AArch64 System register descriptions"). Field macros are plain numbers, so that
 * assembly reads them too.
 */
#ifndef STRATA_SYSREG_H
#define STRATA_SYSREG_H

#ifdef __ASSEMBLER__
#define SR_BIT(n) (1 << (n))
#else
#define SR_BIT(n) (1UL << (n))
#endif

/* HCR_EL2 */
#define HCR_EL2_VM SR_BIT(0)
#define HCR_EL2_FMO SR_BIT(3)
#define HCR_EL2_IMO SR_BIT(4)
#define HCR_EL2_AMO SR_BIT(5)
#define HCR_EL2_FB SR_BIT(9)
#define HCR_EL2_BSU_IS SR_BIT(10)
#define HCR_EL2_TWI SR_BIT(13)
#define HCR_EL2_TID1 SR_BIT(16)
#define HCR_EL2_TID3 SR_BIT(18)
#define HCR_EL2_TSC SR_BIT(19)
#define HCR_EL2_TIDCP SR_BIT(20)
#define HCR_EL2_TACR SR_BIT(21)
#define HCR_EL2_TSW SR_BIT(22)
#define HCR_EL2_RW SR_BIT(31)
#define HCR_EL2_TLOR SR_BIT(35)
#define HCR_EL2_TERR SR_BIT(36)
#define HCR_EL2_FWB SR_BIT(46)
#define HCR_EL2_TID5 SR_BIT(58)

/* ESR_ELx */
#define ESR_EC_SHIFT 26
#define ESR_IL SR_BIT(25) /* the instruction has 32 bits */
#define ESR_CV SR_BIT(24) /* of an AArch32 instruction: bits [23:20] are its condition */
#define ESR_EC_UNKNOWN 0x00
#define ESR_EC_WFX 0x01
#define ESR_EC_CP15_32 0x03
#define ESR_EC_CP15_64 0x04
#define ESR_EC_CP14_32 0x05
#define ESR_EC_FP 0x07
#define ESR_EC_CP14_64 0x0c
#define ESR_EC_ILLEGAL 0x0e
#define ESR_EC_SVC64 0x15
#define ESR_EC_HVC64 0x16
#define ESR_EC_SMC64 0x17
#define ESR_EC_SYSREG 0x18
#define ESR_EC_SVE 0x19
#define ESR_EC_IABT_LOW 0x20
#define ESR_EC_IABT_CUR 0x21
#define ESR_EC_PC_ALIGN 0x22
#define ESR_EC_DABT_LOW 0x24
#define ESR_EC_DABT_CUR 0x25
#define ESR_EC_SP_ALIGN 0x26
#define ESR_EC_FP_EXCEPTION 0x2c
#define ESR_EC_SERROR 0x2f
#define ESR_EC_BREAKPOINT_LOW 0x30
#define ESR_EC_BREAKPOINT_CUR 0x31
#define ESR_EC_STEP_CUR 0x33
#define ESR_EC_WATCHPOINT_CUR 0x35
#define ESR_EC_BRK64 0x3c
#define ESR_WFX_TI_MASK 3
#define ESR_WFX_TI_WFI 0
#define ESR_DABT_ISV SR_BIT(24) /* SSE and SF are valid, with the size and the register */
#define ESR_DABT_SSE SR_BIT(21)
#define ESR_DABT_SF SR_BIT(15)
#define ESR_DABT_WNR SR_BIT(6)
#define ESR_ABORT_S1PTW SR_BIT(7) /* on the guest's own page-table walk */
#define ESR_ABORT_CM SR_BIT(8) /* a cache maintenance or address translation instruction */
#define ESR_FSC_TYPE 0x3c /* of the status code, without the level */
#define ESR_FSC_ADDRESS_SIZE 0x00
#define ESR_FSC_TRANSLATION 0x04
#define ESR_FSC_ACCESS_FLAG 0x08
#define ESR_FSC_PERMISSION 0x0c
#define ESR_FSC_EXTERNAL 0x10
#define ESR_FSC_EXTERNAL_WALK 0x14 /* and the level; -1 is 0x13 */
#define ESR_FSC_ALIGNMENT 0x21

/* HPFAR_EL2, PAR_EL1 */
#define HPFAR_EL2_FIPA_MASK (~15UL) /* bits from 4 on are those from 12 on of the address */
#define PAR_EL1_F SR_BIT(0)

/* TCR_EL2 with HCR_EL2.E2H = 0, VTCR_EL2, VTTBR_EL2 */
#define TCR_EL2_RES1 (SR_BIT(31) | SR_BIT(23))
#define TCR_EL2_PS_SHIFT 16
#define TCR_EL2_SH0_INNER (3 << 12)
#define TCR_EL2_ORGN0_WBWA (1 << 10)
#define TCR_EL2_IRGN0_WBWA (1 << 8)
#define VTCR_EL2_RES1 SR_BIT(31)
#define VTCR_EL2_VS SR_BIT(19)
#define VTCR_EL2_PS_SHIFT 16
#define VTCR_EL2_SH0_INNER (3 << 12)
#define VTCR_EL2_ORGN0_WBWA (1 << 10)
#define VTCR_EL2_IRGN0_WBWA (1 << 8)
#define VTCR_EL2_SL0_SHIFT 6
#define VTTBR_EL2_VMID_SHIFT 48

/* CurrentEL, MPIDR_EL1, ID_AA64MMFR1_EL1 */
#define CURRENTEL_EL2 SR_BIT(3)
#define ID_AA64MMFR1_VMIDBITS_16 2
#define MPIDR_EL1_AFFINITY 0xff00ffffff /* Aff3 [39:32], Aff2.Aff1.Aff0 [23:0] */

/* SPSR_ELx, PSTATE */
#define SPSR_EL0T 0x0
#define SPSR_EL1T 0x4
#define SPSR_EL1H 0x5
#define SPSR_M_MASK 0xf
#define SPSR_AARCH32 SR_BIT(4)
#define SPSR_E SR_BIT(9) /* of AArch32 */
#define SPSR_DAIF 0x3c0
#define SPSR_SSBS SR_BIT(12)
#define SPSR_BTYPE 0xc00
#define SPSR_SS SR_BIT(21)
#define SPSR_PAN SR_BIT(22)
#define SPSR_DIT SR_BIT(24)
#define SPSR_V SR_BIT(28)
#define SPSR_C SR_BIT(29)
#define SPSR_Z SR_BIT(30)
#define SPSR_N SR_BIT(31)
#define SPSR_NZCV (SPSR_N | SPSR_Z | SPSR_C | SPSR_V)

/* SCTLR_EL1, SCTLR_EL2 */
#define SCTLR_M SR_BIT(0)
#define SCTLR_C SR_BIT(2)
#define SCTLR_SA SR_BIT(3)
#define SCTLR_I SR_BIT(12)
#define SCTLR_WXN SR_BIT(19)
#define SCTLR_SPAN SR_BIT(23)
#define SCTLR_E0E SR_BIT(24)
#define SCTLR_EE SR_BIT(25)
#define SCTLR_DSSBS SR_BIT(44)
#define SCTLR_EL2_RES1 0x30c50830
#define SCTLR_EL1_RES1 0x30d00800 /* with nTWE, nTWI off: RES1 bits of ARMv8.0 */

/* CPTR_EL2 with HCR_EL2.E2H = 0 */
#define CPTR_EL2_RES1 0x32ff
#define CPTR_EL2_TZ SR_BIT(8)
#define CPTR_EL2_TFP SR_BIT(10)
#define CPTR_EL2_TSM SR_BIT(12)
#define CPTR_EL2_TTA SR_BIT(20)
#define CPTR_EL2_TAM SR_BIT(30)

/* MDCR_EL2 */
#define MDCR_EL2_TPMCR SR_BIT(5)
#define MDCR_EL2_TPM SR_BIT(6)
#define MDCR_EL2_TDA SR_BIT(9)
#define MDCR_EL2_TDOSA SR_BIT(10)
#define MDCR_EL2_TDRA SR_BIT(11)
#define MDCR_EL2_TPMS SR_BIT(14)
#define MDCR_EL2_TTRF SR_BIT(19)

/* MDSCR_EL1 */
#define MDSCR_EL1_SS SR_BIT(0)
#define MDSCR_EL1_TDCC SR_BIT(12)
#define MDSCR_EL1_KDE SR_BIT(13)
#define MDSCR_EL1_MDE SR_BIT(15)

/* DISR_EL1, ISR_EL1 */
#define DISR_EL1_A SR_BIT(31)
#define ISR_EL1_A SR_BIT(8)

/* OSLSR_EL1 */
#define OSLSR_EL1_OSLK SR_BIT(1) /* the OS lock is locked */
#define OSLSR_EL1_OSLM SR_BIT(3) /* there is one */

/* MPAM2_EL2, MPAMHCR_EL2, MPAMIDR_EL1 */
#define MPAM2_EL2_TRAPMPAM1EL1 SR_BIT(48)
#define MPAM2_EL2_TRAPMPAM0EL1 SR_BIT(49)
#define MPAM2_EL2_TIDR SR_BIT(58)
#define MPAMHCR_EL2_TRAP_MPAMIDR_EL1 SR_BIT(31)
#define MPAMIDR_EL1_HAS_HCR SR_BIT(17)
#define MPAMIDR_EL1_HAS_TIDR SR_BIT(58)

/* CNTHCTL_EL2 with HCR_EL2.E2H = 0 */
#define CNTHCTL_EL2_EL1PCTEN SR_BIT(0)
#define CNTHCTL_EL2_EL1PCEN SR_BIT(1)

/* CNTx_CTL */
#define CNT_CTL_ENABLE SR_BIT(0)
#define CNT_CTL_IMASK SR_BIT(1)
#define CNT_CTL_ISTATUS SR_BIT(2)

#ifndef __ASSEMBLER__

#include "lib/bits.h"
#include "lib/types.h"

/** esr_ec() - the exception class of a syndrome; newer CPUs have more above it (ISS2) */
static inline unsigned esr_ec(u64 esr)
{
	return (u32)esr >> ESR_EC_SHIFT;
}

/*
 * The position of a system register in the ISS of a trapped MSR/MRS, with Rt and direction zero
 * (Arm ARM, "ISS encoding for an exception from MSR, MRS, or System instruction execution").
 */
#define SYSREG_ENCODING(op0, op1, crn, crm, op2)                                                   \
	((u32)(op0) << 20 | (u32)(op2) << 17 | (u32)(op1) << 14 | (u32)(crn) << 10 |               \
	 (u32)(crm) << 1)
#define SYSREG_ENCODING_MASK 0x3ffc1e

/** sysreg_op0(), ... - the fields of SYSREG_ENCODING() */
static inline unsigned sysreg_op0(u32 encoding)
{
	return bits_get(encoding, 21, 20);
}

static inline unsigned sysreg_op1(u32 encoding)
{
	return bits_get(encoding, 16, 14);
}

static inline unsigned sysreg_crn(u32 encoding)
{
	return bits_get(encoding, 13, 10);
}

static inline unsigned sysreg_crm(u32 encoding)
{
	return bits_get(encoding, 4, 1);
}

static inline unsigned sysreg_op2(u32 encoding)
{
	return bits_get(encoding, 19, 17);
}

#ifdef __aarch64__

/** read_sysreg() - MRS of the register named without quotes */
#define read_sysreg(name)                                                                          \
	({                                                                                         \
		u64 value_;                                                                        \
		asm volatile("mrs %0, " #name : "=r"(value_)::"memory");                           \
		value_;                                                                            \
	})

/** write_sysreg() - MSR; the caller adds the ISB that its effect needs */
#define write_sysreg(name, value) asm volatile("msr " #name ", %x0" ::"rZ"((u64)(value)) : "memory")

/** isb() - what was written to system registers is in effect for what follows */
static inline void isb(void)
{
	asm volatile("isb" ::: "memory");
}

/**
 * dmb_ish() - earlier accesses to memory come before later ones, for all CPUs
 *
 * A store before a load, too, which no acquire and no release orders.
 */
static inline void dmb_ish(void)
{
	asm volatile("dmb ish" ::: "memory");
}

/** dsb_ish() - earlier accesses and TLB maintenance are complete in the inner shareable domain */
static inline void dsb_ish(void)
{
	asm volatile("dsb ish" ::: "memory");
}

/** dsb_nsh() - earlier accesses, table walks and local TLB maintenance are complete on this CPU */
static inline void dsb_nsh(void)
{
	asm volatile("dsb nsh" ::: "memory");
}

/** dsb_ishst() - earlier stores (to a translation table) are visible to every walker */
static inline void dsb_ishst(void)
{
	asm volatile("dsb ishst" ::: "memory");
}

/** dsb_sy() - earlier accesses, to devices too, are complete */
static inline void dsb_sy(void)
{
	asm volatile("dsb sy" ::: "memory");
}

/**
 * esb() - SErrors that earlier accesses caused have been taken, or deferred to DISR_EL1 (FEAT_RAS)
 *
 * A NOP without FEAT_RAS. Not every assembler knows the instruction's name without being asked.
 */
static inline void esb(void)
{
	asm volatile("hint #16" ::: "memory");
}

/** gic_version() - 3, or 2: without GIC system registers (ID_AA64PFR0_EL1.GIC) it is a GICv2 */
static inline unsigned gic_version(void)
{
	return read_sysreg(id_aa64pfr0_el1) >> 24 & 0xf ? 3 : 2;
}

/** counter_read() - the physical count; the ISB keeps it from being read early ("CNTPCT_EL0") */
static inline u64 counter_read(void)
{
	isb();
	return read_sysreg(cntpct_el0);
}

/** counter_frequency() - ticks of the physical count in a second */
static inline u64 counter_frequency(void)
{
	return read_sysreg(cntfrq_el0);
}

/** cpu_relax() - between two looks at what another CPU is to change */
static inline void cpu_relax(void)
{
	asm volatile("yield" ::: "memory");
}

/**
 * wait_for_interrupt() - sleep until one is pending at this CPU, masked or not
 *
 * The DSB completes what was written before (Arm ARM, "Wait For Interrupt").
 */
static inline void wait_for_interrupt(void)
{
	dsb_sy();
	asm volatile("wfi" ::: "memory");
}

/** mmio_read32(), mmio_write32(), ... - one access to a device register, in program order */
static inline u32 mmio_read32(u64 address)
{
	u32 value;

	asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write32(u64 address, u32 value)
{
	asm volatile("str %w0, [%1]" ::"rZ"(value), "r"(address) : "memory");
}

static inline u64 mmio_read64(u64 address)
{
	u64 value;

	asm volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write64(u64 address, u64 value)
{
	asm volatile("str %x0, [%1]" ::"rZ"(value), "r"(address) : "memory");
}

static inline u32 mmio_read8(u64 address)
{
	u32 value;

	asm volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write8(u64 address, u8 value)
{
	asm volatile("strb %w0, [%1]" ::"rZ"((u32)value), "r"(address) : "memory");
}

#else
/* Supplied by a host test. */
u64 counter_read(void);
u64 counter_frequency(void);
void wait_for_interrupt(void);
void cpu_relax(void);
void dmb_ish(void);
void dsb_ish(void);
void isb(void);
#endif /* __aarch64__ */
#endif /* __ASSEMBLER__ */
#endif
