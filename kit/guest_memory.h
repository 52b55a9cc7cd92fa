/* SPDX-License-Identifier: MIT */
/*
 * Where a VM's RAM comes from. Layer 1 gives each VM a flat piece of physical memory; layer 2 pages
 * it on demand behind stage 2. Each registers an implementation; the highest layer's is used.
 *
 * Pristine contents are a function of the bundle: the bytes of its segments, zero elsewhere. A VM
 * that is reset finds the pristine contents again.
 */
#ifndef STRATA_GUEST_MEMORY_H
#define STRATA_GUEST_MEMORY_H

#include "lib/types.h"
#include "registry.h"

/**
 * struct guest_memory - an implementation of guest RAM
 * @create: prepare @vm's RAM, vm->ram_bytes large, and set vm->ram_base; 0 or -ENOMEM. Runs before
 *	the layers' vm_create
 * @release: give back a bounded piece of the RAM of a VM that has ended; false when no piece is
 *	left. Called after the layers' vm_destroy, again and again, with interrupts taken in between
 * @destroy: give back everything else; harmless when there is nothing
 * @page: EL2's pointer to the 4 KiB page around @address, brought in if need be; NULL when
 *	@address is not RAM of the VM, or no memory is free
 */
struct guest_memory {
	const char *name;
	int (*create)(struct vm *vm);
	bool (*release)(struct vm *vm);
	void (*destroy)(struct vm *vm);
	void *(*page)(struct vm *vm, ipa_t address);
};

/** GUEST_MEMORY() - register layer @number's implementation */
#define GUEST_MEMORY(number, ...)                                                                  \
	REGISTRY_CLAIM(REGISTRY_JOIN(guest_memory_, number));                                      \
	REGISTRY_ENTRY(guest_memory, "memory." #number, guest_memory_ops_##number) = {__VA_ARGS__}

extern const struct guest_memory registry_memories[], registry_memories_end[];

/** guest_memory_ops() - the implementation in use */
static inline const struct guest_memory *guest_memory_ops(void)
{
	return registry_memories_end - 1;
}

/**
 * guest_memory_fill() - write the pristine contents of a piece of a VM's RAM
 * @ram_offset: from the VM's RAM base; with @bytes a multiple of 4 KiB
 * @to: where, at EL2
 */
void guest_memory_fill(const struct vm *vm, u64 ram_offset, void *to, u64 bytes);

#endif
