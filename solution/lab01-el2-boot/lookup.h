/* SPDX-License-Identifier: MIT */
/* A small fixed hash table from 32-bit keys to functions: dispatch in a handful of instructions. */
#ifndef STRATA_LOOKUP_H
#define STRATA_LOOKUP_H

#include "lib/types.h"
#include "mailbox.h"

#define LOOKUP_BITS 7

struct lookup {
	struct {
		u64 key;
		void (*function)(void); /* NULL: free */
	} slots[1 << LOOKUP_BITS];
	u32 used;
};

/* Fibonacci hashing: the top bits of the product depend on every bit of the key. */
static inline u32 lookup_slot(u32 key)
{
	return key * 0x9e3779b1u >> (32 - LOOKUP_BITS);
}

/** lookup_find() - the function under @key, or NULL */
static inline void (*lookup_find(const struct lookup *table, u32 key))(void)
{
	for (u32 slot = lookup_slot(key);; slot = (slot + 1) % (1 << LOOKUP_BITS)) {
		if (table->slots[slot].key == key && table->slots[slot].function)
			return table->slots[slot].function;
		if (!table->slots[slot].function)
			return NULL;
	}
}

/** lookup_add() - put @function under @key; at least a quarter of the table stays free */
static inline void lookup_add(struct lookup *table, u32 key, void (*function)(void))
{
	u32 slot = lookup_slot(key);

	assert(++table->used <= 3 << (LOOKUP_BITS - 2));
	while (table->slots[slot].function)
		slot = (slot + 1) % (1 << LOOKUP_BITS);
	table->slots[slot].key = key;
	table->slots[slot].function = function;
}

#endif
