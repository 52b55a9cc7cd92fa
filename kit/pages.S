// SPDX-License-Identifier: MIT
/*
 * Filling and copying memory, 64 bytes an instruction.
 *
 * The SIMD registers belong to some guest, whose vCPU may not even be loaded: the four that are
 * used here go to the stack and come back. CPTR_EL2.TFP, which is set while the unit may hold
 * another vCPU's registers, would trap these very instructions, so it is cleared meanwhile.
 * Interrupts are masked at EL2: nobody else sees that.
 *
 * Before EL2's MMU is on, all memory is Device and an access must be aligned to its elements:
 * buffers are 64-byte aligned, as pages are.
 */
#include "sysreg.h"

	.text

	.macro	simd_begin
	mrs	x9, cptr_el2
	bic	x10, x9, #CPTR_EL2_TFP
	msr	cptr_el2, x10
	isb
	sub	sp, sp, #64
	st1	{v0.16b-v3.16b}, [sp]
	.endm

	.macro	simd_end
	ld1	{v0.16b-v3.16b}, [sp]
	add	sp, sp, #64
	msr	cptr_el2, x9
	isb
	.endm

// void pages_zero(void *to, u64 bytes)
	.global	pages_zero
	.type	pages_zero, %function
pages_zero:
	simd_begin
	movi	v0.2d, #0
	movi	v1.2d, #0
	movi	v2.2d, #0
	movi	v3.2d, #0
	lsr	x2, x1, #9
	cbz	x2, 2f
1:
	.rept	8
	st1	{v0.16b-v3.16b}, [x0], #64
	.endr
	subs	x2, x2, #1
	b.ne	1b
2:	ubfx	x2, x1, #6, #3
	cbz	x2, 4f
3:	st1	{v0.16b-v3.16b}, [x0], #64
	subs	x2, x2, #1
	b.ne	3b
4:	simd_end
	ret
	.size	pages_zero, . - pages_zero

// void pages_copy(void *to, const void *from, u64 bytes)
	.global	pages_copy
	.type	pages_copy, %function
pages_copy:
	simd_begin
	lsr	x3, x2, #9
	cbz	x3, 2f
1:
	.rept	8
	ld1	{v0.16b-v3.16b}, [x1], #64
	st1	{v0.16b-v3.16b}, [x0], #64
	.endr
	subs	x3, x3, #1
	b.ne	1b
2:	ubfx	x3, x2, #6, #3
	cbz	x3, 4f
3:	ld1	{v0.16b-v3.16b}, [x1], #64
	st1	{v0.16b-v3.16b}, [x0], #64
	subs	x3, x3, #1
	b.ne	3b
4:	simd_end
	ret
	.size	pages_copy, . - pages_copy

	.section .note.GNU-stack, "", %progbits
