// SPDX-License-Identifier: MIT
/*
 * The page-table walker. One loop walks, walk_entries(); mapping, unmapping and protecting are
 * functions that this loop calls at each entry. They are in pgtable_change.c, the attribute bits of
 * leaves in pgtable_formats.c. Whoever only reads a table looks addresses up, pgtable_lookup().
 *
 * Two invariants hold between calls: no table but the root is empty, and @table_bytes and
 * @mapped_bytes are exact. The caller holds the lock that protects the table; hardware walks the
 *	table at any time without a lock. Nothing here is tied to AArch64: the host's unit tests run
 *	this file. Manual: Arm ARM, "The AArch64 Virtual Memory System Architecture".
 */
#include "pgtable_walk.h"

#include "exercise.h"
#include "lib/errno.h"

#define CONCATENATED_ORDER_MAX 4

/**
 * Exercise 2.1: walk_entries() - visit every entry that maps a part of [@at, @end), in ascending
 * order
 * @entries: a table of @level (the root: all concatenated tables); all of [@at, @end) lies in it
 *
 * At each entry: walk->pre() with the part of the range that the entry maps. If the entry is a
 * table then, even one that pre() has just put there, walk its part one level below, then
 * walk->post(), if there is one. A walk with blocks_only calls pre() for an entry that leads to a
 * table of the last level like for any other, but goes no further: no entry of that table, no
 * post().
 *
 * Return: 0, or the first error, which ends the walk.
 */
EXERCISE(2.1)
static int walk_entries(struct walk *walk, u64 *entries, unsigned level, u64 at, u64 end)
{
	u64 size = pgtable_level_size(level), next = align_down(at, size) + size;
	u64 *entry = &entries[entry_index(walk->table, level, at)];
	struct step step = {.level = level};

	for (; at < end; at = next, next += size, entry++) {
		int error;

		next = min_u64(next, end);
		step.entry = entry;
		step.at = at;
		step.end = next;
		error = walk->pre(walk, &step);
		if (error)
			return error;
		if (!is_table(*entry, level) || (walk->blocks_only && level + 1 == LEVEL_LAST))
			continue;
		error = walk_entries(walk, phys_to_virt(descriptor_pa(*entry)), level + 1, at,
				     next);
		if (error)
			return error;
		if (walk->post)
			walk->post(walk, &step);
	}
	return 0;
}

int walk_range(struct walk *walk, int (*pre)(struct walk *, const struct step *),
	       void (*post)(struct walk *, const struct step *))
{
	walk->pre = pre;
	walk->post = post;
	return walk_entries(walk, phys_to_virt(walk->table->root), walk->table->start_level,
			    walk->start, walk->end);
}

int check_range(const struct pgtable *table, u64 address, u64 bytes)
{
	u64 limit = 1UL << table->input_bits;

	if (!is_aligned(address | bytes, PGTABLE_PAGE_SIZE))
		return -EINVAL;
	if (address > limit || bytes > limit - address)
		return -ERANGE;
	return 0;
}

/**
 * Exercise 2.1: pgtable_lookup() - look @address up as hardware does, level by level from the root
 *
 * A block or page ends the walk with 0 and all members of *@leaf; pa is where @address itself
 * leads. An invalid entry ends the walk with -ENOENT; size and level are of the hole then, which is
 * all that the entry could map. An address outside the input space is -ENOENT, too.
 */
EXERCISE(2.1)
int pgtable_lookup(const struct pgtable *table, u64 address, struct pgtable_leaf *leaf)
{
	const u64 *entries = phys_to_virt(table->root);
	unsigned level = table->start_level;
	u64 descriptor;

	if (address >> table->input_bits)
		return -ENOENT;
	descriptor = entries[entry_index(table, level, address)];
	while (is_table(descriptor, level)) {
		entries = phys_to_virt(descriptor_pa(descriptor));
		level++;
		descriptor = entries[entry_index(table, level, address)];
	}
	leaf->size = pgtable_level_size(level);
	leaf->level = level;
	if (!(descriptor & DESC_VALID))
		return -ENOENT;
	leaf->pa = pa_add(descriptor_pa(descriptor), address % leaf->size);
	leaf->prot = table->format->prot(descriptor);
	leaf->descriptor = descriptor;
	return 0;
}

int pgtable_visit(const struct pgtable *table, u64 address, u64 bytes,
		  int (*visit)(void *context, u64 address, const struct pgtable_leaf *leaf),
		  void *context)
{
	u64 end = address + bytes;
	int error = check_range(table, address, bytes);

	while (!error && address < end) {
		struct pgtable_leaf leaf = {.size = PAGE_SIZE};
		bool is_mapped = !pgtable_lookup(table, address, &leaf);

		address = align_down(address, leaf.size);
		if (is_mapped) {
			leaf.pa = descriptor_pa(leaf.descriptor);
			error = visit(context, address, &leaf);
		}
		address += leaf.size;
	}
	return error;
}

/* ---- the whole table ---- */

int pgtable_init(struct pgtable *table, const struct pgtable_format *format, unsigned input_bits,
		 bool concatenate)
{
	/* The root has 9 index bits at most, 13 if it may be concatenated (order 4). */
	unsigned root_bits_max = concatenate ? 9 + CONCATENATED_ORDER_MAX : 9;
	unsigned level = LEVEL_LAST, root_bits = input_bits - 12;

	for (; root_bits > root_bits_max; level--)
		root_bits -= 9;
	*table = (struct pgtable){
		.format = format,
		.input_bits = input_bits,
		.start_level = level,
		.root_order = root_bits > 9 ? root_bits - 9 : 0,
	};
	table->root = format->table_alloc(table->root_order);
	if (!pa_is_valid(table->root))
		return -ENOMEM;
	table->table_bytes = PGTABLE_PAGE_SIZE << table->root_order;
	return 0;
}

static void destroy_post(struct walk *walk, const struct step *step)
{
	walk->table->format->table_free(descriptor_pa(*step->entry), 0);
	*step->entry = 0;
}

static int destroy_pre(struct walk *walk, const struct step *step)
{
	return 0;
}

void pgtable_destroy(struct pgtable *table)
{
	struct walk walk = {.table = table, .start = 0, .end = 1UL << table->input_bits};
	bool is_root_alone = table->table_bytes == PGTABLE_PAGE_SIZE << table->root_order;

	if (!is_root_alone) /* a root has up to 8192 entries, most tables were unmapped before */
		walk_range(&walk, destroy_pre, destroy_post);
	table->format->table_free(table->root, table->root_order);
	table->table_bytes = 0;
	table->mapped_bytes = 0;
	table->root = PA(PAGE_NONE);
}
