/* SPDX-License-Identifier: MIT */
/* VMIDs that change hands: vmid.c. */
#ifndef STRATA_VMID_H
#define STRATA_VMID_H

#include "lib/types.h"
#include "platform/qemu_virt.h"

/**
 * struct vmid_space - the VMIDs of this machine; vmid_lock protects it
 * @generation: how often all VMIDs were there to be given out anew
 * @last: VMIDs are 1 to @last; 0 before the first generation
 * @next: those below have been given out in this generation, or were kept
 * @kept: by CPU: the VMID of the VM that was loaded there when this generation began, or VMID_NONE
 */
struct vmid_space {
	u64 generation;
	u32 last;
	u32 next;
	u32 kept[PLAT_CPU_MAX];
};

extern struct vmid_space vmid_space;

/** vmid_new() - hook_vmid_new() (kit/registry.h) */
u32 vmid_new(void);

#ifdef __aarch64__
/** tlbi_alle1is() - all that TLBs hold of guests, of both stages and all VMIDs, on all CPUs */
static inline void tlbi_alle1is(void)
{
	asm volatile("tlbi alle1is" ::: "memory");
}

/** ic_ialluis() - the instruction caches of all CPUs */
static inline void ic_ialluis(void)
{
	asm volatile("ic ialluis" ::: "memory");
}
#else
/* Supplied by a host test. */
void tlbi_alle1is(void);
void ic_ialluis(void);
#endif

#endif
