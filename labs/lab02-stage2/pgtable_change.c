// SPDX-License-Identifier: MIT
/*
 * Changing a page table: map, unmap, protect.
 *
 * A change takes two walks. The first one, prepare, only reads: it finds what stands in the way and
 * counts the tables that the second one, commit, takes. These are allocated before commit begins,
 * and commit cannot fail. So a table is never half changed, and the caller has nothing to undo.
 *
 * Hardware walks the table meanwhile, and TLBs hold what it found.
 *
 * - An invalid entry may become valid at once: no TLB holds an entry that gives a Translation
 *   fault.
 * - A mapping that changes its size needs break-before-make, or a TLB might hold both sizes for one
 *   address (Arm ARM, "Using break-before-make when updating translation table entries"). A change
 *   of permissions does not need it. Memory types do not change here.
 * - A TLB may cache an entry that leads to a table, and hardware then still reads that table: an
 *   unlinked table is freed after the invalidation.
 */
#include "pgtable_walk.h"

#include "exercise.h"
#include "lib/errno.h"

/* ---- lists of tables, linked through their first word ---- */

/*
 * The link is page aligned, and so as a descriptor it is invalid: it does no harm when hardware
 * still walks the table through a cached entry.
 */
static void list_push(u64 *list, pa_t table)
{
	entry_write(phys_to_virt(table), *list);
	*list = table.pa;
}

static pa_t list_pop(u64 *list)
{
	pa_t table = PA(*list);
	u64 *link = phys_to_virt(table);

	*list = *link;
	*link = 0;
	return table;
}

static void list_free(struct pgtable *table, u64 *list)
{
	while (*list) {
		table->format->table_free(list_pop(list), 0);
		table->table_bytes -= PGTABLE_PAGE_SIZE;
	}
}

/* Reserve the tables that prepare has counted. Return: 0, or -ENOMEM and nothing is reserved. */
static int reserve_tables(struct walk *walk)
{
	struct pgtable *table = walk->table;

	for (unsigned i = 0; i < walk->tables_needed; i++) {
		pa_t spare = table->format->table_alloc(0);

		if (!pa_is_valid(spare)) {
			list_free(table, &walk->spare);
			return -ENOMEM;
		}
		table->table_bytes += PGTABLE_PAGE_SIZE;
		list_push(&walk->spare, spare);
	}
	return 0;
}

/* ---- map ---- */

static inline pa_t walk_pa(const struct walk *walk, u64 at)
{
	return pa_add(walk->pa, at - walk->start);
}

/**
 * Exercise 2.2: leaf_fits() - whether one leaf of @level may map [@at, @end)
 *
 * That is a part of one entry's range. A leaf maps all of its entry's range, to an address that is
 * aligned to the same size (walk_pa()). With a 4 KiB granule and 48-bit addresses there are no
 * blocks at level 0. A page always fits: ranges and addresses consist of whole pages.
 */
EXERCISE(2.2)
static bool leaf_fits(const struct walk *walk, unsigned level, u64 at, u64 end)
{
	TODO(2.2);
}

/**
 * Exercise 2.2: tables_below() - how many tables it takes to map [@at, @end) below an entry of
 * @level
 *
 * The entry is invalid now. None if leaf_fits(); otherwise one, and those that the entries of this
 * one need.
 */
EXERCISE(2.2)
static unsigned tables_below(const struct walk *walk, unsigned level, u64 at, u64 end)
{
	TODO(2.2);
}

/**
 * Exercise 2.2: map_prepare() - pre() of pgtable_map()'s first walk
 *
 * Add to walk->tables_needed; change nothing.
 *
 * Return: 0, or -EEXIST if something is mapped in the step's part of the range. A table is never
 * empty: where a leaf would take its place, something is mapped.
 */
EXERCISE(2.2)
static int map_prepare(struct walk *walk, const struct step *step)
{
	TODO(2.2);
}

/**
 * Exercise 2.2: map_commit() - pre() of pgtable_map()'s second walk
 *
 * Write the leaf if it fits; otherwise link a table, unless there is one. A leaf leads to
 * walk_pa(), has walk->attributes, and counts in the table's mapped_bytes. A new table comes from
 * walk->spare by list_pop(), zeroed. Write entries by entry_write().
 */
EXERCISE(2.2)
static int map_commit(struct walk *walk, const struct step *step)
{
	TODO(2.2);
}

