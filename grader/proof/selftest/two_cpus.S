/* SPDX-License-Identifier: MIT */
/*
 * CPU 0 starts CPU 1 by PSCI and sleeps. What CPU 1 does then stands in x20 when a debugger changes
 * it before `start_second`: 0 sleep, 1 spin, 2 fill the crash mailbox as CPU 1 and power off.
 */
	.include "common.inc"

	.globl	main
main:
	mov	x20, xzr
	.globl	start_second
start_second:
	mov	w0, #0x0003		/* CPU_ON */
	movk	w0, #0xc400, lsl #16
	mov	x1, #1
	adr	x2, second
	mov	x3, x20
	smc	#0
	.globl	first_sleeps
first_sleeps:
	wfi
	b	first_sleeps

	.globl	second
second:
	cmp	x0, #1
	b.eq	second_spins
	b.hi	second_dies
1:	wfi
	b	1b
	.globl	second_spins
second_spins:
	add	x9, x9, #1
	yield
	b	second_spins
	.globl	second_dies
second_dies:
	adr	x1, strata_crash
	mov	x2, #1			/* CRASH_PANIC */
	str	x2, [x1, #8]
	adr	x2, words
	str	x2, [x1, #16]
	mov	x2, #1
	str	x2, [x1, #64]
	ldr	x2, magic
	str	x2, [x1]
	b	power_off

	.balign	8
magic:	.quad	0x4853415243415453
words:	.asciz	"panic"

	.data
	.balign	8
	.globl	strata_crash
	.type	strata_crash, %object
strata_crash:
	.zero	80 + 160
	.size	strata_crash, . - strata_crash
