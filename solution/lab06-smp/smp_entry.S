/* SPDX-License-Identifier: MIT */
/*
 * Where the firmware starts a CPU for us (PSCI DEN 0022, "CPU_ON"): at EL2, where the call came
 * from, with the MMU and the caches off and our context id in x0. Compare boot.S: BSS is in use by
 * now, and which CPU this is need not be found out.
 */
#include "asm_offsets.h"
#include "exercise.h"
#include "sysreg.h"

	.text
	.globl	smp_entry
/*
 * Exercise 6.1: smp_entry - from the firmware to smp_secondary()
 *
 * x0 is the struct cpu of this CPU, as smp_start_cpu() passed it. Mask D, A, I and F. Then:
 *
 *	SCTLR_EL2	its RES1 bits: MMU and caches off
 *	TPIDR_EL2	x0
 *	SP		stack_top of that struct cpu (CPU_STACK_TOP)
 *	VBAR_EL2	vectors, with an ISB
 *
 * Last call smp_secondary, which does not return, with the struct cpu in x0.
 */
smp_entry:
EXERCISE_BEGIN(6.1)
	msr	daifset, #0xf
	ldr	x1, =SCTLR_EL2_RES1
	msr	sctlr_el2, x1
	isb
	msr	tpidr_el2, x0
	ldr	x1, [x0, #CPU_STACK_TOP]
	mov	sp, x1
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el2, x1
	isb
	mov	x29, xzr
	mov	x30, xzr
	bl	smp_secondary
EXERCISE_END
	.ltorg
