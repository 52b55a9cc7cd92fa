// SPDX-License-Identifier: MIT
/*
 * The page-table walker against a model: an array of pages that says what is mapped.
 *
 * Tables are read by a walk of this test's own, written from the manual, never by the code under
 * test. A second model is a TLB that forgets nothing unless told: it catches every translation that
 * changes its size, address or memory type without break-before-make, every stale one that is left
 * behind, and every table that is freed while a walk may still be in it.
 */
#include <string.h>

#include "check.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "pgtable.h"

/* The part of the input space that is used: one block of 1 GiB and a little more. */
#define SPAN_PAGES (262144 + 2048)
#define SPAN_BYTES (SPAN_PAGES * PAGE_SIZE)
#define TABLE_MAX 2048
#define OPERATIONS 25

/* What a page leads to; level 0: nowhere. */
struct translation {
	u64 pa;
	u8 level, prot;
};

struct table_page {
	u64 address; /* of the table */
	u64 low, high; /* input addresses that it maps, when it was last reachable */
	bool reachable, cached;
};

static struct pgtable table;
static u64 base;
static struct translation model[SPAN_PAGES], now[SPAN_PAGES], tlb[SPAN_PAGES];
static struct table_page pages[TABLE_MAX];
static unsigned page_count;
static u64 leaf_count, mapped_pages, empty_tables, junk;
static int allocations_left = -1; /* until the next one fails; negative: never */
static unsigned invalidations;
static bool is_destroying;

/* ---- the walk of hardware (Arm ARM, "VMSAv8-64 translation table formats") ---- */

static struct table_page *find_page(u64 address)
{
	for (unsigned i = 0; i < page_count; i++)
		if (pages[i].address == address)
			return &pages[i];
	return NULL;
}

static void see_leaf(u64 address, u64 descriptor, unsigned level)
{
	u64 size = 1UL << (39 - 9 * level);
	u64 first = (address - base) / PAGE_SIZE;

	CHECK(level > 0);
	CHECK(address >= base && address + size <= base + SPAN_BYTES);
	CHECK(is_aligned(bits_get(descriptor, 47, 12) << 12, size));
	for (u64 i = 0; i < size / PAGE_SIZE; i++)
		now[first + i] = (struct translation){
			.pa = (bits_get(descriptor, 47, 12) << 12) + i * PAGE_SIZE,
			.level = (u8)level,
			.prot = (u8)table.format->prot(descriptor),
		};
	leaf_count++;
	mapped_pages += size / PAGE_SIZE;
}

static void see_table(const u64 *entries, unsigned count, unsigned level, u64 address)
{
	u64 size = 1UL << (39 - 9 * level);
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++, address += size) {
		u64 below = bits_get(entries[i], 47, 12) << 12;

		junk += !(entries[i] & 1) && entries[i];
		if (!(entries[i] & 1))
			continue;
		used++;
		if (level == 3 || !(entries[i] & 2)) {
			CHECK((entries[i] & 3) == (level == 3 ? 3 : 1));
			see_leaf(address, entries[i], level);
			continue;
		}
		struct table_page *page = find_page(below);

		CHECK(page && !page->reachable);
		page->reachable = true;
		page->low = address;
		page->high = address + size;
		see_table((const u64 *)below, 512, level + 1, address);
	}
	empty_tables += !used && (u64)entries != table.root.pa;
}

/* Fill now[] from the tables. Start level and root size follow from the input size alone. */
static void look(void)
{
	unsigned entries_bits = table.input_bits - (39 - 9 * table.start_level);

	memset(now, 0, sizeof(now));
	for (unsigned i = 0; i < page_count; i++)
		pages[i].reachable = false;
	leaf_count = mapped_pages = empty_tables = junk = 0;
	find_page(table.root.pa)->reachable = true;
	see_table((const u64 *)table.root.pa, 1U << entries_bits, table.start_level, 0);
}

/* ---- the TLB that forgets nothing ---- */

/* Without break-before-make only permissions may change between what is cached and what is walked. */
static bool may_coexist(const struct translation *cached, const struct translation *walked)
{
	if (!cached->level || !walked->level)
		return true;
	return cached->level == walked->level && cached->pa == walked->pa &&
	       !((cached->prot ^ walked->prot) & PROT_DEVICE);
}

