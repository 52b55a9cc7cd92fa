/* SPDX-License-Identifier: MIT */
/* A small fixed hash table from 32-bit keys to functions: dispatch in a handful of instructions. */
#ifndef STRATA_LOOKUP_H
#define STRATA_LOOKUP_H

#include "lib/types.h"
#include "mailbox.h"

#define LOOKUP_BITS 7
#define LOOKUP_FREE (~0UL) /* above every 32-bit key */

struct lookup {
	struct {
		u64 key;
		void (*function)(void);
	} slots[1 << LOOKUP_BITS];
	u32 used;
};

/* Fibonacci hashing: the top bits of the product depend on every bit of the key. */
static inline u32 lookup_slot(u32 key)
{
	return key * 0x9e3779b1u >> (32 - LOOKUP_BITS);
}

static inline u32 lookup_next(u32 slot)
{
	return (slot + 1) % (1 << LOOKUP_BITS);
}

/* The key was not at its own slot: it is further on, before a free one, or nowhere. */
static __attribute__((noinline)) void (*lookup_probe(const struct lookup *table, u32 key))(void)
{
	u32 slot = lookup_slot(key);

	while (table->slots[slot].key != key) {
		if (table->slots[slot].key == LOOKUP_FREE)
			return NULL;
		slot = lookup_next(slot);
	}
	return table->slots[slot].function;
}

/** lookup_find() - the function under @key, or NULL */
static inline void (*lookup_find(const struct lookup *table, u32 key))(void)
{
	u32 slot = lookup_slot(key);

	if (__builtin_expect(table->slots[slot].key == key, 1))
		return table->slots[slot].function;
	return lookup_probe(table, key);
}

/** lookup_init() - an empty table; needed before the first use */
static inline void lookup_init(struct lookup *table)
{
	table->used = 0;
	for (u32 slot = 0; slot < ARRAY_SIZE(table->slots); slot++)
		table->slots[slot].key = LOOKUP_FREE;
}

/** lookup_add() - put @function under @key; at least a quarter of the table stays free */
static inline void lookup_add(struct lookup *table, u32 key, void (*function)(void))
{
	u32 slot = lookup_slot(key);

	assert(++table->used <= 3 << (LOOKUP_BITS - 2));
	while (table->slots[slot].key != LOOKUP_FREE)
		slot = lookup_next(slot);
	table->slots[slot].key = key;
	table->slots[slot].function = function;
}

#endif
