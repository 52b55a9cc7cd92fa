/* SPDX-License-Identifier: MIT */
/*
 * Physical page allocator: a buddy system over the machine's RAM, 4 KiB to 2 MiB.
 *
 * Pages are named by physical address. EL2 maps all RAM one to one, so phys_to_virt() reaches a
 * page at once, with the MMU on or off.
 */
#ifndef STRATA_PAGE_ALLOC_H
#define STRATA_PAGE_ALLOC_H

#include "lib/types.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096UL
#define PAGE_ORDER_MAX 9 /* 2 MiB */
#define BLOCK_SIZE (PAGE_SIZE << PAGE_ORDER_MAX)

/** phys_to_virt() - EL2's pointer to physical memory (identity map) */
static inline void *phys_to_virt(pa_t pa)
{
	return (void *)pa.pa;
}

/** virt_to_phys() - the inverse, for pointers into RAM or the image */
static inline pa_t virt_to_phys(const void *pointer)
{
	return PA((u64)pointer);
}

/**
 * page_alloc_init() - take over [@start, @end) except [@hole, @hole_end)
 *
 * The bookkeeping, one byte a page and 16 bytes a block of 2 MiB, lies at the start of that range.
 */
void page_alloc_init(pa_t start, pa_t end, pa_t hole, pa_t hole_end);

/**
 * page_alloc() - allocate 2^@order pages, aligned to their size; contents are undefined
 *
 * Return: the first page, or a pa for which pa_is_valid() is false.
 */
pa_t page_alloc(unsigned order);

/** page_alloc_zeroed() - page_alloc() filled with zeros */
pa_t page_alloc_zeroed(unsigned order);

/**
 * page_alloc_range() - @bytes of contiguous memory, whole 2 MiB blocks (slow; at VM creation)
 *
 * Return: the first page, or an invalid pa. Free with page_free_range().
 */
pa_t page_alloc_range(u64 bytes);

/** page_free() - give back what page_alloc() returned, with the same order or in parts */
void page_free(pa_t pa, unsigned order);

/** page_free_range() - give back what page_alloc_range() returned */
void page_free_range(pa_t pa, u64 bytes);

/* Pages that are free now. Changed in page_alloc.c alone; no other file can have a second one. */
extern u64 free_page_count;

/** page_free_bytes() - memory that is free now */
u64 page_free_bytes(void);

/** page_order_for() - smallest order whose block holds @bytes (at most 2 MiB) */
static inline unsigned page_order_for(u64 bytes)
{
	unsigned order = 0;

	while (PAGE_SIZE << order < bytes)
		order++;
	return order;
}

/**
 * pages_zero() - fill memory with zeros
 * @bytes: a multiple of 64
 *
 * Uses and restores SIMD registers: by stores of 64 bytes zeroing takes 0.1 % of a Linux boot, not
 * 1 %. May be called with any FP trap setting.
 */
void pages_zero(void *to, u64 bytes);

/** pages_copy() - copy @bytes, a multiple of 64, between ranges that do not overlap */
void pages_copy(void *to, const void *from, u64 bytes);

#endif
