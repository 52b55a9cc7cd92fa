// SPDX-License-Identifier: MIT
/*
 * Exceptions for the guest. EL2 does by hand what the CPU does when it takes an exception to EL1:
 * the guest's handler cannot tell the difference. The vCPU is loaded: its EL1 system registers are
 * in the hardware, its PC and PSTATE in the frame.
 *
 * A PSTATE with a bit that the CPU lacks would make the exception return illegal. So which bits the
 * new PSTATE may have is asked of the ID registers, as the guest sees them.
 *
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

/**
 * Exercise 1.7: inject_vector() - the offset of the synchronous vector that a guest in @pstate
 * takes
 *
 * From AArch32 or AArch64 at EL0, from EL1 with SP_EL0 (SPSR_EL1T) or with SP_EL1 (SPSR_EL1H).
 */
EXERCISE(1.7)
static u64 inject_vector(u64 pstate)
{
	TODO(1.7);
}

/**
 * Exercise 1.7: inject_pstate() - PSTATE with which EL1 starts its handler
 * @old: PSTATE of the interrupted guest
 * @sctlr: SCTLR_EL1
 *
 * EL1h, AArch64, D, A, I and F masked. NZCV, DIT and PAN as in @old, from AArch32 as well, whose
 * SPSR_EL2 has them at the same places. If the guest has PAN (ID_AA64MMFR1_EL1 bits [23:20] of
 * id_register_guest() are not 0), PAN is set where SCTLR_EL1.SPAN is 0. If it has SSBS
 * (ID_AA64PFR1_EL1 bits [7:4]), SSBS is SCTLR_EL1.DSSBS. Everything else is 0: IL, SS, BTYPE, UAO.
 */
EXERCISE(1.7)
static u64 inject_pstate(u64 old, u64 sctlr)
{
	TODO(1.7);
}

/**
 * Exercise 1.7: inject_exception() - make @vcpu take a synchronous exception to EL1
 * @esr: the complete value of ESR_EL1
 *
 * As AArch64.TakeException() does: ESR_EL1 is @esr, ELR_EL1 and SPSR_EL1 are the guest's PC and
 * PSTATE. The new PC is VBAR_EL1 plus inject_vector(), the new PSTATE inject_pstate()'s. FAR_EL1
 * stays.
 */
EXERCISE(1.7)
void inject_exception(struct vcpu *vcpu, u64 esr)
{
	TODO(1.7);
}

void inject_undefined(struct vcpu *vcpu, u64 esr)
{
	inject_exception(vcpu, (u64)ESR_EC_UNKNOWN << ESR_EC_SHIFT | (esr & ESR_IL));
}

/**
 * Exercise 1.7: inject_abort() - tell the guest that nothing answers at @far, the address it used
 * @esr: of the exit, whose class is ESR_EC_IABT_LOW or ESR_EC_DABT_LOW
 *
 * An exception with FAR_EL1 = @far and this syndrome. The class: as in @esr if the guest was at
 * EL0, in AArch64 or AArch32; one more (0x21, 0x25) if it was at EL1. IL is 1. DFSC or IFSC is
 * guest_abort_status()'s. WnR and CM of a data abort are handed on. The rest is 0.
 */
EXERCISE(1.7)
void inject_abort(struct vcpu *vcpu, u64 esr, u64 far)
{
	TODO(1.7);
}
