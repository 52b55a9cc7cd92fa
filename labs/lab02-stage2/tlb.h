/* SPDX-License-Identifier: MIT */
/*
 * TLB and instruction cache maintenance. None of these functions waits: the caller adds the DSB that
 * completes the maintenance, and the ISB after which the CPU's own next instruction sees its effect
 * (Arm ARM, "TLB maintenance instructions").
 */
#ifndef STRATA_TLB_H
#define STRATA_TLB_H

#include "lib/types.h"
#include "sysreg.h"

/**
 * tlbi_ipas2e1is() - stage-2 entries that translate @ipa, for the VMID in VTTBR_EL2, on all CPUs
 */
static inline void tlbi_ipas2e1is(u64 ipa)
{
	asm volatile("tlbi ipas2e1is, %0" ::"r"(ipa >> 12) : "memory");
}

/** tlbi_vmalle1is() - stage-1 entries, and those that combine both stages, of the current VMID */
static inline void tlbi_vmalle1is(void)
{
	asm volatile("tlbi vmalle1is" ::: "memory");
}

/** tlbi_vmalle1() - the same on this CPU alone */
static inline void tlbi_vmalle1(void)
{
	asm volatile("tlbi vmalle1" ::: "memory");
}

/** tlbi_vmalls12e1is() - everything of the current VMID */
static inline void tlbi_vmalls12e1is(void)
{
	asm volatile("tlbi vmalls12e1is" ::: "memory");
}

/** tlbi_alle1() - all guests' entries, of both stages and all VMIDs, on this CPU */
static inline void tlbi_alle1(void)
{
	asm volatile("tlbi alle1" ::: "memory");
}

/** tlbi_vae2is() - EL2's entries for @va, on all CPUs */
static inline void tlbi_vae2is(u64 va)
{
	asm volatile("tlbi vae2is, %0" ::"r"(va >> 12) : "memory");
}

/** tlbi_alle2is() - all of EL2's entries, on all CPUs */
static inline void tlbi_alle2is(void)
{
	asm volatile("tlbi alle2is" ::: "memory");
}

/** tlbi_alle2() - all of EL2's entries on this CPU */
static inline void tlbi_alle2(void)
{
	asm volatile("tlbi alle2" ::: "memory");
}

/**
 * at_s1e1r() - let the CPU translate @va as a read of the loaded guest's EL1, stage 1 alone
 *
 * The result is in PAR_EL1 on return. Cortex-A55, A57, A72 and early A76 may execute an AT by
 * speculation, with the EL1 registers of that moment (errata 1530923, 1319537, 1319367, 1165522): at
 * a switch these are the tables of one guest and the VMID of another. Speculation passes no DSB and
 * ISB, and EL2 has no other AT.
 */
static inline void at_s1e1r(u64 va)
{
	asm volatile("dsb nsh\n\tisb\n\tat s1e1r, %0\n\tisb" ::"r"(va) : "memory");
}

/** ic_iallu() - this CPU's instruction cache */
static inline void ic_iallu(void)
{
	asm volatile("ic iallu" ::: "memory");
}

/** ic_ialluis() - the instruction caches of all CPUs */
static inline void ic_ialluis(void)
{
	asm volatile("ic ialluis" ::: "memory");
}

#endif
