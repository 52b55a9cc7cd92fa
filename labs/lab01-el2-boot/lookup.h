/* SPDX-License-Identifier: MIT */
/* A small fixed hash table from 32-bit keys to functions: dispatch in a handful of instructions. */
#ifndef STRATA_LOOKUP_H
#define STRATA_LOOKUP_H

#include "lib/types.h"
#include "mailbox.h"

#define LOOKUP_BITS 8
#define LOOKUP_SLOTS (1u << LOOKUP_BITS)

/** struct lookup - all zero: empty; a slot without a function is free */
struct lookup {
	struct {
		u32 key;
		void (*function)(void);
	} slots[LOOKUP_SLOTS];
	u32 used;
};

/*
 * The slot that has @key, or the free one where it belongs. Fibonacci hashing: the top bits of the
 * product depend on every bit of the key.
 */
static inline u32 lookup_slot(const struct lookup *table, u32 key)
{
	u32 slot = key * 0x9e3779b1u >> (32 - LOOKUP_BITS);

	while (table->slots[slot].key != key && table->slots[slot].function)
		slot = (slot + 1) % LOOKUP_SLOTS;
	return slot;
}

/** lookup_find() - the function under @key, or NULL */
static inline void (*lookup_find(const struct lookup *table, u32 key))(void)
{
	return table->slots[lookup_slot(table, key)].function;
}

/** lookup_add() - put @function under @key; at least a quarter of the table stays free */
static inline void lookup_add(struct lookup *table, u32 key, void (*function)(void))
{
	u32 slot = lookup_slot(table, key);

	assert(++table->used <= LOOKUP_SLOTS / 4 * 3);
	table->slots[slot].key = key;
	table->slots[slot].function = function;
}

#endif
