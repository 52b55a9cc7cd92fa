/* SPDX-License-Identifier: MIT */
/* What the walker (pgtable.c) and the operations that change a table (pgtable_change.c) share. */
#ifndef STRATA_PGTABLE_WALK_H
#define STRATA_PGTABLE_WALK_H

#include "lib/bits.h"
#include "lib/types.h"
#include "page_alloc.h"
#include "pgtable.h"

#define LEVEL_LAST 3

#define DESC_VALID BIT(0)
#define DESC_TABLE BIT(1) /* at levels 0..2; at level 3 every valid entry has it */
#define DESC_TYPE_MASK 3UL
#define DESC_ADDRESS_MASK 0xfffffffff000UL
#define DESC_ADDRESS_LIMIT BIT(48)

/** struct step - an entry that a walk has reached; it maps [@at, @end) of the walk's range */
struct step {
	u64 *entry;
	unsigned level;
	u64 at, end;
};

/**
 * struct walk - a walk in progress
 * @pre: called at each entry before the walk goes below it; may turn the entry into a table
 * @post: called at a table when the walk comes back from below it, or NULL
 * @blocks_only: tables of the last level are not looked into
 * @start, @end: the range
 * @pa, @attributes: where @start is to be mapped, and what its leaves have beside the address
 * @prot: of pgtable_protect()
 * @tables_needed: tables that commit takes, as prepare has counted
 * @spare: list of tables that are reserved for commit, zeroed but for the link: list_pop()
 * @unlinked: list of tables that no entry leads to any more, though a TLB may still
 * @is_changed: translations that a TLB may hold have changed
 */
struct walk {
	struct pgtable *table;
	int (*pre)(struct walk *walk, const struct step *step);
	void (*post)(struct walk *walk, const struct step *step);
	bool blocks_only;
	u64 start, end;
	pa_t pa;
	u64 attributes;
	unsigned prot;
	unsigned tables_needed;
	u64 spare;
	u64 unlinked;
	bool is_changed;
};

static inline bool is_table(u64 descriptor, unsigned level)
{
	return level < LEVEL_LAST && (descriptor & DESC_TYPE_MASK) == (DESC_VALID | DESC_TABLE);
}

static inline bool is_leaf(u64 descriptor, unsigned level)
{
	return (descriptor & DESC_VALID) && !is_table(descriptor, level);
}

static inline u64 leaf_descriptor(pa_t pa, u64 attributes, unsigned level)
{
	return pa.pa | attributes | DESC_VALID | (level == LEVEL_LAST ? DESC_TABLE : 0);
}

static inline u64 leaf_attributes(u64 descriptor)
{
	return descriptor & ~(DESC_ADDRESS_MASK | DESC_TYPE_MASK);
}

static inline pa_t descriptor_pa(u64 descriptor)
{
	return PA(descriptor & DESC_ADDRESS_MASK);
}

/* A release store: a table's contents are visible before the entry that makes it reachable. */
static inline void entry_write(u64 *entry, u64 descriptor)
{
	__atomic_store_n(entry, descriptor, __ATOMIC_RELEASE);
}

/* The root may be up to 16 tables side by side, so its index has more bits. */
static inline u64 entry_index(const struct pgtable *table, unsigned level, u64 address)
{
	u64 index = address / pgtable_level_size(level);

	return level == table->start_level ? index : index % PGTABLE_ENTRIES;
}

/**
 * walk_range() - walk over walk->start .. walk->end, which check_range() has accepted
 *
 * Return: 0, or the first error of @pre.
 */
int walk_range(struct walk *walk, int (*pre)(struct walk *, const struct step *),
	       void (*post)(struct walk *, const struct step *));

/** check_range() - 0, -EINVAL when not page aligned, -ERANGE when outside the input space */
int check_range(const struct pgtable *table, u64 address, u64 bytes);

#endif
