// SPDX-License-Identifier: MIT
/*
 * A VM's RAM behind stage 2: nothing at first, a piece of memory when the guest touches it, and
 * given back when the guest says that it does not need it. What a VM *has* is ram_bytes, what it
 * *uses* is stage2.resident_bytes.
 *
 * Memory comes in blocks of 2 MiB, for a VM mapped by pages in pieces of 64 KiB, and in single
 * pages where those are not to be had or are partly mapped. Every piece is filled, with zeros or
 * the pristine image, before it is mapped: nobody reads what another VM left. Conversely a piece is
 * freed only when no TLB of any CPU can reach it any more.
 *
 * A VM reads memory past the caches by mapping it Non-cacheable, or with its MMU off, whenever it
 * likes. So a new piece is cleaned and invalidated to the point of coherency after it was filled:
 * memory holds what EL2 wrote, and no line of an earlier owner is left that could be written back
 * over it, since fill() went through the same lines. Nothing is to be done when a piece is given
 * back: until the next fill() nobody looks at its contents. Where the CPU forces write-back on the
 * guest (FEAT_S2FWB), it has no way past the caches, and nothing is cleaned.
 *
 * EL2 reads guest memory through the caches (vmm_memory_read()). What the guest wrote past them it
 * may read stale, as a device would: that guest's own older data or zeros, nobody else's.
 *
 * stage2.lock covers all of this. RELEASE holds the VM's device lock too: device models use guest
 * memory by EL2's pointers, and those must not be pulled from under them.
 */
#include "cache.h"
#include "el2_boot.h"
#include "exercise.h"
#include "guest_memory.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "stage2_layer.h"
#include "tlb.h"

#define BATCH_PIECES 64
#define PIECE_ORDER 4 /* 64 KiB: what one touch of a VM that is mapped by pages brings in */

#define PROT_GUEST_RAM (PROT_READ | PROT_WRITE | PROT_EXEC)

bool guest_ram_contains(const struct vm *vm, u64 ipa)
{
	return ipa - vm->ram_base < vm->ram_bytes;
}

/* ---- contents ---- */

static inline u64 block_number(const struct vm *vm, u64 ipa)
{
	return (ipa - vm->ram_base) / BLOCK_SIZE;
}

static inline bool block_is_discarded(const struct vm *vm, u64 ipa)
{
	u64 block = block_number(vm, ipa);

	return vm->stage2.discarded[block / 64] >> (block % 64) & 1;
}

