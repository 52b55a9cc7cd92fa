/* SPDX-License-Identifier: MIT */
/*
 * The smallest guest: says hello by one HVC a character, and switches its machine off by another.
 * No stack, no vectors, no memory but its text.
 */
#include "lib/smccc.h"

	.section .text.head, "ax"
	.globl _start
_start:
	adr	x19, hello
1:	ldrb	w1, [x19], #1
	cbz	w1, 2f
	ldr	w0, =STRATA_CONSOLE_PUTC
	.globl hello_hvc
hello_hvc:
	hvc	#0
	b	1b
2:	ldr	w0, =PSCI_SYSTEM_OFF
	hvc	#0
3:	b	3b

hello:
	.asciz	"hello from EL1\n"
	.balign	4
	.ltorg

	.data
	.globl probe_seed, probe_vm	/* what the harness tells every probe */
probe_seed:
	.quad	0
probe_vm:
	.quad	0
