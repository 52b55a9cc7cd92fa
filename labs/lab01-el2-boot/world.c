// SPDX-License-Identifier: MIT
/*
 * The world switch as two plain lists: every EL1 and EL0 register that a guest can change and that
 * no trap guards. A register missing here is a channel between VMs.
 *
 * Two groups of registers that EL1 writes without a trap are not in the lists: those of the CPU
 * interface to the interrupt controller (ICC_*: layer 3, vgic_world.c) and of the timer
 * (CNTKCTL_EL1, CNTV_*: layer 4, vtimer.c). A layer switches what it brings to life; an image
 * without layer 3 or 4 leaves these registers to the next VM. Registers that only some CPUs have
 * stand apart (struct el1_optional).
 *
 * world_load() begins with a DSB: a table walk that the old guest has begun may still be under way,
 * and must not end with half of the new guest's registers (Arm ARM, "Out-of-context translation
 * regimes"). The accesses themselves need no barrier: the ERET into the guest is a context
 * synchronization event, and EL2 uses none of these registers (Arm ARM, "Synchronization
 * requirements for AArch64 System registers").
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"

/* Two registers at a time, since the compiler then makes one STP or LDP of both. */
#define SAVE_PAIR(member_a, register_a, member_b, register_b)                                      \
	do {                                                                                       \
		u64 a_ = read_sysreg(register_a), b_ = read_sysreg(register_b);                    \
		state->member_a = a_;                                                              \
		state->member_b = b_;                                                              \
	} while (0)
#define LOAD_PAIR(member_a, register_a, member_b, register_b)                                      \
	do {                                                                                       \
		u64 a_ = state->member_a, b_ = state->member_b;                                    \
		write_sysreg(register_a, a_);                                                      \
		write_sysreg(register_b, b_);                                                      \
	} while (0)

/**
 * Exercise 1.8: world_save_el1() - copy the EL1 and EL0 registers of the old guest into @state
 *
 * All members of struct el1_state but mdscr: a guest's write traps, and so it is there already.
 */
EXERCISE(1.8)
void world_save_el1(struct el1_state *state)
{
	TODO(1.8);
}

/** Exercise 1.8: world_load_el1() - put all of @state, mdscr included, into the CPU */
EXERCISE(1.8)
void world_load_el1(const struct el1_state *state)
{
	TODO(1.8);
}

/* ---- what only some CPUs have ---- */

enum {
	HAS_RAS = 1 << 0, /* DISR_EL1, which with HCR_EL2.AMO set is VDISR_EL2 for a guest; ESB */
	HAS_TPIDR2 = 1 << 1, /* TPIDR2_EL0 without a trap for it */
};

static u32 world_optional; /* HAS_*, the same on all CPUs */

/* SME brings TPIDR2_EL0. FEAT_FGT traps it; SME needs FEAT_FGT, but QEMU 7.2 has SME without. */
void world_init(void)
{
	u64 pfr0 = read_sysreg(id_aa64pfr0_el1);
	u64 pfr1 = read_sysreg(id_aa64pfr1_el1);
	u64 mmfr0 = read_sysreg(id_aa64mmfr0_el1);

	if (bits_get(pfr0, 31, 28))
		world_optional |= HAS_RAS;
	if (bits_get(pfr1, 27, 24) && !bits_get(mmfr0, 59, 56))
		world_optional |= HAS_TPIDR2;
}

/*
 * An SError that the old guest's accesses caused, and that is still pending, would be taken when
 * the next guest is entered, and end the wrong VM. So errors that are on their way are made to
 * arrive here, where the guest to blame is still known. With RAS, ESB defers an SError to DISR_EL1
 * (Arm ARM, "Error synchronization event"). Without, DSB completes the accesses, ISR_EL1 says
 * whether an SError is pending, and cpu->serror_vm tells trap_serror() whose it is.
 */
static void world_settle_errors(struct vcpu *vcpu, u32 optional)
{
	u64 disr;

	if (optional & HAS_RAS) {
		esb();
		disr = read_sysreg(S3_0_C12_C1_1); /* DISR_EL1 */
		if (!(disr & DISR_EL1_A))
			return;
		write_sysreg(S3_0_C12_C1_1, 0);
		vm_stop(vcpu->vm, VM_STOPPED, "SError, DISR_EL1=0x%lx", disr);
		return;
	}
	dsb_sy();
	isb(); /* ISR_EL1 is read behind the DSB */
	if (read_sysreg(isr_el1) & ISR_EL1_A)
		this_cpu()->serror_vm = vcpu->vm;
}

static void world_save_optional(struct vcpu *vcpu)
{
	u32 optional = world_optional;

	if (optional & HAS_RAS)
		vcpu->el1_optional.vdisr = read_sysreg(S3_4_C12_C1_1); /* VDISR_EL2 */
	if (optional & HAS_TPIDR2)
		vcpu->el1_optional.tpidr2_el0 = read_sysreg(S3_3_C13_C0_5);
	world_settle_errors(vcpu, optional);
}

static void world_load_optional(const struct vcpu *vcpu)
{
	u32 optional = world_optional;

	if (optional & HAS_RAS)
		write_sysreg(S3_4_C12_C1_1, vcpu->el1_optional.vdisr); /* VDISR_EL2 */
	if (optional & HAS_TPIDR2)
		write_sysreg(S3_3_C13_C0_5, vcpu->el1_optional.tpidr2_el0);
}

/* ---- the hooks ---- */

void world_load(struct vcpu *vcpu)
{
	u64 hcr = vcpu->hcr, vmpidr = vcpu->vmpidr;

	dsb_nsh();
	world_load_optional(vcpu);
	write_sysreg(hcr_el2, hcr);
	write_sysreg(vmpidr_el2, vmpidr);
	if (vcpu->el1.mdscr & MDSCR_EL1_MDE)
		debug_load(vcpu);
	world_load_el1(&vcpu->el1);
}

void world_save(struct vcpu *vcpu)
{
	fp_leave(vcpu);
	world_save_optional(vcpu);
	world_save_el1(&vcpu->el1);
}

void world_reset(struct vcpu *vcpu)
{
	vcpu->el1 = (struct el1_state){.sctlr = SCTLR_EL1_RES1};
	vcpu->el1_optional = (struct el1_optional){0};
	vcpu->hcr = el2_guest_hcr();
	/* MPIDR_EL1: bit 31 is RES1, U = 0, affinity 0.0.0.index. */
	vcpu->vmpidr = 1UL << 31 | vcpu->index;
	debug_reset(vcpu);
	fp_forget(vcpu);
}
