/* SPDX-License-Identifier: MIT */
/*
 * The loops are unrolled: with demand paging, EL2 spends most of a guest's boot on cleaning. Line
 * size: CTR_EL0.DminLine, log2 of 4-byte words (Arm ARM, "CTR_EL0, Cache Type Register"). Eight
 * lines of the largest size that exists are no more than a page of 4 KiB.
 */
	.text

	.macro	dcache_by_line operation
	mrs	x2, ctr_el0
	ubfx	x2, x2, #16, #4
	mov	x3, #4
	lsl	x3, x3, x2
	add	x1, x0, x1
1:
	.rept	8
	dc	\operation, x0
	add	x0, x0, x3
	.endr
	cmp	x0, x1
	b.lo	1b
	dsb	sy
	ret
	.endm

// void dcache_clean_invalidate(const void *start, u64 bytes)
	.global	dcache_clean_invalidate
	.type	dcache_clean_invalidate, %function
dcache_clean_invalidate:
	dcache_by_line civac
	.size	dcache_clean_invalidate, . - dcache_clean_invalidate

// void dcache_invalidate(void *start, u64 bytes)
	.global	dcache_invalidate
	.type	dcache_invalidate, %function
dcache_invalidate:
	dcache_by_line ivac
	.size	dcache_invalidate, . - dcache_invalidate

	.section .note.GNU-stack, "", %progbits
