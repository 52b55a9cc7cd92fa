// SPDX-License-Identifier: MIT
/*
 * Exceptions for the guest. EL2 does by hand what the CPU does when it takes an exception to EL1:
 * the guest's handler cannot tell the difference.
 *
 * The vCPU is loaded: its EL1 system registers are in the hardware, its PC and PSTATE in the frame.
 * Manual: Arm ARM, "Exception entry" and the pseudocode function AArch64.TakeException().
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"

/* Offsets in the table at VBAR_EL1 ("Exception vectors"); synchronous entries. */
#define VECTOR_CURRENT_SP0 0x000
#define VECTOR_CURRENT_SPX 0x200
#define VECTOR_LOWER_A64 0x400
#define VECTOR_LOWER_A32 0x600

/** inject_vector() - which synchronous vector of EL1 a guest with this PSTATE takes */
EXERCISE(1.7)
static u64 inject_vector(u64 pstate)
{
	if (pstate & SPSR_AARCH32)
		return VECTOR_LOWER_A32;
	switch (pstate & SPSR_M_MASK) {
	case SPSR_EL1H:
		return VECTOR_CURRENT_SPX;
	case SPSR_EL1T:
		return VECTOR_CURRENT_SP0;
	default:
		return VECTOR_LOWER_A64;
	}
}

/**
 * inject_pstate() - PSTATE with which EL1 starts its handler
 * @old: of the interrupted guest
 * @sctlr: SCTLR_EL1
 *
 * EL1h, AArch64, DAIF masked; NZCV and DIT kept, from AArch32 as well, of which SPSR_EL2 has them
 * at the same places; PAN kept, and set if SCTLR_EL1.SPAN is 0; SSBS as SCTLR_EL1.DSSBS; IL, SS,
 * BTYPE, UAO and everything else zero. PAN and SSBS exist only if the ID registers that the guest
 * sees say so: setting a bit that the CPU lacks would make the exception
 * return illegal, so each is derived from id_register_guest().
 */
EXERCISE(1.7)
static u64 inject_pstate(u64 old, u64 sctlr)
{
	bool has_pan = bits_get(id_register_guest(ID_AA64MMFR1_EL1), 23, 20);
	bool has_ssbs = bits_get(id_register_guest(ID_AA64PFR1_EL1), 7, 4);
	u64 pstate = SPSR_EL1H | SPSR_DAIF;

	pstate |= old & (SPSR_NZCV | SPSR_PAN | SPSR_DIT);
	if (has_pan && !(sctlr & SCTLR_SPAN))
		pstate |= SPSR_PAN;
	if (has_ssbs && (sctlr & SCTLR_DSSBS))
		pstate |= SPSR_SSBS;
	return pstate;
}

EXERCISE(1.7)
void inject_exception(struct vcpu *vcpu, u64 esr)
{
	u64 old = vcpu->frame.pstate;

	write_sysreg(esr_el1, esr);
	write_sysreg(elr_el1, vcpu->frame.pc);
	write_sysreg(spsr_el1, old);
	vcpu->frame.pc = read_sysreg(vbar_el1) + inject_vector(old);
	vcpu->frame.pstate = inject_pstate(old, read_sysreg(sctlr_el1));
}

void inject_undefined(struct vcpu *vcpu, u64 esr)
{
	inject_exception(vcpu, (u64)ESR_EC_UNKNOWN << ESR_EC_SHIFT | (esr & ESR_IL));
}

/**
 * inject_abort() - tell the guest that nothing answers at the address it used
 *
 * DFSC/IFSC is guest_abort_status()'s: a synchronous external abort, on a translation table walk or
 * not. The exception class says whether it comes from EL0 (0x20, 0x24), AArch32 included, or from
 * EL1 itself (0x21, 0x25); WnR and CM of a data abort are handed on; IL is 1, the rest of the
 * syndrome 0; FAR_EL1 is @far.
 */
EXERCISE(1.7)
void inject_abort(struct vcpu *vcpu, u64 esr, u64 far)
{
	u64 ec = esr_ec(esr);
	u64 iss = guest_abort_status(vcpu, esr);
	u64 pstate = vcpu->frame.pstate;

	if (ec == ESR_EC_DABT_LOW)
		iss |= esr & (ESR_DABT_WNR | ESR_ABORT_CM);
	if (!(pstate & SPSR_AARCH32) && (pstate & SPSR_M_MASK) != SPSR_EL0T)
		ec++;
	write_sysreg(far_el1, far);
	inject_exception(vcpu, ec << ESR_EC_SHIFT | ESR_IL | iss);
}
