/* SPDX-License-Identifier: MIT */
/*
 * EL2's vector table, the way into EL2 and the way out.
 *
 * While a guest runs SP_EL2 points at its struct vcpu, whose first member is the trap frame: the
 * vectors of a lower EL store there at once, with no memory access that depends on another, then
 * take the CPU's own stack. EL2 holds nothing on that stack while a guest runs, so it always
 * begins at the top, whichever vCPU comes in and goes out (Arm ARM, "Exception entry").
 *
 * The vectors of the current EL, and of AArch32 (EL1 is always AArch64 here), should never fire.
 * They take the emergency stack, because an overrun stack may be why they did, and report.
 */
#include "asm_offsets.h"
#include "exercise.h"
#include "sysreg.h"

/*
 * General registers, PC and PSTATE of the guest into the frame at SP: x0 to x30 at FRAME_X, PC
 * right behind them, PSTATE at FRAME_PSTATE. Exercise 1.2, with exit_to below.
 */
	.macro	save_guest
EXERCISE_BEGIN(1.2)
	TODO(1.2)
EXERCISE_END
	.endm

/*
 * Exit from a guest to a C function. Exercise 1.2: save the guest's frame, keep the vCPU in a
 * register that calls preserve, take the CPU's stack (struct cpu at TPIDR_EL2, stack_top), call
 * \function with the vCPU in x0 and ESR_EL2 in x1, leave through guest_return with the vCPU in x19.
 * Nothing of the guest may be lost, x18, x29 and x30 included; at most 32 instructions fit a
 * vector.
 */
	.macro	exit_to function
	.balign	128
EXERCISE_BEGIN(1.2)
	TODO(1.2)
EXERCISE_END
	.endm

/*
 * An exception that never should happen. x0 is given up, into TPIDR_EL0, since this machine will
 * run no guest again; SP and x0 are exchanged without touching memory.
 */
	.macro	never
	.balign	128
	msr	tpidr_el0, x0
	mrs	x0, tpidr_el2
	ldr	x0, [x0, #CPU_EMERGENCY_TOP]
	add	sp, sp, x0
	sub	x0, sp, x0
	sub	sp, sp, x0
	mov	x1, x0
	mov	x0, #(. - vectors) & ~0x7f
	mov	x29, xzr
	bl	crash_exception
	.endm

	.text
	.balign	2048
	.globl	vectors
vectors:
	never				/* current EL, SP_EL0: synchronous, IRQ, FIQ, SError */
	never
	never
	never
	never				/* current EL, SP_EL2 */
	never
	never
	never
	exit_to	trap_dispatch		/* lower EL, AArch64 */
	exit_to	trap_irq
	never				/* FIQ: no source is configured for group 0 */
	exit_to	trap_serror
	never				/* lower EL, AArch32 */
	never
	never
	never

/*
 * guest_return: enter the vCPU in x19, unless something has to be done first.
 *
 * Exercise 1.4, the entry: SP = the vCPU, where the next exit stores its frame; ELR_EL2 and
 * SPSR_EL2 = PC and PSTATE of the frame; x0 to x30 from the frame, x19 included; ERET. Behind it
 * DSB NSH and ISB, which no path reaches: they keep the CPU from speculating past the ERET with the
 * guest's values in its registers.
 */
	.balign	64
	.globl	guest_return
guest_return:
	ldr	w1, [x19, #VCPU_REQUESTS]
	cbnz	w1, 2f
1:
EXERCISE_BEGIN(1.4)
	TODO(1.4)
EXERCISE_END
2:
	mov	x0, x19
	bl	vcpu_prepare_entry
	mov	x19, x0
	b	1b

/* void vcpu_enter(struct vcpu *vcpu): start the machine, on this CPU's own stack. */
	.globl	vcpu_enter
vcpu_enter:
	mov	x19, x0
	b	guest_return

/*
 * void fp_save(struct fp_state *state): 32 vector registers, FPSR, FPCR. Not trapped when called.
 */
	.globl	fp_save
fp_save:
	stp	q0, q1, [x0, #FP_V + 32 * 0]
	stp	q2, q3, [x0, #FP_V + 32 * 1]
	stp	q4, q5, [x0, #FP_V + 32 * 2]
	stp	q6, q7, [x0, #FP_V + 32 * 3]
	stp	q8, q9, [x0, #FP_V + 32 * 4]
	stp	q10, q11, [x0, #FP_V + 32 * 5]
	stp	q12, q13, [x0, #FP_V + 32 * 6]
	stp	q14, q15, [x0, #FP_V + 32 * 7]
	stp	q16, q17, [x0, #FP_V + 32 * 8]
	stp	q18, q19, [x0, #FP_V + 32 * 9]
	stp	q20, q21, [x0, #FP_V + 32 * 10]
	stp	q22, q23, [x0, #FP_V + 32 * 11]
	stp	q24, q25, [x0, #FP_V + 32 * 12]
	stp	q26, q27, [x0, #FP_V + 32 * 13]
	stp	q28, q29, [x0, #FP_V + 32 * 14]
	stp	q30, q31, [x0, #FP_V + 32 * 15]
	mrs	x1, fpsr
	mrs	x2, fpcr
	add	x0, x0, #FP_FPSR
	stp	x1, x2, [x0]
	ret

/* void fp_load(const struct fp_state *state) */
	.globl	fp_load
fp_load:
	ldp	q0, q1, [x0, #FP_V + 32 * 0]
	ldp	q2, q3, [x0, #FP_V + 32 * 1]
	ldp	q4, q5, [x0, #FP_V + 32 * 2]
	ldp	q6, q7, [x0, #FP_V + 32 * 3]
	ldp	q8, q9, [x0, #FP_V + 32 * 4]
	ldp	q10, q11, [x0, #FP_V + 32 * 5]
	ldp	q12, q13, [x0, #FP_V + 32 * 6]
	ldp	q14, q15, [x0, #FP_V + 32 * 7]
	ldp	q16, q17, [x0, #FP_V + 32 * 8]
	ldp	q18, q19, [x0, #FP_V + 32 * 9]
	ldp	q20, q21, [x0, #FP_V + 32 * 10]
	ldp	q22, q23, [x0, #FP_V + 32 * 11]
	ldp	q24, q25, [x0, #FP_V + 32 * 12]
	ldp	q26, q27, [x0, #FP_V + 32 * 13]
	ldp	q28, q29, [x0, #FP_V + 32 * 14]
	ldp	q30, q31, [x0, #FP_V + 32 * 15]
	add	x0, x0, #FP_FPSR
	ldp	x1, x2, [x0]
	msr	fpsr, x1
	msr	fpcr, x2
	ret