/* Hardware may walk at any time: all that is reachable may be cached. */
static void walk_everything(void)
{
	for (unsigned i = 0; i < SPAN_PAGES; i++)
		if (now[i].level)
			tlb[i] = now[i];
	for (unsigned i = 0; i < page_count; i++)
		pages[i].cached |= pages[i].reachable;
}

static void test_publish(struct pgtable *changed)
{
	CHECK(changed == &table);
}

static void test_invalidate(struct pgtable *changed, u64 address, u64 bytes)
{
	CHECK(changed == &table);
	CHECK(is_aligned(address | bytes, PAGE_SIZE) && bytes > 0);
	unsigned conflicts = 0;

	invalidations++;
	look();
	for (unsigned i = 0; i < SPAN_PAGES; i++) {
		conflicts += !may_coexist(&tlb[i], &now[i]);
		if (base + i * PAGE_SIZE - address < bytes)
			tlb[i] = (struct translation){0};
	}
	CHECK(conflicts == 0);
	for (unsigned i = 0; i < page_count; i++)
		if (!pages[i].reachable && pages[i].low < address + bytes &&
		    address < pages[i].high)
			pages[i].cached = false;
	walk_everything();
}

/* ---- tables ---- */

static pa_t test_alloc(unsigned order)
{
	void *memory;

	if (allocations_left == 0)
		return PA(PAGE_NONE);
	allocations_left--;
	memory = aligned_alloc(PAGE_SIZE << order, PAGE_SIZE << order);
	CHECK(memory && page_count < TABLE_MAX);
	memset(memory, 0, PAGE_SIZE << order);
	pages[page_count++] = (struct table_page){.address = (u64)memory};
	return PA((u64)memory);
}

static void test_free(pa_t pa, unsigned order)
{
	struct table_page *page = find_page(pa.pa);

	CHECK(page);
	CHECK(is_destroying || !page->cached);
	CHECK(order == (is_destroying && pa.pa == table.root.pa ? table.root_order : 0));
	*page = pages[--page_count];
	free((void *)pa.pa);
}

static const struct pgtable_format formats[] = {
	{"stage 1", pgtable_stage1_leaf, pgtable_stage1_prot, test_publish, test_invalidate,
	 test_alloc, test_free},
	{"stage 2", pgtable_stage2_leaf, pgtable_stage2_prot, test_publish, test_invalidate,
	 test_alloc, test_free},
};

/* ---- checks after an operation ---- */

static bool same_access(const struct translation *a, const struct translation *b)
{
	return a->pa == b->pa && a->prot == b->prot;
}

static void check_all(void)
{
	unsigned wrong = 0, stale = 0;

	look();
	for (unsigned i = 0; i < SPAN_PAGES; i++) {
		wrong += !now[i].level != !model[i].level;
		wrong += now[i].level && !same_access(&now[i], &model[i]);
		stale += tlb[i].level &&
			 (tlb[i].level != now[i].level || !same_access(&tlb[i], &now[i]));
	}
	CHECK(wrong == 0);
	CHECK(stale == 0);
	for (unsigned i = 0; i < page_count; i++)
		CHECK(pages[i].reachable); /* or it leaked */
	CHECK(empty_tables == 0 && junk == 0);
	CHECK(table.mapped_bytes == mapped_pages * PAGE_SIZE);
	CHECK(table.table_bytes == (page_count - 1 + (1UL << table.root_order)) * PAGE_SIZE);
	walk_everything();
}

static u64 hash_tables(void)
{
	u64 hash = table.table_bytes ^ table.mapped_bytes << 7;

	for (unsigned i = 0; i < page_count; i++) {
		const u64 *words = (const u64 *)pages[i].address;
		u64 bytes = PAGE_SIZE << (pages[i].address == table.root.pa ? table.root_order : 0);

		for (u64 w = 0; w < bytes / 8; w++)
			hash = (hash ^ words[w]) * 0x9e3779b97f4a7c15u + w;
	}
	return hash;
}

static unsigned canonical(unsigned prot)
{
	if (table.format == &formats[0])
		prot |= PROT_READ; /* stage 1 cannot say no */
	return prot & PROT_DEVICE ? prot & ~PROT_EXEC : prot;
}

/* ---- operations ---- */

