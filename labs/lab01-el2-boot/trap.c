// SPDX-License-Identifier: MIT
/*
 * From an exit to the function that handles it, and from that function's verdict back to the guest.
 *
 * The dispatch tables are built once from the registries and are total: an exception class that no
 * layer claims is reflected into the guest, so nothing that a guest can do is "impossible" here.
 * The vectors have saved the guest's frame; interrupts stay masked for as long as EL2 runs.
 *
 * Manual: Arm ARM (DDI 0487), "ESR_EL2, Exception Syndrome Register (EL2)".
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"
#include "lookup.h"
#include "mailbox.h"

#define EC_COUNT 64

static trap_handler_fn *trap_table[EC_COUNT];
static struct lookup hypercalls;
static struct lookup sysregs;

static enum trap_result trap_unclaimed(struct vcpu *vcpu, u64 esr)
{
	return TRAP_REFLECT;
}

void trap_dispatch_init(void)
{
	for (unsigned ec = 0; ec < EC_COUNT; ec++)
		trap_table[ec] = trap_unclaimed;
	lookup_init(&hypercalls);
	lookup_init(&sysregs);
	for (const struct trap_entry *e = registry_traps; e < registry_traps_end; e++)
		trap_table[e->ec] = e->handler;
	for (const struct hypercall_entry *e = registry_hypercalls; e < registry_hypercalls_end;
	     e++)
		lookup_add(&hypercalls, e->function_id, (void (*)(void))e->handler);
	for (const struct hypercall_entry *e = registry_hypercall_fallbacks;
	     e < registry_hypercall_fallbacks_end; e++) {
		if (!hypercall_is_registered(e->function_id))
			lookup_add(&hypercalls, e->function_id, (void (*)(void))e->handler);
	}
	for (const struct sysreg_entry *e = registry_sysregs; e < registry_sysregs_end; e++)
		lookup_add(&sysregs, e->encoding, (void (*)(void))e->handler);
}

/**
 * trap_condition_passed() - whether a trapped A32 or T32 instruction would have executed
 *
 * AArch32 instructions trap whether or not their condition holds; one that does not hold is a NOP.
 * The syndrome carries the condition (ESR bits [23:20], COND, with CV, bit 24, set) or, for T32 in
 * an IT block with CV clear, the saved PSTATE does ("ISS encoding for exceptions with the COND
 * field"). PSTATE.IT lies in two pieces: IT[7:2] in bits [15:10], IT[1:0] in bits [26:25]
 * ("SPSR_EL2, Saved Program Status Register"); IT[7:4] is the condition of the instruction, and IT
 * = 0 means that it stands in no block: always. N, Z, C and V are bits 31 to 28. "Condition code"
 * lists the sixteen conditions; both 0b1110 and 0b1111 hold always.
 */
EXERCISE(1.5)
bool trap_condition_passed(const struct vcpu *vcpu, u64 esr)
{
	TODO(1.5);
}

/**
 * trap_skip_instruction() - let the guest go on behind the instruction that trapped
 *
 * Its length is in ESR.IL: 4 bytes, or 2 for a 16-bit T32 instruction. What executing it would
 * have done to PSTATE is done: a T32 IT block moves on, BTYPE (A64 alone) becomes 0, and the
 * software step bit SS is consumed. An IT block moves on so: when IT[2:0] is 0 this was its last
 * instruction, and all of IT becomes 0; else IT[4:0] shifts left by one and IT[7:5] stays
 * (pseudocode ITAdvance()). Where the pieces of IT lie: trap_condition_passed().
 */
EXERCISE(1.5)
void trap_skip_instruction(struct vcpu *vcpu, u64 esr)
{
	TODO(1.5);
}

/* What the guest sees when nobody emulates its access: the exception of hardware without it. */
static void trap_reflect(struct vcpu *vcpu, u64 esr)
{
	unsigned ec = bits_get(esr, 31, ESR_EC_SHIFT);

	if (ec == ESR_EC_DABT_LOW || ec == ESR_EC_IABT_LOW)
		inject_abort(vcpu, esr, vcpu->exit.far);
	else if (!trap_condition_passed(vcpu, esr))
		trap_skip_instruction(vcpu, esr);
	else
		inject_undefined(vcpu, esr);
}

