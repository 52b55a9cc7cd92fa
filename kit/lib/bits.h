/* SPDX-License-Identifier: MIT */
/* Bit fields, alignment and small arithmetic shared by EL2 and the device models. */
#ifndef STRATA_LIB_BITS_H
#define STRATA_LIB_BITS_H

#include "lib/types.h"

#define BIT(n) (1UL << (n))

/** bits_mask() - a mask of the bits @high down to @low, both included (63 >= high >= low) */
static inline u64 bits_mask(unsigned high, unsigned low)
{
	return (~0UL >> (63 - high)) & (~0UL << low);
}

/** bits_get() - the field [@high:@low] of @value, moved down to bit 0 */
static inline u64 bits_get(u64 value, unsigned high, unsigned low)
{
	return (value & bits_mask(high, low)) >> low;
}

/** bits_set() - @value with its field [@high:@low] replaced by @field */
static inline u64 bits_set(u64 value, unsigned high, unsigned low, u64 field)
{
	return (value & ~bits_mask(high, low)) | ((field << low) & bits_mask(high, low));
}

/** align_down() - @value rounded down to a multiple of @size, a power of two */
static inline u64 align_down(u64 value, u64 size)
{
	return value & ~(size - 1);
}

/** align_up() - @value, which must not wrap, rounded up to a multiple of @size, a power of two */
static inline u64 align_up(u64 value, u64 size)
{
	return (value + size - 1) & ~(size - 1);
}

/** is_aligned() - whether @value is a multiple of @size, a power of two */
static inline bool is_aligned(u64 value, u64 size)
{
	return (value & (size - 1)) == 0;
}

static inline u64 min_u64(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 max_u64(u64 a, u64 b)
{
	return a > b ? a : b;
}

/** zero_extend() - the lowest @bits bits (1..64) of @value */
static inline u64 zero_extend(u64 value, unsigned bits)
{
	return value << (64 - bits) >> (64 - bits);
}

/** sign_extend() - the lowest @bits bits (1..64) of @value as a two's complement number */
static inline u64 sign_extend(u64 value, unsigned bits)
{
	return (u64)((s64)(value << (64 - bits)) >> (64 - bits));
}

#endif
