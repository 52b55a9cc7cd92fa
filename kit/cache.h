/* SPDX-License-Identifier: MIT */
/*
 * Data cache maintenance by address, for those who read or write past the caches: a guest whose
 * mapping is Non-cacheable or whose caches are off, and EL2 itself before its MMU is on.
 * Manual: Arm ARM, "A64 Cache maintenance instructions", "Ordering of cache maintenance
 * instructions".
 */
#ifndef STRATA_CACHE_H
#define STRATA_CACHE_H

#include "lib/types.h"

/**
 * dcache_clean_invalidate() - write back and drop what caches hold of [@start, @start + @bytes)
 *
 * To the point of coherency. No line stays that would hide later writes past the caches. If @bytes
 * is no multiple of 4 KiB, some memory behind is cleaned as well. Complete on return (DSB).
 */
void dcache_clean_invalidate(const void *start, u64 bytes);

/**
 * dcache_invalidate() - drop what caches hold of [@start, @start + @bytes) without writing it back
 * @start, @bytes: multiples of 4 KiB
 *
 * Only for memory that nobody has written through the caches: such data would be lost. Complete on
 * return (DSB).
 */
void dcache_invalidate(void *start, u64 bytes);

#endif
