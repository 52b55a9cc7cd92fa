/* SPDX-License-Identifier: MIT */
/*
 * Entry, exception vectors and the call into another exception mode.
 *
 * The runtime lives at EL1h with the MMU off. Every exception is written down in a struct
 * exception_frame on SP_EL1 and handed to exception_entry(); what that function leaves in the
 * frame is what the interrupted code continues with.
 *
 * mode_call() runs a function at EL1h, EL1t or EL0. It ends by returning (an SVC, which is the
 * only way back from EL0) or by an exception; either way exception_entry() redirects the frame to
 * mode_landing, which unwinds to mode_call()'s caller.
 */
#include "exception.h"

	.section .text.head, "ax"
	.globl _start
_start:
	adrp	x1, __stack_top
	add	x1, x1, :lo12:__stack_top
	mov	sp, x1
	adrp	x1, __bss_start
	add	x1, x1, :lo12:__bss_start
	mov	x2, sp		/* the stack, too: it is mapped before the first report */
1:	cmp	x1, x2
	b.hs	2f
	stp	xzr, xzr, [x1], #16
	b	1b
2:	adrp	x1, guest_vectors
	add	x1, x1, :lo12:guest_vectors
	msr	vbar_el1, x1
	isb
	bl	guest_main
3:	wfi
	b	3b

	.macro	vector, offset
	.balign	128
	sub	sp, sp, #FRAME_SIZE
	stp	x0, x1, [sp, #FRAME_X + 16 * 0]
	mov	x0, #\offset
	b	exception_common
	.endm

	.text
	.balign	2048
	.globl guest_vectors
guest_vectors:
	vector	0x000
	vector	0x080
	vector	0x100
	vector	0x180
	vector	0x200
	vector	0x280
	vector	0x300
	vector	0x380
	vector	0x400
	vector	0x480
	vector	0x500
	vector	0x580
	vector	0x600
	vector	0x680
	vector	0x700
	vector	0x780

	.balign	128
exception_common:
	stp	x2, x3, [sp, #FRAME_X + 16 * 1]
	stp	x4, x5, [sp, #FRAME_X + 16 * 2]
	stp	x6, x7, [sp, #FRAME_X + 16 * 3]
	stp	x8, x9, [sp, #FRAME_X + 16 * 4]
	stp	x10, x11, [sp, #FRAME_X + 16 * 5]
	stp	x12, x13, [sp, #FRAME_X + 16 * 6]
	stp	x14, x15, [sp, #FRAME_X + 16 * 7]
	stp	x16, x17, [sp, #FRAME_X + 16 * 8]
	stp	x18, x19, [sp, #FRAME_X + 16 * 9]
	stp	x20, x21, [sp, #FRAME_X + 16 * 10]
	stp	x22, x23, [sp, #FRAME_X + 16 * 11]
	stp	x24, x25, [sp, #FRAME_X + 16 * 12]
	stp	x26, x27, [sp, #FRAME_X + 16 * 13]
	stp	x28, x29, [sp, #FRAME_X + 16 * 14]
	mrs	x1, elr_el1
	mrs	x2, spsr_el1
	mrs	x3, esr_el1
	mrs	x4, far_el1
	str	x30, [sp, #FRAME_X + 16 * 15]
	str	x0, [sp, #FRAME_VECTOR]
	stp	x1, x2, [sp, #FRAME_ELR]
	stp	x3, x4, [sp, #FRAME_ESR]
	mov	x0, sp
	bl	exception_entry
	ldp	x1, x2, [sp, #FRAME_ELR]
	msr	elr_el1, x1
	msr	spsr_el1, x2
	ldp	x2, x3, [sp, #FRAME_X + 16 * 1]
	ldp	x4, x5, [sp, #FRAME_X + 16 * 2]
	ldp	x6, x7, [sp, #FRAME_X + 16 * 3]
	ldp	x8, x9, [sp, #FRAME_X + 16 * 4]
	ldp	x10, x11, [sp, #FRAME_X + 16 * 5]
	ldp	x12, x13, [sp, #FRAME_X + 16 * 6]
	ldp	x14, x15, [sp, #FRAME_X + 16 * 7]
	ldp	x16, x17, [sp, #FRAME_X + 16 * 8]
	ldp	x18, x19, [sp, #FRAME_X + 16 * 9]
	ldp	x20, x21, [sp, #FRAME_X + 16 * 10]
	ldp	x22, x23, [sp, #FRAME_X + 16 * 11]
	ldp	x24, x25, [sp, #FRAME_X + 16 * 12]
	ldp	x26, x27, [sp, #FRAME_X + 16 * 13]
	ldp	x28, x29, [sp, #FRAME_X + 16 * 14]
	ldr	x30, [sp, #FRAME_X + 16 * 15]
	ldp	x0, x1, [sp, #FRAME_X + 16 * 0]
	add	sp, sp, #FRAME_SIZE
	.globl exception_return
exception_return:
	eret

	/* u64 mode_call(void (*fn)(void *), void *arg, u64 spsr, void *sp_el0) */
	.globl mode_call
mode_call:
	sub	sp, sp, #128
	stp	x19, x20, [sp, #0]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	mrs	x9, daif
	mrs	x10, sp_el0
	stp	x9, x10, [sp, #96]
	adrp	x11, mode_call_sp
	add	x11, x11, :lo12:mode_call_sp
	ldr	x12, [x11]
	str	x12, [sp, #112]
	mov	x12, sp
	str	x12, [x11]
	msr	sp_el0, x3
	msr	elr_el1, x0
	msr	spsr_el1, x2
	mov	x0, x1
	adr	x30, mode_return
	eret
mode_return:
	svc	#SVC_MODE_RETURN

	/* x0 = what mode_call() returns; entered at EL1h with all interrupts masked */
	.globl mode_landing
mode_landing:
	adrp	x11, mode_call_sp
	add	x11, x11, :lo12:mode_call_sp
	ldr	x12, [x11]
	mov	sp, x12
	ldr	x12, [sp, #112]
	str	x12, [x11]
	ldp	x9, x10, [sp, #96]
	msr	sp_el0, x10
	ldp	x19, x20, [sp, #0]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	add	sp, sp, #128
	msr	daif, x9
	ret

	/* void insn_stub(u64 value[2]): x0, x1 = value; the patched instruction; value = x0, x1 */
	.globl insn_stub
	.globl insn_slot
insn_stub:
	str	x30, [sp, #-16]!
	mov	x9, x0
	ldp	x0, x1, [x9]
	b	insn_slot /* a block of its own, since it changes (registers.c) */
insn_slot:
	nop
	b	1f
1:	stp	x0, x1, [x9]
	ldr	x30, [sp], #16
	ret
