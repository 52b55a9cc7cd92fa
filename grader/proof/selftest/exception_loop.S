/* SPDX-License-Identifier: MIT */
/*
 * An undefined instruction where the vector table, at x20, holds no instructions either: each exception
 * raises the next one. At EL1 if x21 is not 0. Tests set both before the first instruction.
 */
	.include "common.inc"

	.globl	main
main:
	cbnz	x21, 1f
	msr	vbar_el2, x20
	isb
	udf	#0
1:	mov	x0, #1 << 31	/* HCR_EL2.RW */
	msr	hcr_el2, x0
	msr	vbar_el1, x20
	mov	x0, #0x3c5	/* EL1h */
	msr	spsr_el2, x0
	adr	x0, 2f
	msr	elr_el2, x0
	eret
2:	udf	#0