enum kind {
	MAP,
	UNMAP,
	PROTECT
};

struct operation {
	enum kind kind;
	u64 first, count; /* pages of the span */
	pa_t pa;
	unsigned prot;
};

static int perform(const struct operation *op)
{
	u64 address = base + op->first * PAGE_SIZE, bytes = op->count * PAGE_SIZE;

	switch (op->kind) {
	case MAP:
		return pgtable_map(&table, address, op->pa, bytes, op->prot);
	case UNMAP:
		return pgtable_unmap(&table, address, bytes);
	default:
		return pgtable_protect(&table, address, bytes, op->prot);
	}
}

static int perform_on_model(const struct operation *op)
{
	for (u64 i = op->first; op->kind == MAP && i < op->first + op->count; i++)
		if (model[i].level)
			return -EEXIST;
	for (u64 i = 0; i < op->count; i++) {
		struct translation *page = &model[op->first + i];

		if (op->kind == UNMAP)
			page->level = 0;
		else if (op->kind == MAP)
			*page = (struct translation){op->pa.pa + i * PAGE_SIZE, 1, 0};
		if (page->level && op->kind == MAP)
			page->prot = (u8)canonical(op->prot);
		if (page->level && op->kind == PROTECT) /* the memory type stays */
			page->prot = (u8)canonical((op->prot & ~PROT_DEVICE) |
						   (page->prot & PROT_DEVICE));
	}
	return 0;
}

/* Blocks are as large as alignment, length and the start level allow. */
static void check_block_sizes(const struct operation *op)
{
	for (u64 i = 0, size; i < op->count; i += size / PAGE_SIZE) {
		u64 address = base + (op->first + i) * PAGE_SIZE;
		unsigned level = table.start_level > 1 ? table.start_level : 1;

		for (;; level++) {
			size = 1UL << (39 - 9 * level);
			if (is_aligned(address | (op->pa.pa + i * PAGE_SIZE), size) &&
			    (op->count - i) * PAGE_SIZE >= size)
				break;
		}
		CHECK(now[op->first + i].level == level);
	}
}

static struct operation random_operation(void)
{
	static const u64 units[] = {1, 1, 512, 512, 262144};
	u64 unit = units[check_below(5)];
	struct operation op = {.kind = (enum kind)check_below(3),
			       .prot = (unsigned)check_below(16)};

	op.first = check_below(SPAN_PAGES);
	op.count = 1 + check_below(unit == 1 ? 40 : 3 * unit);
	if (check_below(4)) { /* mostly whole blocks, or off by little */
		op.first = align_down(op.first, unit) + (check_below(4) ? 0 : check_below(3));
		op.count = align_up(op.count, unit) + (check_below(4) ? 0 : check_below(3));
	}
	if (op.first >= SPAN_PAGES)
		op.first = SPAN_PAGES - 1;
	op.count = min_u64(op.count, SPAN_PAGES - op.first);
	/* Aligned like the input address to 1 GiB, to 2 MiB, or not: then not too much of it. */
	u64 like = base + op.first * PAGE_SIZE;
	u64 shift = check_below(3) == 0 ? PAGE_SIZE : check_below(2) ? BLOCK_SIZE : GIB(1);

	if (shift == PAGE_SIZE && op.kind == MAP)
		op.count = min_u64(op.count, 3000);

	op.pa = PA((like + shift * check_below(0x1000)) & 0xffffffff000);
	return op;
}

/* Every allocation in turn is the one that fails; only then may the operation succeed. */
static int perform_with_failures(const struct operation *op)
{
	for (int allowed = 0;; allowed++) {
		u64 before = hash_tables();
		unsigned invalidations_before = invalidations;
		int error;

		allocations_left = allowed;
		error = perform(op);
		allocations_left = -1;
		if (error != -ENOMEM)
			return error;
		CHECK(hash_tables() == before);
		CHECK(invalidations == invalidations_before);
		/* Mapping misaligned memory by pages takes hundreds: skip ahead. */
		if (allowed > 4)
			allowed = -2 + (int)check_below(1024);
	}
}

static void run_operation(struct operation op)
{
	u64 before = hash_tables();
	int expected = perform_on_model(&op), error = perform_with_failures(&op);

	CHECK(error == expected);
	if (error)
		CHECK(hash_tables() == before);
	check_all();
	if (op.kind == MAP && !error)
		check_block_sizes(&op);
}

