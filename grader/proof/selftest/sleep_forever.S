/* SPDX-License-Identifier: MIT */
/* Sleeps with no timer armed, after having claimed success on the console. */
	.include "common.inc"

	.globl	main
	.type	main, %function
main:
	adr	x0, claim
	bl	print
1:	wfi
	b	1b
	.size	main, . - main

claim:	.asciz	"PASS: everything\nall tests passed\n"
