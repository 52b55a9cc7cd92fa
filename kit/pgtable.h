/* SPDX-License-Identifier: MIT */
/*
 * One page-table walker for every table in the system: EL2's own stage 1, the guests' stage 2, the
 * SMMU's tables. They share the VMSAv8-64 layout with a 4 KiB granule (Arm ARM, "The VMSAv8-64
 * translation table formats"); what differs is a small table of functions, struct pgtable_format.
 *
 *	level 0: 512 GiB an entry   level 1: 1 GiB   level 2: 2 MiB   level 3: 4 KiB
 *
 * The root may be up to 16 concatenated tables (stage 2), so that a small input space starts at
 * level 2 and a walk is one step long.
 */
#ifndef STRATA_PGTABLE_H
#define STRATA_PGTABLE_H

#include "lib/types.h"

/* What a mapping allows; the format turns these into descriptor bits. */
enum pgtable_prot {
	PROT_READ = 1 << 0,
	PROT_WRITE = 1 << 1,
	PROT_EXEC = 1 << 2,
	PROT_DEVICE = 1 << 3, /* Device-nGnRE; Normal write-back cacheable otherwise */
};

#define PGTABLE_PAGE_SIZE 4096UL
#define PGTABLE_ENTRIES 512

/** pgtable_level_size() - bytes that one entry of @level (0..3) maps */
static inline u64 pgtable_level_size(unsigned level)
{
	return 1UL << (39 - 9 * level);
}

struct pgtable;

/**
 * struct pgtable_format - how one kind of table encodes its leaves, and who caches them
 * @leaf: attribute bits of a block or page that allows @prot (without address and type bits)
 * @prot: the inverse
 * @publish: descriptors written so far are seen by every later walk (invalid entries became valid:
 *	no cached translation can be in the way)
 * @invalidate: descriptors written so far are seen, and cached translations of [@address, @address
 *	+ @bytes), whole walks included, are gone; complete on return (DSB and ISB included)
 * @table_alloc, @table_free: one zeroed 4 KiB table, or 2^@order for a root; an invalid pa when
 *	memory is out
 *
 * A layer that needs another kind of table writes such a struct; the walker knows no other
 * difference. What walks the table is coherent with the CPUs' caches.
 */
struct pgtable_format {
	const char *name;
	u64 (*leaf)(unsigned prot);
	unsigned (*prot)(u64 descriptor);
	void (*publish)(struct pgtable *table);
	void (*invalidate)(struct pgtable *table, u64 address, u64 bytes);
	pa_t (*table_alloc)(unsigned order);
	void (*table_free)(pa_t table, unsigned order);
};

/**
 * struct pgtable - a translation table
 * @input_bits: width of the input address; larger addresses are -ERANGE
 * @start_level: level of the root
 * @root_order: the root is 2^@root_order concatenated tables
 * @table_bytes: memory of all its tables, root included
 * @mapped_bytes: memory that its leaves map
 */
struct pgtable {
	const struct pgtable_format *format;
	pa_t root;
	unsigned input_bits;
	unsigned start_level;
	unsigned root_order;
	u64 table_bytes;
	u64 mapped_bytes;
	void *owner; /* for the format's use */
};

/** struct pgtable_leaf - result of a lookup; where nothing is mapped, @size and @level alone */
struct pgtable_leaf {
	pa_t pa; /* where the looked-up address itself leads */
	u64 size; /* bytes of the block or page around it, or of the hole */
	unsigned level;
	unsigned prot;
	u64 descriptor;
};

/**
 * pgtable_init() - an empty table for @input_bits (32..48) of input address
 * @concatenate: choose the deepest start level that at most 16 concatenated root tables allow
 *	(stage 2); otherwise a single root table
 *
 * Return: 0 or -ENOMEM.
 */
int pgtable_init(struct pgtable *table, const struct pgtable_format *format, unsigned input_bits,
		 bool concatenate);

/** pgtable_destroy() - free every table; leaves are forgotten, the memory they map is not touched */
void pgtable_destroy(struct pgtable *table);

/**
 * pgtable_map() - map [@address, @address + @bytes) to @pa with the largest blocks that fit
 * @prot: enum pgtable_prot bits
 *
 * Prepare and commit: all tables are allocated before the first visible change, so on error the
 * table is as it was. All three of @address, @pa and @bytes are multiples of 4 KiB.
 *
 * Return: 0, -EINVAL, -ERANGE (outside the input space), -EEXIST (something is mapped there) or
 * -ENOMEM.
 */
int pgtable_map(struct pgtable *table, u64 address, pa_t pa, u64 bytes, unsigned prot);

/**
 * pgtable_unmap() - remove what is mapped in [@address, @address + @bytes)
 *
 * Blocks that stick out are split first (break-before-make); tables left empty are freed, after
 * the invalidation. Holes are skipped. Translations are invalidated before return.
 *
 * Return: 0, -EINVAL, -ERANGE, or -ENOMEM (a split needs a table; nothing is changed).
 */
int pgtable_unmap(struct pgtable *table, u64 address, u64 bytes);

/**
 * pgtable_protect() - change the permissions of what is mapped in the range; splits as unmap
 * @prot: PROT_READ, PROT_WRITE, PROT_EXEC; the memory type stays as it is
 *
 * Return: as pgtable_unmap().
 */
int pgtable_protect(struct pgtable *table, u64 address, u64 bytes, unsigned prot);

/**
 * pgtable_lookup() - walk for one address: 0 and *@leaf, or -ENOENT
 *
 * With -ENOENT @leaf->size and level are of the hole around @address, which is aligned as leaves are;
 * nothing is mapped there. An address outside the input space leaves *@leaf alone.
 */
int pgtable_lookup(const struct pgtable *table, u64 address, struct pgtable_leaf *leaf);

/**
 * pgtable_visit() - call @visit for every leaf that touches [@address, @address + @bytes)
 * @visit: gets the input address at which the leaf begins and its description, @leaf->pa likewise
 *	at its beginning; ascending order; may not change the table
 *
 * Return: 0, -EINVAL, -ERANGE, or the first non-zero result of @visit, which ends the walk.
 */
int pgtable_visit(const struct pgtable *table, u64 address, u64 bytes,
		  int (*visit)(void *context, u64 address, const struct pgtable_leaf *leaf),
		  void *context);

/*
 * Functions for a format's @leaf and @prot (pgtable_formats.c). Stage 1 as in a translation regime
 * with one privilege level (EL2 with E2H = 0; Arm ARM, "Stage 1 VMSAv8-64 Block and Page
 * descriptors"), whose MAIR holds PGTABLE_MAIR; stage 2 as in "Stage 2 VMSAv8-64 Block and Page
 * descriptors", with HCR_EL2.FWB (fwb) or without. pgtable_stage2_prot() is the inverse of both.
 */
#define PGTABLE_MAIR 0xff04UL /* index 0: Device-nGnRE, index 1: Normal write-back */

u64 pgtable_stage1_leaf(unsigned prot);
unsigned pgtable_stage1_prot(u64 descriptor);
u64 pgtable_stage2_leaf(unsigned prot);
u64 pgtable_stage2_fwb_leaf(unsigned prot);
unsigned pgtable_stage2_prot(u64 descriptor);

#endif
