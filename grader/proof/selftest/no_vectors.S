/* SPDX-License-Identifier: MIT */
/*
 * An undefined instruction while VBAR_EL2 leads beyond the CPU's physical addresses: the vector's
 * fetch is a fault, whose vector's fetch is a fault, and so on; nothing is executed any more.
 */
	.include "common.inc"

	.globl	main
main:
	mov	x0, #1 << 47
	msr	vbar_el2, x0
	isb
	udf	#0
