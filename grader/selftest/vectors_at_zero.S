/* SPDX-License-Identifier: MIT */
/*
 * An undefined instruction while VBAR_EL2 is 0, as after a reset that nobody thought of: what lies at
 * 0x200 is no instruction either, and its exception goes to 0x200.
 */
	.include "common.inc"

	.globl	main
main:
	msr	vbar_el2, xzr
	isb
	udf	#0
