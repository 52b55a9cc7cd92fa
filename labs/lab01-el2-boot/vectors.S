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
	TODO(1.2)
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
	TODO(1.2)
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
	TODO(1.4)
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
