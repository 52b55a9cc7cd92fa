// SPDX-License-Identifier: MIT
/*
 * A VM's RAM behind stage 2. Nothing is mapped at first; a piece of memory comes in when the guest
 * touches it. What a VM *has* is ram_bytes, what it *uses* is stage2.resident_bytes. How memory
 * goes back to EL2 is in guest_ram_release.c.
 *
 * Memory comes in blocks of 2 MiB, for a VM mapped by pages in pieces of 64 KiB, and in single
 * pages where such a piece is not to be had or is partly mapped. A piece is filled, with zeros or
 * the pristine image, before it is mapped: the guest never reads what another VM left there.
 *
 * A guest reads memory past the caches when it maps that memory Non-cacheable, or has its MMU off.
 * So a new piece is cleaned and invalidated to the point of coherency after it was filled. Then
 * memory holds what EL2 wrote, and no line of an earlier owner is left that could be written back
 * over it: fill() went through the same lines. Where the CPU forces write-back on the guest
 * (FEAT_S2FWB), the guest has no way past the caches, and nothing is cleaned.
 *
 * EL2 reads guest memory through the caches (vmm_memory_read()). What the guest wrote past them EL2
 * may read stale, as a device would: that guest's own older data or zeros, nobody else's.
 *
 * stage2.lock protects all of this.
 */
#include "cache.h"
#include "el2_boot.h"
#include "exercise.h"
#include "guest_memory.h"
#include "internal.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "tlb.h"

#define PIECE_ORDER 4 /* 64 KiB: what one touch of a VM that is mapped by pages brings in */

#define PROT_GUEST_RAM (PROT_READ | PROT_WRITE | PROT_EXEC)

/* ---- contents ---- */

static inline u64 block_number(const struct vm *vm, u64 ipa)
{
	return (ipa - vm->ram_base) / BLOCK_SIZE;
}

void guest_ram_forget_image(struct vm *vm, u64 ipa)
{
	u64 block = block_number(vm, ipa);

	spin_assert_held(&vm->stage2.lock);
	vm->stage2.released_blocks[block / 64] |= BIT(block % 64);
}

bool guest_ram_has_image(const struct vm *vm, u64 ipa, u64 bytes)
{
	u64 block = block_number(vm, ipa), offset = ipa - vm->ram_base;

	spin_assert_held(&vm->stage2.lock);
	if (vm->stage2.released_blocks[block / 64] & BIT(block % 64))
		return false;
	for (u32 i = 0; i < vm->config->segment_count; i++) {
		const struct bundle_segment *segment = &vm->config->segments[i];

		if (segment->ram_offset < offset + bytes &&
		    offset < segment->ram_offset + segment->size_bytes)
			return true;
	}
	return false;
}

/*
 * Fill new memory and clean it to the point of coherency, for the reasons in the head of this file.
 * Instructions are fetched from there, too; with FEAT_S2FWB a fetch sees the data cache
 * (CTR_EL0.IDC). Lines of the instruction cache may belong to the memory's earlier contents.
 */
static void fill(struct vm *vm, u64 ipa, void *to, u64 bytes)
{
	if (guest_ram_has_image(vm, ipa, bytes))
		guest_memory_fill(vm, ipa - vm->ram_base, to, bytes);
	else
		pages_zero(to, bytes);
	if (!cpu_forces_write_back())
		dcache_clean_invalidate(to, bytes);
	dsb_ish();
	ic_ialluis();
	dsb_ish();
	isb();
}

/* ---- a touch brings memory in ---- */

/**
 * Exercise 2.8: populate() - back 2^@order pages from @ipa on with filled memory
 * @ipa: aligned to that size; the range lies in RAM, and nothing is mapped there
 *
 * Allocate, fill(), map with PROT_GUEST_RAM, count resident_bytes. Whatever fails, no memory is
 * lost.
 *
 * Return: 0 or -ENOMEM.
 */
EXERCISE(2.8)
static int populate(struct vm *vm, u64 ipa, unsigned order)
{
	TODO(2.8);
}

static int report_leaf(void *context, u64 address, const struct pgtable_leaf *leaf)
{
	return 1;
}

/*
 * Whether any of the piece of 2^@order pages at @ipa is mapped; @hole is what a lookup found in it.
 * No table is empty: where less than a block is a hole, a part of the block is mapped.
 */
static bool is_mapped(struct vm *vm, u64 ipa, unsigned order, const struct pgtable_leaf *hole)
{
	u64 bytes = PAGE_SIZE << order;

	if (hole->size >= bytes)
		return false;
	return order == PAGE_ORDER_MAX ||
	       pgtable_visit(&vm->stage2.table, ipa, bytes, report_leaf, NULL) != 0;
}

/* What a touch brings in if it can: a block, which stage 2 maps by one entry, or a few pages. */
static inline unsigned piece_order(const struct vm *vm)
{
	return vm->config->flags & BUNDLE_VM_PAGES_4K ? PIECE_ORDER : PAGE_ORDER_MAX;
}

/**
 * Exercise 2.8: guest_ram_populate_locked() - guest_ram_populate() with stage2.lock held
 *
 * If the page is mapped, another vCPU touched it first, and nothing is to be done. Otherwise
 * populate() the whole piece of piece_order() around the page. If a part of the piece is mapped
 * (is_mapped(), with what pgtable_lookup() said of the page), or populate() has no memory for the
 * piece, the page alone. RAM begins and ends on a block.
 *
 * Return: 0 or -ENOMEM.
 */
EXERCISE(2.8)
int guest_ram_populate_locked(struct vm *vm, u64 ipa)
{
	TODO(2.8);
}

int guest_ram_populate(struct vm *vm, u64 ipa)
{
	spin_lock(&vm->stage2.lock);
	int error = guest_ram_populate_locked(vm, ipa);

	spin_unlock(&vm->stage2.lock);
	return error;
}

/* ---- the implementation of guest RAM ---- */

static unsigned bitmap_order(const struct vm *vm)
{
	return page_order_for((vm->ram_bytes / BLOCK_SIZE + 63) / 64 * sizeof(u64));
}

int paged_create(struct vm *vm)
{
	pa_t bitmap = page_alloc_zeroed(bitmap_order(vm));
	int error = -ENOMEM;

	vm->ram_base = GUEST_RAM_BASE;
	if (pa_is_valid(bitmap))
		error = stage2_create(vm);
	if (error && pa_is_valid(bitmap))
		page_free(bitmap, bitmap_order(vm));
	if (!error)
		vm->stage2.released_blocks = phys_to_virt(bitmap);
	return error;
}

void paged_destroy(struct vm *vm)
{
	if (!vm->stage2.released_blocks)
		return;
	stage2_destroy(vm);
	page_free(virt_to_phys(vm->stage2.released_blocks), bitmap_order(vm));
	vm->stage2.released_blocks = NULL;
}

void *paged_page(struct vm *vm, ipa_t address)
{
	struct pgtable_leaf leaf;
	void *page = NULL;

	if (!guest_ram_contains(vm, address.ipa))
		return NULL;
	spin_lock(&vm->stage2.lock);
	if (!guest_ram_populate_locked(vm, address.ipa) &&
	    !pgtable_lookup(&vm->stage2.table, align_down(address.ipa, PAGE_SIZE), &leaf))
		page = phys_to_virt(leaf.pa);
	spin_unlock(&vm->stage2.lock);
	return page;
}
