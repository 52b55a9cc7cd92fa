/* SPDX-License-Identifier: MIT */
/* Sleeps until a deadline that no test lives to see. */
	.include "common.inc"

	.globl	main
main:
	mov	x0, #1 << 62
	msr	cnthp_cval_el2, x0
	mov	x0, #1
	msr	cnthp_ctl_el2, x0
	isb
1:	wfi
	b	1b