/* Whether a part of the pristine image lies in [ipa, ipa + bytes), inside one block. */
static bool has_image(const struct vm *vm, u64 ipa, u64 bytes)
{
	u64 offset = ipa - vm->ram_base;

	if (block_is_discarded(vm, ipa))
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
 * Fill new memory, for reasons that the head of this file gives to the point of coherency. That
 * also is where instructions are fetched from; with FEAT_S2FWB a fetch sees the data cache
 * (CTR_EL0.IDC). Old lines of the instruction cache may belong to what was there before.
 */
static void fill(struct vm *vm, u64 ipa, void *to, u64 bytes)
{
	if (has_image(vm, ipa, bytes))
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
 * populate() - back [@ipa, + 2^@order pages), where nothing is mapped, with filled memory
 * @ipa: aligned to that size, the range lies in RAM
 *
 * Allocate, fill(), map with PROT_GUEST_RAM, count resident_bytes. Whatever fails, nothing is lost.
 *
 * Return: 0 or -ENOMEM.
 */
EXERCISE(2.8)
static int populate(struct vm *vm, u64 ipa, unsigned order)
{
	struct stage2 *s2 = &vm->stage2;
	u64 bytes = PAGE_SIZE << order;
	pa_t pa = page_alloc(order);
	int error;

	if (!pa_is_valid(pa))
		return -ENOMEM;
	fill(vm, ipa, phys_to_virt(pa), bytes);
	error = pgtable_map(&s2->table, ipa, pa, bytes, PROT_GUEST_RAM);
	if (error) {
		page_free(pa, order);
		return error;
	}
	s2->resident_bytes += bytes;
	return 0;
}

static int report_leaf(void *context, u64 address, const struct pgtable_leaf *leaf)
{
	return 1;
}

static bool is_mapped(struct vm *vm, u64 ipa, u64 bytes)
{
	return pgtable_visit(&vm->stage2.table, ipa, bytes, report_leaf, NULL) != 0;
}

/* What a touch brings in if it can: a block, which stage 2 maps by one entry, or a few pages. */
static inline unsigned piece_order(const struct vm *vm)
{
	return vm->config->flags & BUNDLE_VM_PAGES_4K ? PIECE_ORDER : PAGE_ORDER_MAX;
}

/**
 * populate_locked() - guest_ram_populate() with stage2.lock held
 *
 * Done at once if the page is mapped: another vCPU touched it first. The whole piece of
 * piece_order() around it if nothing of that is mapped and it is to be had, else the page. RAM
 * begins and ends on a block.
 */
EXERCISE(2.8)
static int populate_locked(struct vm *vm, u64 ipa)
{
	unsigned order = piece_order(vm);
	u64 page = align_down(ipa, PAGE_SIZE), piece = align_down(ipa, PAGE_SIZE << order);
	struct pgtable_leaf leaf;

	if (!pgtable_lookup(&vm->stage2.table, page, &leaf))
		return 0;
	if (!is_mapped(vm, piece, PAGE_SIZE << order) && !populate(vm, piece, order))
		return 0;
	return populate(vm, page, 0);
}

int guest_ram_populate(struct vm *vm, u64 ipa)
{
	spin_lock(&vm->stage2.lock);
	int error = populate_locked(vm, ipa);

	spin_unlock(&vm->stage2.lock);
	return error;
}

/* ---- memory goes back ---- */

struct piece {
	pa_t pa;
	u64 bytes;
};

/* Pieces of memory that are mapped in [start, end); when there are too many, end is moved down. */
struct batch {
	u64 start, end;
	u64 bytes;
	unsigned count;
	struct piece pieces[BATCH_PIECES];
};

static int batch_add(void *context, u64 address, const struct pgtable_leaf *leaf)
{
	struct batch *batch = context;
	u64 start = max_u64(address, batch->start);
	u64 end = min_u64(address + leaf->size, batch->end);
	pa_t pa = pa_add(leaf->pa, start - address);
	struct piece *last = batch->pieces + batch->count - 1; /* if there is one */

	if (batch->count > 0 && last->pa.pa + last->bytes == pa.pa) {
		last->bytes += end - start;
	} else if (batch->count < BATCH_PIECES) {
		batch->pieces[batch->count++] = (struct piece){.pa = pa, .bytes = end - start};
	} else {
		batch->end = start;
		return 1;
	}
	batch->bytes += end - start;
	return 0;
}

/* Free a part of what was allocated as one block, in the largest pieces that are aligned. */
static void free_piece(pa_t pa, u64 bytes)
{
	while (bytes) {
		unsigned order = PAGE_ORDER_MAX;

		while (!is_aligned(pa.pa, PAGE_SIZE << order) || PAGE_SIZE << order > bytes)
			order--;
		page_free(pa, order);
		pa = pa_add(pa, PAGE_SIZE << order);
		bytes -= PAGE_SIZE << order;
	}
}

/**
 * give_back() - unmap the RAM in [@start, @end) and free what was behind it
 *
 * In this order: note which physical pages are mapped, unmap (which ends with the invalidation
 * complete), count resident_bytes down, free. The other way round the guest could write to memory
 * that is already somebody else's. stage2.lock is held; works in batches of bounded size.
 *
 * Return: 0, or -ENOMEM when a block sticks out and there is no memory to split it; what was done
 * so far stays done.
 */
EXERCISE(2.8)
static int give_back(struct vm *vm, u64 start, u64 end)
{
	struct stage2 *s2 = &vm->stage2;

	while (start < end) {
		struct batch batch = {.start = start, .end = end};
		int error;

		pgtable_visit(&s2->table, start, end - start, batch_add, &batch);
		error = pgtable_unmap(&s2->table, start, batch.end - start);
		if (error)
			return error;
		s2->resident_bytes -= batch.bytes;
		for (unsigned i = 0; i < batch.count; i++)
			free_piece(batch.pieces[i].pa, batch.pieces[i].bytes);
		start = batch.end;
	}
	return 0;
}

/*
 * The guest keeps the pages of @block outside [start, end): what the pristine image has for them is
 * brought in while it still counts.
 */
static int keep_image(struct vm *vm, u64 block, u64 start, u64 end)
{
	if (!has_image(vm, block, BLOCK_SIZE) || (start <= block && block + BLOCK_SIZE <= end))
		return 0;
	for (u64 page = block; page < block + BLOCK_SIZE; page += PAGE_SIZE) {
		int error = 0;

		if ((page < start || page >= end) && has_image(vm, page, PAGE_SIZE))
			error = populate_locked(vm, page);
		if (error)
			return error;
	}
	return 0;
}

/* Give back the part [start, end) of one block. */
static int release_in_block(struct vm *vm, u64 start, u64 end)
{
	u64 number = block_number(vm, start);
	int error = keep_image(vm, align_down(start, BLOCK_SIZE), start, end);

	if (error)
		return error;
	vm->stage2.discarded[number / 64] |= 1UL << (number % 64);
	return give_back(vm, start, end);
}

/**
 * release_is_valid() - whether a guest may give [@ipa, @ipa + @bytes) back
 *
 * Both are multiples of 4 KiB, @bytes is not 0, and all of it is the VM's RAM. Any 64-bit numbers
 * may come: no sum of them may wrap.
 */
EXERCISE(2.8)
static bool release_is_valid(const struct vm *vm, u64 ipa, u64 bytes)
{
	u64 offset = ipa - vm->ram_base;

	return is_aligned(ipa | bytes, PAGE_SIZE) && bytes > 0 && offset < vm->ram_bytes &&
	       bytes <= vm->ram_bytes - offset;
}

/**
 * memory_release() - hypercall STRATA_MEMORY_RELEASE(X1 = IPA, X2 = bytes)
 *
 * The guest does not need the contents any more; the range reads as zero when it is next touched.
 * X0 = 0, -EINVAL as release_is_valid() says, or -ENOMEM: a part of the range may be released then.
 *
 * A call does one block of 2 MiB. If that is not all, X1 and X2 move on and the guest is sent back
 * to its HVC or SMC: interrupts are taken in between, however much a guest gives back.
 */
static enum trap_result memory_release(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	u64 ipa = vcpu->frame.x[1], bytes = vcpu->frame.x[2];
	u64 piece = min_u64(bytes, align_down(ipa, BLOCK_SIZE) + BLOCK_SIZE - ipa);
	int error = -EINVAL;

	if (release_is_valid(vm, ipa, bytes)) {
		spin_lock(&vm->device_lock);
		spin_lock(&vm->stage2.lock);
		error = release_in_block(vm, ipa, ipa + piece);
		spin_unlock(&vm->stage2.lock);
		spin_unlock(&vm->device_lock);
	}
	if (!error && piece < bytes) {
		vcpu->frame.x[1] += piece;
		vcpu->frame.x[2] -= piece;
		vcpu->frame.pc -= 4;
		return TRAP_RESUME;
	}
	vcpu->frame.x[0] = (u64)error;
	return TRAP_RESUME;
}

/**
 * memory_stats() - hypercall STRATA_MEMORY_STATS: X0 = 0, X1 = bytes of RAM, X2 = resident,
 * X3 = tables
 */
EXERCISE(2.8)
static enum trap_result memory_stats(struct vcpu *vcpu)
{
	struct stage2 *s2 = &vcpu->vm->stage2;

	spin_lock(&s2->lock);
	vcpu->frame.x[0] = SMCCC_SUCCESS;
	vcpu->frame.x[1] = vcpu->vm->ram_bytes;
	vcpu->frame.x[2] = s2->resident_bytes;
	vcpu->frame.x[3] = s2->table.table_bytes;
	spin_unlock(&s2->lock);
	return TRAP_RESUME;
}

HYPERCALL(STRATA_MEMORY_RELEASE, memory_release);
HYPERCALL(STRATA_MEMORY_STATS, memory_stats);

/* ---- the implementation of guest RAM ---- */

static unsigned discarded_order(const struct vm *vm)
{
	return page_order_for((vm->ram_bytes / BLOCK_SIZE + 63) / 64 * sizeof(u64));
}

static int paged_create(struct vm *vm)
{
	pa_t discarded = page_alloc_zeroed(discarded_order(vm));
	int error = -ENOMEM;

	vm->ram_base = GUEST_RAM_BASE;
	if (pa_is_valid(discarded))
		error = stage2_create(vm);
	if (error && pa_is_valid(discarded))
		page_free(discarded, discarded_order(vm));
	if (!error)
		vm->stage2.discarded = phys_to_virt(discarded);
	return error;
}

/* One block after the other: none sticks out, nothing has to be split, so this cannot fail. */
static bool paged_release(struct vm *vm)
{
	struct stage2 *s2 = &vm->stage2;
	u64 start = vm->ram_base + s2->released_bytes;

	if (!s2->resident_bytes || s2->released_bytes >= vm->ram_bytes)
		return false;
	spin_lock(&s2->lock);
	give_back(vm, start, start + BLOCK_SIZE);
	s2->released_bytes += BLOCK_SIZE;
	spin_unlock(&s2->lock);
	return true;
}

static void paged_destroy(struct vm *vm)
{
	if (!vm->stage2.discarded)
		return;
	stage2_destroy(vm);
	page_free(virt_to_phys(vm->stage2.discarded), discarded_order(vm));
	vm->stage2.discarded = NULL;
}

static void *paged_page(struct vm *vm, ipa_t address)
{
	struct pgtable_leaf leaf;
	void *page = NULL;

	if (!guest_ram_contains(vm, address.ipa))
		return NULL;
	spin_lock(&vm->stage2.lock);
	if (!populate_locked(vm, address.ipa) &&
	    !pgtable_lookup(&vm->stage2.table, align_down(address.ipa, PAGE_SIZE), &leaf))
		page = phys_to_virt(leaf.pa);
	spin_unlock(&vm->stage2.lock);
	return page;
}

GUEST_MEMORY(2, .name = "paged", .create = paged_create, .release = paged_release,
	     .destroy = paged_destroy, .page = paged_page);
