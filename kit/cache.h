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
 * dcache_clean_invalidate() - what caches hold of [@start, @start + @bytes) goes to memory
 *
 * If @bytes is no multiple of 4 KiB, some of what comes behind as well.
 * Written back to the point of coherency and dropped, so that later writes past the caches are not
 * hidden by a line that stayed. Complete on return (DSB).
 */
void dcache_clean_invalidate(const void *start, u64 bytes);

/**
 * dcache_invalidate() - what caches hold of [@start, @start + @bytes) is dropped, not written back
 * @start, @bytes: multiples of 4 KiB
 *
 * For memory that was written past the caches alone; anybody else's data would be lost. Complete on
 * return (DSB).
 */
void dcache_invalidate(void *start, u64 bytes);

#endif
