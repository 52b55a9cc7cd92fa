// SPDX-License-Identifier: MIT
/*
 * Guest RAM as layer 1 has it: each VM gets a contiguous piece of physical memory, and a guest's
 * physical addresses are the machine's. Nothing keeps a guest inside; layer 2 will.
 *
 * Also here, for every implementation: pristine contents, and EL2's way to guest memory.
 */
#include "guest_memory.h"

#include "el2_boot.h"
#include "internal.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "page_alloc.h"

#define BULK 64 /* pages_zero() and pages_copy() move this many bytes at a time */

/* The ends byte by byte where they are no whole pieces, the rest in bulk. */
static void fill_zero(u8 *to, u64 bytes)
{
	u64 head = min_u64(align_up((u64)to, BULK) - (u64)to, bytes);
	u64 bulk = align_down(bytes - head, BULK);

	memset(to, 0, head);
	pages_zero(to + head, bulk);
	memset(to + head + bulk, 0, bytes - head - bulk);
}

static void fill_copy(u8 *to, const u8 *from, u64 bytes)
{
	u64 bulk = is_aligned((u64)to | (u64)from, BULK) ? align_down(bytes, BULK) : 0;

	pages_copy(to, from, bulk);
	memcpy(to + bulk, from + bulk, bytes - bulk);
}

void guest_memory_fill(const struct vm *vm, u64 ram_offset, void *to, u64 bytes)
{
	const struct bundle_vm *config = vm->config;
	u64 filled = ram_offset, end = ram_offset + bytes;

	/* Segments do not overlap; between two of them, and around them, memory is zero. */
	while (filled < end) {
		const struct bundle_segment *next = NULL;
		u64 start, stop;

		for (u32 i = 0; i < config->segment_count; i++) {
			const struct bundle_segment *s = &config->segments[i];

			if (s->ram_offset + s->size_bytes > filled && s->ram_offset < end &&
			    (!next || s->ram_offset < next->ram_offset))
				next = s;
		}
		start = next ? max_u64(next->ram_offset, filled) : end;
		stop = next ? min_u64(next->ram_offset + next->size_bytes, end) : end;
		fill_zero((u8 *)to + (filled - ram_offset), start - filled);
		if (next)
			fill_copy((u8 *)to + (start - ram_offset),
				  (u8 *)phys_to_virt(PA(PLAT_BUNDLE_BASE)) + next->file_offset +
					  (start - next->ram_offset),
				  stop - start);
		filled = stop;
	}
}

int flat_create(struct vm *vm)
{
	pa_t pa = page_alloc_range(vm->ram_bytes);

	if (!pa_is_valid(pa))
		return -ENOMEM;
	vm->ram_base = pa.pa;
	guest_memory_fill(vm, 0, phys_to_virt(pa), vm->ram_bytes);
	return 0;
}

/* Nothing to give back piece by piece: flat_destroy() returns all of it, as it was taken. */
bool flat_release(struct vm *vm)
{
	return false;
}

void flat_destroy(struct vm *vm)
{
	if (vm->ram_base)
		page_free_range(PA(vm->ram_base), vm->ram_bytes);
	vm->ram_base = 0;
}

void *flat_page(struct vm *vm, ipa_t address)
{
	if (address.ipa - vm->ram_base >= vm->ram_bytes)
		return NULL;
	return phys_to_virt(PA(align_down(address.ipa, PAGE_SIZE)));
}

/*
 * Page by page, twice: first without copying, so that a fault half-way has copied nothing. The pages
 * stay the VM's: a vCPU that gives memory back takes device_lock for that.
 */
static int guest_access(struct vm *vm, ipa_t address, void *buffer, u64 bytes, bool is_write)
{
	spin_assert_held(&vm->device_lock);
	for (int commit = 0; commit < 2; commit++) {
		for (u64 done = 0, piece; done < bytes; done += piece) {
			u64 ipa = address.ipa + done;
			u64 offset = ipa & (PAGE_SIZE - 1);
			u8 *page =
				ipa < address.ipa ? NULL : guest_memory_ops()->page(vm, IPA(ipa));

			piece = min_u64(bytes - done, PAGE_SIZE - offset);
			if (!page)
				return -EFAULT;
			if (commit && is_write)
				memcpy(page + offset, (u8 *)buffer + done, piece);
			else if (commit)
				memcpy((u8 *)buffer + done, page + offset, piece);
		}
	}
	return 0;
}

int vmm_memory_read(struct vm *vm, ipa_t address, void *to, u64 bytes)
{
	return guest_access(vm, address, to, bytes, false);
}

int vmm_memory_write(struct vm *vm, ipa_t address, const void *from, u64 bytes)
{
	return guest_access(vm, address, (void *)from, bytes, true);
}
