/* SPDX-License-Identifier: MIT */
/*
 * Lab 1's warm-up: all of a hypervisor that fits two pages. `make warmup` runs it, `make
 * warmup-debug` stops it at its first instruction. Nothing here is graded or used again: keep a copy,
 * and change what you like.
 *
 * It says at which exception level it was entered, goes to EL1, takes two HVCs from there, and makes
 * a fault of its own at EL2. Every exception is told on the UART. There is no stack: no function calls
 * another.
 */
#include "lib/smccc.h"
#include "platform/qemu_virt.h"
#include "sysreg.h"

	.section .text.head, "ax"
	.globl	_start
_start:
	b	warmup
	.long	0
	.quad	PLAT_IMAGE_BASE - PLAT_RAM_BASE	/* the head that a boot loader looks at */
	.quad	0x10000
	.quad	0xa
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

	.globl	warmup
warmup:
	adr	x1, text_level
	bl	print
	mrs	x1, CurrentEL		/* the level is in bits [3:2] */
	lsr	x1, x1, #2
	bl	print_hex

	adr	x1, vectors
	msr	vbar_el2, x1
	ldr	x1, =HCR_EL2_RW		/* EL1 is AArch64 */
	msr	hcr_el2, x1
	mov	x1, #0x3c0 | SPSR_EL1H	/* D, A, I, F masked; EL1 with SP_EL1 */
	msr	spsr_el2, x1
	adr	x1, at_el1
	msr	elr_el2, x1
	isb
	eret

/* ---- EL1: the guest ---- */

	.globl	at_el1
at_el1:
	mov	x0, #1			/* what we ask for: nothing */
	hvc	#7
	mov	x0, #2			/* and now for a fault */
	hvc	#8
1:	b	1b

/* ---- EL2: exceptions ---- */

/* One entry in 32 instructions. The handler gets the entry's offset. */
	.macro	entry
	.balign	128
	mov	x20, #(. - vectors)
	b	exception
	.endm

	.balign	2048
	.globl	vectors
vectors:
	.rept	16
	entry
	.endr

	.globl	exception
exception:
	adr	x1, text_vector
	bl	print
	mov	x1, x20
	bl	print_hex
	adr	x1, text_esr
	bl	print
	mrs	x1, esr_el2
	bl	print_hex
	adr	x1, text_elr
	bl	print
	mrs	x1, elr_el2
	bl	print_hex
	adr	x1, text_far
	bl	print
	mrs	x1, far_el2
	bl	print_hex

	mrs	x1, esr_el2
	lsr	x1, x1, #26		/* EC, the exception class */
	cmp	x1, #0x16		/* HVC from AArch64 */
	b.ne	power_off
	cmp	x0, #2
	b.eq	fault
	eret				/* ELR_EL2 is behind the HVC already */

	.globl	fault
fault:
	ldr	x2, =0xdead00000000	/* nothing is there */
	ldr	x2, [x2]

power_off:
	ldr	w0, =PSCI_SYSTEM_OFF
	smc	#0			/* the firmware's, below every hypervisor */
2:	b	2b

/* ---- the UART: one store is one character ---- */

print:					/* the text at x1 */
	mov	x2, #PLAT_UART_BASE
3:	ldrb	w3, [x1], #1
	cbz	w3, 4f
	str	w3, [x2]
	b	3b
4:	ret

print_hex:				/* x1, and the end of the line */
	mov	x2, #PLAT_UART_BASE
	mov	x4, #60
5:	lsr	x3, x1, x4
	and	x3, x3, #0xf
	cmp	x3, #10
	add	x5, x3, #'0'
	add	x6, x3, #'a' - 10
	csel	x3, x5, x6, lo
	str	w3, [x2]
	subs	x4, x4, #4
	b.pl	5b
	mov	w3, #'\r'
	str	w3, [x2]
	mov	w3, #'\n'
	str	w3, [x2]
	ret

text_level:
	.asciz	"entered at EL  "
text_vector:
	.asciz	"\r\nexception at +"
text_esr:
	.asciz	"       ESR_EL2  "
text_elr:
	.asciz	"       ELR_EL2  "
text_far:
	.asciz	"       FAR_EL2  "
	.balign	4
	.ltorg
