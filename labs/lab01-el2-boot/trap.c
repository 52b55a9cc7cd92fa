// SPDX-License-Identifier: MIT
/*
 * From an exit to the function that handles it, and from that function's verdict back to the guest.
 *
 * The dispatch tables are built once, from the registries. They are total: an exception class that
 * no layer claims is reflected into the guest, so nothing that a guest does is "impossible" here.
 * The vectors have saved the guest's frame; interrupts stay masked for as long as EL2 runs.
 *
 * AArch32 instructions trap whether their condition holds or not, hence trap_condition_passed().
 * SMCs of a guest are served here and never reach the firmware, which would power the machine off.
 *
 * Manual: Arm ARM (DDI 0487), "ESR_EL2, Exception Syndrome Register (EL2)".
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"
#include "lookup.h"

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
	/* HCR_EL2.TID3 traps these, those that no feature uses yet, too. */
	for (u32 crm = 1; crm <= 7; crm++) {
		for (u32 op2 = 0; op2 <= 7; op2++)
			lookup_add(&sysregs, SYSREG_ENCODING(3, 0, 0, crm, op2),
				   (void (*)(void))id_register);
	}
}

/**
 * Exercise 1.10: trap_condition_passed() - whether a trapped A32 or T32 instruction would have
 * executed
 *
 * A64 instructions always do. Otherwise the condition is ESR bits [23:20], COND, if CV (ESR_CV) is
 * set ("ISS encoding for exceptions with the COND field"). With CV clear it is that of a T32 IT
 * block: PSTATE.IT, whose IT[7:2] are bits [15:10] of the saved PSTATE and IT[1:0] bits [26:25]
 * ("SPSR_EL2, Saved Program Status Register"). IT = 0 is outside of a block: always. Else IT[7:4]
 * is the condition. "Condition code" lists the sixteen; 0b1110 and 0b1111 both mean always.
 */
EXERCISE(1.10)
bool trap_condition_passed(const struct vcpu *vcpu, u64 esr)
{
	NOT_YET(1.10);
	return true;
}

/**
 * Exercise 1.10: advance_it() - the PSTATE @pstate when one more AArch32 instruction is done
 *
 * An IT block moves on (pseudocode ITAdvance()): if IT[2:0] is 0 this was its last instruction and
 * all of IT becomes 0, else IT[4:0] shifts left by one and IT[7:5] stays. Where the pieces of IT
 * lie: trap_condition_passed().
 */
EXERCISE(1.10)
static u64 advance_it(u64 pstate)
{
	NOT_YET(1.10);
	return pstate;
}

/**
 * Exercise 1.5: trap_skip_instruction() - let the guest go on behind the instruction that trapped
 *
 * The PC moves by 4 bytes, or by 2 if ESR.IL is clear: a 16-bit T32 instruction. PSTATE becomes
 * what the instruction would have left: SS (software step) is 0; in A64 BTYPE is 0; in AArch32
 * (SPSR_AARCH32) advance_it() moves an IT block on.
 */
EXERCISE(1.5)
void trap_skip_instruction(struct vcpu *vcpu, u64 esr)
{
	TODO(1.5);
}

/* The guest takes the exception that hardware without what it used would have raised. */
static void trap_reflect(struct vcpu *vcpu, u64 esr)
{
	unsigned ec = esr_ec(esr);

	if (ec == ESR_EC_DABT_LOW || ec == ESR_EC_IABT_LOW)
		inject_abort(vcpu, esr, vcpu->exit.far);
	else if (!trap_condition_passed(vcpu, esr))
		trap_skip_instruction(vcpu, esr);
	else
		inject_undefined(vcpu, esr);
}

/**
 * Exercise 1.5: trap_dispatch() - handle a synchronous exit of @vcpu with syndrome @esr
 *
 * Record @esr in vcpu->exit.esr, call the handler that trap_table has for its exception class
 * (esr_ec()), and do what the handler's result says (enum trap_result): nothing for TRAP_RESUME,
 * trap_skip_instruction(), or trap_reflect().
 */
EXERCISE(1.5)
void trap_dispatch(struct vcpu *vcpu, u64 esr)
{
	if (esr_ec(esr) != ESR_EC_HVC64)
		TODO(1.5);
	trap_hvc(vcpu, esr); /* a call by HVC is never skipped, nor reflected */
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
 * Exercise 1.6: hypercall_dispatch() - serve the SMCCC call in the guest's registers
 *
 * W0 names the function, X1 and up are its arguments, X0 to X3 get its results, everything else is
 * preserved (DEN 0028, "SMC and HVC argument passing"). lookup_find() has the function in the table
 * hypercalls; cast what it returns to hypercall_fn *. One that is not there returns
 * SMCCC_NOT_SUPPORTED.
 *
 * Return: the function's result; TRAP_RESUME without one.
 */
EXERCISE(1.6)
static enum trap_result hypercall_dispatch(struct vcpu *vcpu)
{
	TODO(1.6);
}

/** Exercise 1.6: trap_hvc() - a call by HVC: the saved PC is behind the instruction already */
EXERCISE(1.6)
enum trap_result trap_hvc(struct vcpu *vcpu, u64 esr)
{
	/* The calls that no guest of this lab can do without. */
	switch ((u32)vcpu->frame.x[0]) {
	case STRATA_CONSOLE_PUTC:
		return strata_console_putc(vcpu);
	case STRATA_VM_INFO:
		return strata_vm_info(vcpu);
	case PSCI_SYSTEM_OFF:
		return psci_system_off(vcpu);
	case SMCCC_VERSION:
		return smccc_version(vcpu);
	case STRATA_YIELD:
		return strata_yield(vcpu);
	}
	TODO(1.6);
}

/**
 * Exercise 1.6: trap_smc() - the same call by SMC, which HCR_EL2.TSC traps
 *
 * The saved PC is at the instruction itself ("ISS encoding for an exception from SMC instruction
 * execution in AArch64 state").
 */
EXERCISE(1.6)
enum trap_result trap_smc(struct vcpu *vcpu, u64 esr)
{
	TODO(1.6);
}

enum trap_result sysreg_emulate(struct vcpu *vcpu, struct sysreg_access *access)
{
	sysreg_handler_fn *emulate = (sysreg_handler_fn *)lookup_find(&sysregs, access->encoding);

	return emulate ? emulate(vcpu, access) : sysreg_fallback(vcpu, access);
}

/**
 * Exercise 1.5: trap_sysreg() - MSR, MRS or a system instruction that EL2 traps
 *
 * From the ISS: the register (SYSREG_ENCODING_MASK), the direction (bit 0: 1 is a read) and Rt
 * (bits [9:5], 31 is XZR). sysreg_emulate() does what there is to do. A write hands it the value of
 * Rt in struct sysreg_access. A read puts the value into Rt, but only if the result is
 * TRAP_SKIP_INSN.
 *
 * Return: the result of sysreg_emulate().
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
