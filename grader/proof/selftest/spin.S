/* SPDX-License-Identifier: MIT */
/* Never ends: two nested loops and a call, so that the place where a budget runs out says much. */
	.include "common.inc"

	.globl	main
main:
	mov	x9, #0
outer:
	mov	x10, #37
inner:
	bl	spin_work
	subs	x10, x10, #1
	b.ne	inner
	add	x9, x9, #1
	b	outer

	.globl	spin_work
	.type	spin_work, %function
spin_work:
	add	x11, x11, x10
	eor	x12, x11, x9
	ret
	.size	spin_work, . - spin_work
