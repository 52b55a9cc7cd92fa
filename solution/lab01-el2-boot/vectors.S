/* SPDX-License-Identifier: MIT */
/*
 * EL2's vector table, the way into EL2 and the way out.
 *
 * While a guest runs, SP_EL2 points at its struct vcpu, whose first member is the trap frame. So
 * the vectors of a lower EL store the frame at once, and only then take the CPU's own stack. That
 * stack is empty while a guest runs: each exit begins at its top, whichever vCPU comes in and
 * whichever goes out (Arm ARM, "Exception entry").
 *
 * The vectors of the current EL should never fire, nor those of a lower EL in AArch32, since EL1 is
 * AArch64 here. They report, on the emergency stack: an overrun stack may be why they fired.
 *
 * A CPU may speculate past an ERET: the barriers behind it, which no path reaches, keep it from
 * running on with the guest's values in its registers.
 */
#include "asm_offsets.h"
#include "exercise.h"
#include "sysreg.h"

/*
 * Exercise 1.2: save_guest - x0 to x30, PC and PSTATE of the guest into the frame at SP
 *
 * The registers at FRAME_X, the PC (ELR_EL2) right behind them, PSTATE (SPSR_EL2) at FRAME_PSTATE.
 */
	.macro	save_guest
EXERCISE_BEGIN(1.2)
	stp	x0, x1, [sp, #FRAME_X + 16 * 0]
	stp	x2, x3, [sp, #FRAME_X + 16 * 1]
	stp	x4, x5, [sp, #FRAME_X + 16 * 2]
	stp	x6, x7, [sp, #FRAME_X + 16 * 3]
	stp	x8, x9, [sp, #FRAME_X + 16 * 4]
	stp	x10, x11, [sp, #FRAME_X + 16 * 5]
	stp	x12, x13, [sp, #FRAME_X + 16 * 6]
	stp	x14, x15, [sp, #FRAME_X + 16 * 7]
	stp	x16, x17, [sp, #FRAME_X + 16 * 8]
	stp	x18, x19, [sp, #FRAME_X + 16 * 9]
	stp	x20, x21, [sp, #FRAME_X + 16 * 10]
	stp	x22, x23, [sp, #FRAME_X + 16 * 11]
	stp	x24, x25, [sp, #FRAME_X + 16 * 12]
	stp	x26, x27, [sp, #FRAME_X + 16 * 13]
	stp	x28, x29, [sp, #FRAME_X + 16 * 14]
	mrs	x21, elr_el2
	mrs	x22, spsr_el2
	stp	x30, x21, [sp, #FRAME_X + 16 * 15]
	str	x22, [sp, #FRAME_PSTATE]
EXERCISE_END
	.endm

/*
 * Exercise 1.2: exit_to - from a guest to the C function \function, and to guest_return
 *
 * save_guest; keep the vCPU in a register that calls preserve; take the stack of the CPU, whose
 * struct cpu TPIDR_EL2 points at (CPU_STACK_TOP); call \function with the vCPU in x0 and ESR_EL2 in
 * x1; branch to guest_return with the vCPU in x19. Nothing of the guest may be lost, x18, x29 and
 * x30 included. At most 32 instructions fit a vector.
 */
	.macro	exit_to function
	.balign	128
.Lvector\@:
EXERCISE_BEGIN(1.2)
	save_guest
	mov	x19, sp
	mrs	x2, tpidr_el2
	ldr	x2, [x2, #CPU_STACK_TOP]
	mov	x0, x19
	mov	sp, x2
	mrs	x1, esr_el2
	bl	\function
	b	guest_return
EXERCISE_END
	.if	. - .Lvector\@ > 128
	.error	"a vector holds 32 instructions: this one has more, save_guest included"
	.endif
	.endm

/*
 * An exception that never should happen, to crash_exception(). The guest's x0 and TPIDR_EL0 may be
 * overwritten: this machine will run no guest again. SP and x0 are exchanged without touching
 * memory.
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
 * Exercise 1.4: guest_return - enter the vCPU in x19
 *
 * Given: vcpu_prepare_entry() first, as long as the vCPU has requests. Then the entry: SP = the vCPU, where
 * the next exit stores its frame; ELR_EL2 and SPSR_EL2 = PC and PSTATE of the frame; x0 to x30 from
 * the frame, x19 included; ERET; behind it DSB NSH and ISB.
 */
	.balign	64
	.globl	guest_return
guest_return:
	ldr	w1, [x19, #VCPU_REQUESTS]
	cbnz	w1, 2f
1:
EXERCISE_BEGIN(1.4)
	mov	sp, x19
	ldp	x30, x21, [sp, #FRAME_X + 16 * 15]
	ldr	x22, [sp, #FRAME_PSTATE]
	msr	elr_el2, x21
	msr	spsr_el2, x22
	ldp	x0, x1, [sp, #FRAME_X + 16 * 0]
	ldp	x2, x3, [sp, #FRAME_X + 16 * 1]
	ldp	x4, x5, [sp, #FRAME_X + 16 * 2]
	ldp	x6, x7, [sp, #FRAME_X + 16 * 3]
	ldp	x8, x9, [sp, #FRAME_X + 16 * 4]
	ldp	x10, x11, [sp, #FRAME_X + 16 * 5]
	ldp	x12, x13, [sp, #FRAME_X + 16 * 6]
	ldp	x14, x15, [sp, #FRAME_X + 16 * 7]
	ldp	x16, x17, [sp, #FRAME_X + 16 * 8]
	ldp	x18, x19, [sp, #FRAME_X + 16 * 9]
	ldp	x20, x21, [sp, #FRAME_X + 16 * 10]
	ldp	x22, x23, [sp, #FRAME_X + 16 * 11]
	ldp	x24, x25, [sp, #FRAME_X + 16 * 12]
	ldp	x26, x27, [sp, #FRAME_X + 16 * 13]
	ldp	x28, x29, [sp, #FRAME_X + 16 * 14]
	eret
	dsb	nsh
	isb
EXERCISE_END
2:
	mov	x0, x19
	bl	vcpu_prepare_entry
	mov	x19, x0
	b	guest_return

/* void vcpu_enter(struct vcpu *vcpu) */
	.globl	vcpu_enter
vcpu_enter:
	mov	x19, x0
	b	guest_return