static int compare_leaf(void *context, u64 address, const struct pgtable_leaf *leaf)
{
	u64 *next = context;
	const struct translation *page = &now[(address - base) / PAGE_SIZE];

	CHECK(address >= *next && is_aligned(address, leaf->size));
	CHECK(leaf->pa.pa == page->pa && leaf->level == page->level && leaf->prot == page->prot);
	CHECK(leaf->size == 1UL << (39 - 9 * leaf->level));
	*next = address + leaf->size;
	leaf_count--;
	return 0;
}

static int stop_at_once(void *context, u64 address, const struct pgtable_leaf *leaf)
{
	*(u64 *)context = address;
	return 77;
}

/* A hole around @address is as large as a lookup said: what lies there is chosen at random. */
static void check_hole(u64 address, u64 size)
{
	u64 offset = align_down(address, size) + check_below(size) - base;

	CHECK(offset >= SPAN_BYTES || !now[offset / PAGE_SIZE].level);
}

static void check_readers(void)
{
	u64 next = 0, seen = ~0UL;
	struct pgtable_leaf leaf;

	for (unsigned i = 0; i < 200; i++) {
		u64 offset = check_below(SPAN_BYTES);
		const struct translation *page = &now[offset / PAGE_SIZE];
		int error = pgtable_lookup(&table, base + offset, &leaf);

		CHECK(error == (page->level ? 0 : -ENOENT));
		CHECK(leaf.size == 1UL << (39 - 9 * leaf.level));
		if (!error)
			CHECK(leaf.pa.pa == page->pa + offset % PAGE_SIZE &&
			      leaf.level == page->level && leaf.prot == page->prot);
		else
			check_hole(base + offset, leaf.size);
	}
	CHECK(pgtable_lookup(&table, 1UL << table.input_bits, &leaf) == -ENOENT);
	CHECK(pgtable_lookup(&table, ~0UL, &leaf) == -ENOENT);
	CHECK(pgtable_visit(&table, base, SPAN_BYTES, compare_leaf, &next) == 0);
	CHECK(leaf_count == 0);
	if (next) {
		CHECK(pgtable_visit(&table, next - PAGE_SIZE, PAGE_SIZE, stop_at_once, &seen) ==
		      77);
		CHECK(seen <= next - PAGE_SIZE);
	}
}

/* What cannot be done is refused, and nothing changes. */
static void check_refusals(void)
{
	u64 limit = 1UL << table.input_bits, before = hash_tables();

	CHECK(pgtable_map(&table, base + 1, PA(0), PAGE_SIZE, PROT_READ) == -EINVAL);
	CHECK(pgtable_map(&table, base, PA(0x800), PAGE_SIZE, PROT_READ) == -EINVAL);
	CHECK(pgtable_map(&table, base, PA(0), 0x800, PROT_READ) == -EINVAL);
	CHECK(pgtable_map(&table, base, PA(1UL << 52), PAGE_SIZE, PROT_READ) == -EINVAL);
	CHECK(pgtable_map(&table, base, PA((1UL << 48) - PAGE_SIZE), 2 * PAGE_SIZE, PROT_READ) ==
	      -EINVAL);
	CHECK(pgtable_map(&table, limit, PA(0), PAGE_SIZE, PROT_READ) == -ERANGE);
	CHECK(pgtable_map(&table, limit - PAGE_SIZE, PA(0), 2 * PAGE_SIZE, PROT_READ) == -ERANGE);
	CHECK(pgtable_map(&table, base, PA(0), ~0UL << 12, PROT_READ) == -ERANGE);
	CHECK(pgtable_unmap(&table, base, 1) == -EINVAL);
	CHECK(pgtable_unmap(&table, ~0UL << 12, PAGE_SIZE) == -ERANGE);
	CHECK(pgtable_unmap(&table, ~0UL << 12, 2 * PAGE_SIZE) == -ERANGE);
	CHECK(pgtable_protect(&table, base, limit, PROT_READ) == (base ? -ERANGE : 0));
	CHECK(pgtable_visit(&table, limit, PAGE_SIZE, stop_at_once, NULL) == -ERANGE);
	CHECK(base == 0 || hash_tables() == before);
}

