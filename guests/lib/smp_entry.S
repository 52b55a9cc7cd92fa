/* SPDX-License-Identifier: MIT */
/* Where a vCPU starts: MMU off, all interrupts masked, x0 = CPU_ON's context argument. */
#include "smp.h"

	.text
	.globl	smp_entry
smp_entry:
	ldr	x1, [x0, #SMP_CPU_STACK]
	mov	sp, x1
	mrs	x1, sctlr_el1
	mrs	x2, daif
	mrs	x3, currentel
	mrs	x4, spsel
	orr	x2, x2, x3
	orr	x2, x2, x4
	stp	x1, x2, [x0, #SMP_CPU_SCTLR]
	adrp	x1, guest_vectors
	add	x1, x1, :lo12:guest_vectors
	msr	vbar_el1, x1
	isb
	bl	smp_main
1:	wfi
	b	1b