/* Not a RESUME: finds vCPU and syndrome again, so that the common case keeps neither. */
static __attribute__((noinline)) void trap_finish(enum trap_result result)
{
	struct vcpu *vcpu = this_cpu()->vcpu;
	u64 esr = vcpu->exit.esr;

	switch (result) {
	case TRAP_SKIP_INSN:
		trap_skip_instruction(vcpu, esr);
		break;
	case TRAP_REFLECT:
		trap_reflect(vcpu, esr);
		break;
	case TRAP_STOP_VM:
	case TRAP_RESUME:
		break;
	}
}

/**
 * trap_dispatch() - handle a synchronous exit
 *
 * Record ESR_EL2 in vcpu->exit.esr, call the handler that trap_table has for its exception class,
 * and do what the handler's result says: TRAP_RESUME goes back as is (the common case: keep it
 * short), everything else is trap_finish()'s.
 */
EXERCISE(1.5)
void trap_dispatch(struct vcpu *vcpu, u64 esr)
{
	TODO(1.5);
}

void trap_irq(struct vcpu *vcpu)
{
	cpu_handle_irq(this_cpu());
}

void trap_serror(struct vcpu *vcpu, u64 esr)
{
	struct cpu *cpu = this_cpu();
	struct vm *vm = cpu->serror_vm ? cpu->serror_vm : vcpu->vm;

	cpu->serror_vm = NULL;
	vm_stop(vm, VM_STOPPED, "SError, ESR_EL2=0x%lx", esr);
}

/**
 * hypercall_dispatch() - serve the SMCCC call in the guest's registers
 *
 * The function identifier is W0; arguments are X1 and up, results go to X0..X3, everything else is
 * preserved (DEN 0028, "SMC and HVC argument passing"). A function that is not in the table
 * hypercalls returns SMCCC_NOT_SUPPORTED in X0. The result is the function's, or TRAP_RESUME.
 */
EXERCISE(1.6)
static enum trap_result hypercall_dispatch(struct vcpu *vcpu)
{
	TODO(1.6);
}

/** trap_hvc() - HVC from EL1: the saved PC is already behind the instruction */
EXERCISE(1.6)
enum trap_result trap_hvc(struct vcpu *vcpu, u64 esr)
{
	TODO(1.6);
}

/**
 * trap_smc() - SMC from EL1, trapped by HCR_EL2.TSC: the same calls, served here and never by the
 * firmware, which would power the real machine off
 *
 * A trapped SMC leaves the saved PC at the instruction itself ("ISS encoding for an exception from
 * SMC instruction execution in AArch64 state").
 */
EXERCISE(1.6)
enum trap_result trap_smc(struct vcpu *vcpu, u64 esr)
{
	TODO(1.6);
}

/* A handler in the table sysregs emulates it; without one sysreg_fallback() decides. */
enum trap_result sysreg_emulate(struct vcpu *vcpu, struct sysreg_access *access)
{
	sysreg_handler_fn *emulate = (sysreg_handler_fn *)lookup_find(&sysregs, access->encoding);

	return emulate ? emulate(vcpu, access) : sysreg_fallback(vcpu, access);
}

/**
 * trap_sysreg() - MSR, MRS or a system instruction that EL2 traps
 *
 * Decode register (SYSREG_ENCODING_MASK), direction (bit 0: 1 is a read) and Rt (bits [9:5], 31 is
 * XZR) from the ISS; sysreg_emulate() does what there is to do. A write hands it the value of Rt in
 * struct sysreg_access; a read puts the value into Rt, but only if the result is TRAP_SKIP_INSN.
 */
EXERCISE(1.5)
enum trap_result trap_sysreg(struct vcpu *vcpu, u64 esr)
{
	TODO(1.5);
}

bool hypercall_is_registered(u32 function_id)
{
	return lookup_find(&hypercalls, function_id);
}