/* Input size, concatenation, and the start level and root that follow from the manual's tables. */
static const struct geometry {
	unsigned input_bits;
	bool concatenate;
	unsigned start_level, root_order;
} geometries[] = {
	{32, false, 1, 0}, {32, true, 2, 2},  {33, true, 2, 3},	 {34, true, 2, 4},
	{35, true, 1, 0},  {39, false, 1, 0}, {40, false, 0, 0}, {40, true, 1, 1},
	{43, true, 1, 4},  {44, true, 0, 0},  {48, false, 0, 0}, {48, true, 0, 0},
};

static void run_geometry(const struct geometry *geometry, const struct pgtable_format *format)
{
	memset(model, 0, sizeof(model));
	memset(tlb, 0, sizeof(tlb));
	allocations_left = 0;
	CHECK(pgtable_init(&table, format, geometry->input_bits, geometry->concatenate) == -ENOMEM);
	allocations_left = -1;
	CHECK(pgtable_init(&table, format, geometry->input_bits, geometry->concatenate) == 0);
	CHECK(table.start_level == geometry->start_level);
	CHECK(table.root_order == geometry->root_order);
	/* The span lies anywhere in the input space; its end is often the end of all. */
	u64 places = (1UL << (geometry->input_bits - 30)) - 1;

	base = check_below(2) ? GIB(1) * (places - 1) : GIB(1) * check_below(places);
	check_all();
	/* The largest block there is, and a hole in it: rare by chance. */
	run_operation((struct operation){MAP, 0, SPAN_PAGES, PA(GIB(7)), PROT_READ});
	run_operation((struct operation){UNMAP, check_below(200000), 3, PA(0), 0});
	for (unsigned i = 0; i < OPERATIONS; i++)
		run_operation(random_operation());
	check_readers();
	check_refusals();
	look();
	is_destroying = true;
	pgtable_destroy(&table);
	is_destroying = false;
	CHECK(page_count == 0 && table.table_bytes == 0 && table.mapped_bytes == 0);
}

/* Leaf bits by hand from the manual, and the inverse for all permissions. */
static void check_attributes(void)
{
	unsigned rw = PROT_READ | PROT_WRITE, rx = PROT_READ | PROT_EXEC;
	u64 shareability = 3UL << 8; /* of Device memory means nothing */

	CHECK(pgtable_stage1_leaf(rx) == 0x7c4);
	CHECK(pgtable_stage1_leaf(rw) == (1UL << 54 | 0x744));
	CHECK((pgtable_stage1_leaf(rw | PROT_DEVICE) | shareability) == (1UL << 54 | 0x740));
	CHECK(pgtable_stage2_leaf(rw | PROT_EXEC) == 0x7fc);
	CHECK(pgtable_stage2_leaf(PROT_READ) == (1UL << 54 | 0x77c));
	CHECK((pgtable_stage2_leaf(rw | PROT_DEVICE) | shareability) == (1UL << 54 | 0x7c4));
	for (unsigned prot = 0; prot < 16; prot++)
		for (unsigned f = 0; f < ARRAY_SIZE(formats); f++) {
			table.format = &formats[f];
			CHECK(formats[f].prot(formats[f].leaf(prot)) == canonical(prot));
		}
}

/* Entries of level 0 cannot be blocks: 512 GiB are 512 blocks at level 1. */
static void check_largest_block(void)
{
	struct pgtable_leaf leaf;

	CHECK(pgtable_init(&table, &formats[1], 48, false) == 0);
	CHECK(pgtable_map(&table, GIB(512), PA(0), GIB(512), PROT_READ) == 0);
	CHECK(pgtable_lookup(&table, GIB(1024) - 1, &leaf) == 0);
	CHECK(leaf.level == 1 && leaf.pa.pa == GIB(512) - 1);
	CHECK(table.table_bytes == 2 * PAGE_SIZE && table.mapped_bytes == GIB(512));
	is_destroying = true;
	pgtable_destroy(&table);
	is_destroying = false;
}

int main(void)
{
	check_attributes();
	check_largest_block();
	for (unsigned g = 0; g < ARRAY_SIZE(geometries); g++)
		for (unsigned f = 0; f < ARRAY_SIZE(formats); f++)
			run_geometry(&geometries[g], &formats[f]);
	return check_finish();
}
