// SPDX-License-Identifier: MIT
/*
 * Memory of a VM goes back to EL2: pages that the guest says it does not need (a balloon driver
 * calls STRATA_MEMORY_RELEASE), and all of RAM when the VM has ended.
 *
 * A piece is freed only when no TLB of any CPU leads to it any more; otherwise the guest could
 * write to memory that is another VM's already. The contents stay as they are: nobody looks at them
 * until fill() has replaced them.
 *
 * stage2.lock protects all of this. RELEASE holds the VM's device lock, too: device models use
 * guest memory by EL2's pointers, and those must not be pulled from under them.
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "page_alloc.h"

#define BATCH_PIECES 64

struct piece {
	pa_t pa;
	u64 bytes;
};

/* Pieces of memory that are mapped in [start, end); when there are too many, end is moved down. */
struct batch {
	u64 start, end;
	u64 bytes;
	unsigned count;
	struct piece *pieces; /* room for BATCH_PIECES, of which @count are filled */
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
		unsigned order = 0;

		while (order < PAGE_ORDER_MAX && is_aligned(pa.pa, PAGE_SIZE << (order + 1)) &&
		       PAGE_SIZE << (order + 1) <= bytes)
			order++;
		page_free(pa, order);
		pa = pa_add(pa, PAGE_SIZE << order);
		bytes -= PAGE_SIZE << order;
	}
}

/**
 * Exercise 2.9: give_back() - unmap the RAM in [@start, @end) and free the memory behind it
 *
 * In batches of bounded size, each in this order: note which physical pages are mapped
 * (pgtable_visit() with batch_add(), which lowers batch.end when the batch is full); unmap up to
 * there, which ends with the invalidation complete; count resident_bytes down; free_piece() each
 * piece. stage2.lock is held.
 *
 * Return: 0, or -ENOMEM when a block sticks out and there is no memory to split it; earlier batches
 * stay given back.
 */
EXERCISE(2.9)
static int give_back(struct vm *vm, u64 start, u64 end)
{
	NOT_YET(2.9);
	return 0;
}

/*
 * The guest keeps the pages of @block outside [start, end): those that the pristine image has
 * contents for are brought in while the image still counts.
 */
static int keep_image(struct vm *vm, u64 block, u64 start, u64 end)
{
	if (!guest_ram_has_image(vm, block, BLOCK_SIZE) ||
	    (start <= block && block + BLOCK_SIZE <= end))
		return 0;
	for (u64 page = block; page < block + BLOCK_SIZE; page += PAGE_SIZE) {
		int error = 0;

		if ((page < start || page >= end) && guest_ram_has_image(vm, page, PAGE_SIZE))
			error = guest_ram_populate_locked(vm, page);
		if (error)
			return error;
	}
	return 0;
}

/* Give back the part [start, end) of one block. */
static int release_in_block(struct vm *vm, u64 start, u64 end)
{
	int error;

	spin_assert_held(&vm->device_lock);
	error = keep_image(vm, align_down(start, BLOCK_SIZE), start, end);
	if (error)
		return error;
	guest_ram_forget_image(vm, start);
	return give_back(vm, start, end);
}

/**
 * Exercise 2.9: release_is_valid() - whether a guest may give [@ipa, @ipa + @bytes) back
 *
 * Both are multiples of 4 KiB, @bytes is not 0, and all of the range is the VM's RAM. The guest may
 * pass any 64-bit numbers: no sum of them may wrap.
 */
EXERCISE(2.9)
static bool release_is_valid(const struct vm *vm, u64 ipa, u64 bytes)
{
	TODO(2.9);
}

/**
 * memory_release() - hypercall STRATA_MEMORY_RELEASE(X1 = IPA, X2 = bytes)
 *
 * The guest does not need the contents any more; the range reads as zero when it is next touched.
 * X0 = 0, -EINVAL as release_is_valid() says, -EBUSY when a device may use it, or -ENOMEM: a part of
 * the range may be released then.
 *
 * A call does one block of 2 MiB. If there are more, X1 and X2 move on and the guest is sent back
 * to its HVC or SMC: interrupts are taken in between, however much a guest gives back.
 */
enum trap_result memory_release(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	u64 ipa = vcpu->frame.x[1], bytes = vcpu->frame.x[2];
	u64 piece = min_u64(bytes, align_down(ipa, BLOCK_SIZE) + BLOCK_SIZE - ipa);
	int error = -EINVAL;

	if (release_is_valid(vm, ipa, bytes)) {
		spin_lock(&vm->device_lock);
		spin_lock(&vm->stage2.lock);
		error = vm->stage2.is_pinned ? -EBUSY : release_in_block(vm, ipa, ipa + piece);
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
 * Exercise 2.9: memory_stats() - hypercall STRATA_MEMORY_STATS
 *
 * X0 = 0, X1 = bytes of RAM, X2 = bytes resident, X3 = bytes of tables. All are of one moment: read
 * with stage2.lock held.
 */
EXERCISE(2.9)
enum trap_result memory_stats(struct vcpu *vcpu)
{
	TODO(2.9);
}

/* ---- a VM that has ended ---- */

/*
 * One block after the other: none sticks out, nothing is split, and give_back() cannot fail. Memory
 * that a device may still write to is nobody's any more.
 */
bool paged_release(struct vm *vm)
{
	struct stage2 *s2 = &vm->stage2;
	u64 start = vm->ram_base + s2->emptied_bytes;

	if (!s2->resident_bytes || s2->emptied_bytes >= vm->ram_bytes || s2->is_pinned)
		return false;
	spin_lock(&s2->lock);
	give_back(vm, start, start + BLOCK_SIZE);
	s2->emptied_bytes += BLOCK_SIZE;
	spin_unlock(&s2->lock);
	return true;
}
