/* SPDX-License-Identifier: MIT */
/*
 * spin_burst() - execute 4000 instructions
 *
 * So a guest lets virtual time pass without giving way. The instructions are NOPs in long blocks:
 * QEMU counts their time and has next to nothing to do. A loop of two instructions would cost the
 * host a hundred times as much.
 */
	.text
	.balign	2048 /* a block ends at the end of a page */
	.globl	spin_burst
spin_burst:
	mov	x0, #8
1:	.rept	497
	nop
	.endr
	sub	x0, x0, #1
	cbnz	x0, 1b
	ret
