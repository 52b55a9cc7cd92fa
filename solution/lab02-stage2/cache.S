/* SPDX-License-Identifier: MIT */
/*
 * Cleaning the data cache by address. The loop is unrolled: cleaning a 2 MiB block is most of what
 * demand paging costs a guest whose caches are off. Line size: CTR_EL0.DminLine, log2 of 4-byte
 * words (Arm ARM, "CTR_EL0, Cache Type Register").
 */
	.text

// void dcache_clean(const void *start, u64 bytes), bytes a multiple of 4 KiB
	.global	dcache_clean
	.type	dcache_clean, %function
dcache_clean:
	mrs	x2, ctr_el0
	ubfx	x2, x2, #16, #4
	mov	x3, #4
	lsl	x3, x3, x2
	add	x1, x0, x1
1:
	.rept	8
	dc	cvac, x0
	add	x0, x0, x3
	.endr
	cmp	x0, x1
	b.lo	1b
	ret
	.size	dcache_clean, . - dcache_clean

	.section .note.GNU-stack, "", %progbits
