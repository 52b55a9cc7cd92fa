/* SPDX-License-Identifier: MIT */
/*
 * A guest at EL1 whose SMC traps, and an EL2 that returns to the SMC itself. With x20 = 4 it
 * returns behind it, where the guest counts in x19 and goes back.
 *
 * Tests set, before the first instruction, x21: the guest's vectors; x22: more of HCR_EL2. With its VM the
 * guest has no memory: it is left for EL2 before its first instruction.
 */
	.include "common.inc"

	.globl	main
main:
	adr	x0, vectors
	msr	vbar_el2, x0
	mov	x0, #1 << 31		/* HCR_EL2.RW */
	orr	x0, x0, #1 << 19	/* TSC */
	orr	x0, x0, x22
	msr	hcr_el2, x0
	mov	x0, #0x3c5		/* EL1h, all masked */
	msr	spsr_el2, x0
	adr	x0, guest
	msr	elr_el2, x0
	msr	vbar_el1, x21
	mov	x20, #0
	eret

	.section .guest, "ax"
	.balign	2048
	.skip	0x200			/* with x21 = guest - 0x200 it stands at its own vector */
	.globl	guest
guest:
	smc	#0
	add	x19, x19, #1
	b	guest

	.text
	.balign	2048
	.globl	vectors
vectors:
	.skip	0x400
	mrs	x0, elr_el2
	add	x0, x0, x20
	msr	elr_el2, x0
	eret
	.balign	2048
