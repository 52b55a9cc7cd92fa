/* SPDX-License-Identifier: MIT */
/*
 * Fills the crash mailbox (kit/mailbox.h) as panic() or as TODO() would, then powers off. The kind
 * stands in x20 when a debugger changes it before `fill`.
 */
	.include "common.inc"

	.globl	main
main:
	mov	x20, #2			/* CRASH_EXCEPTION */
	.globl	fill
fill:
	adr	x1, strata_crash
	str	x20, [x1, #8]
	adr	x2, words
	str	x2, [x1, #16]
	ldr	x2, =0x96000045		/* data abort, translation fault level 1, write */
	str	x2, [x1, #24]
	adr	x2, fill
	str	x2, [x1, #32]
	ldr	x2, =0xdead0000
	str	x2, [x1, #40]
	mov	x2, sp
	str	x2, [x1, #56]
	mov	x2, #0x200
	str	x2, [x1, #72]
	ldr	x2, magic
	str	x2, [x1]
	b	power_off

	.balign	8
magic:	.quad	0x4853415243415453
words:	.asciz	"synchronous exception at EL2"

	.data
	.balign	8
	.globl	strata_crash
	.type	strata_crash, %object
strata_crash:
	.zero	80 + 160
	.size	strata_crash, . - strata_crash