int pgtable_map(struct pgtable *table, u64 address, pa_t pa, u64 bytes, unsigned prot)
{
	struct walk walk = {
		.table = table,
		.start = address,
		.end = address + bytes,
		.pa = pa,
		.attributes = table->format->leaf(prot),
	};
	int error = check_range(table, address, bytes);

	if (!error && (!is_aligned(pa.pa, PGTABLE_PAGE_SIZE) || pa.pa > DESC_ADDRESS_LIMIT - bytes))
		error = -EINVAL;
	if (!error)
		error = walk_range(&walk, map_prepare, NULL);
	if (!error)
		error = reserve_tables(&walk);
	if (error)
		return error;
	walk_range(&walk, map_commit, NULL);
	table->format->publish(table);
	return 0;
}

/* ---- unmap, protect ---- */

/**
 * Exercise 2.3: split_block() - replace the block of @step by a table of 512 leaves that map the
 * same
 *
 * The table comes from walk->spare. Break-before-make: fill the table, make the entry invalid, drop
 * the whole block's range by the format's invalidate(), and only then link the table.
 */
EXERCISE(2.3)
static void split_block(struct walk *walk, const struct step *step)
{
	TODO(2.3);
}

/**
 * Exercise 2.3: split_prepare() - pre() of the first walk of pgtable_unmap() and pgtable_protect()
 *
 * Add to walk->tables_needed; change nothing. A block that sticks out of the range is going to be
 * split until none of its pieces does. walk->pa is walk->start here, so that leaf_fits() says
 * whether an entry's range lies in the walk's as a whole.
 */
EXERCISE(2.3)
static int split_prepare(struct walk *walk, const struct step *step)
{
	NOT_YET(2.3);
	return 0;
}

/**
 * Exercise 2.3: unmap_commit() - pre() of pgtable_unmap()'s second walk
 *
 * Clear a leaf, and count the table's mapped_bytes. Its translations are invalidated after the
 * walk, once for the whole range: set walk->is_changed. A block that sticks out of the range is
 * split (split_block()), and the walk goes on in the new table.
 */
EXERCISE(2.3)
static int unmap_commit(struct walk *walk, const struct step *step)
{
	NOT_YET(2.3);
	return 0;
}

/**
 * Exercise 2.3: unmap_post() - post() of pgtable_unmap()'s second walk
 *
 * If the table below @step is empty now, unlink it: it goes on the list walk->unlinked
 * (list_push()), whose tables are freed after the invalidation. Set walk->is_changed.
 */
EXERCISE(2.3)
static void unmap_post(struct walk *walk, const struct step *step)
{
	NOT_YET(2.3);
}

/**
 * Exercise 2.3: protect_commit() - pre() of pgtable_protect()'s second walk
 *
 * Give a leaf the permissions walk->prot,
 * or split a block that sticks out, even one whose permissions are right: prepare has counted its
 * tables.
 *
 * Permissions change in place; the memory type (PROT_DEVICE) stays. A leaf that is right already is
 * not written; walk->is_changed says that one was.
 */
EXERCISE(2.3)
static int protect_commit(struct walk *walk, const struct step *step)
{
	TODO(2.3);
}

static int change_range(struct pgtable *table, u64 address, u64 bytes, unsigned prot,
			int (*commit)(struct walk *, const struct step *),
			void (*post)(struct walk *, const struct step *))
{
	struct walk walk = {
		.table = table,
		.start = address,
		.end = address + bytes,
		.pa = PA(address),
		.prot = prot,
	};
	int error = check_range(table, address, bytes);

	if (error)
		return error;
	walk.blocks_only = true; /* a page does not stick out */
	walk_range(&walk, split_prepare, NULL);
	error = reserve_tables(&walk);
	if (error)
		return error;
	walk.blocks_only = false;
	walk_range(&walk, commit, post);
	if (walk.is_changed)
		table->format->invalidate(table, address, bytes);
	else
		table->format->publish(table);
	list_free(table, &walk.unlinked);
	return 0;
}

int pgtable_unmap(struct pgtable *table, u64 address, u64 bytes)
{
	return change_range(table, address, bytes, 0, unmap_commit, unmap_post);
}

int pgtable_protect(struct pgtable *table, u64 address, u64 bytes, unsigned prot)
{
	return change_range(table, address, bytes, prot, protect_commit, NULL);
}
