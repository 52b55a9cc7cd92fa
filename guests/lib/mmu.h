/* SPDX-License-Identifier: MIT */
/* Stage 1 of a guest: an identity map of RAM and devices, with single pages changed at will. */
#ifndef GUEST_MMU_H
#define GUEST_MMU_H

#include "lib/types.h"

#define PTE_VALID 1UL
#define PTE_PAGE 2UL
#define PTE_NORMAL (0UL << 2) /* index into MAIR */
#define PTE_DEVICE (1UL << 2)
#define PTE_EL0 (1UL << 6)
#define PTE_READ_ONLY (1UL << 7)
#define PTE_INNER_SHAREABLE (3UL << 8)
#define PTE_ACCESS (1UL << 10)
#define PTE_PXN (1UL << 53)
#define PTE_UXN (1UL << 54)

/** mmu_enable() - identity map of [0, 4 GiB): devices below 1 GiB, RAM above; caches on */
void mmu_enable(void);

/** mmu_enable_cpu() - the same map, on one more CPU */
void mmu_enable_cpu(void);

/** mmu_disable() - flat addresses again */
void mmu_disable(void);

/**
 * mmu_map_page() - map the 4 KiB page at @va, inside the 2 MiB around free_memory(), to @address
 * @attributes: PTE_* without valid and page bits; 0 unmaps it
 */
void mmu_map_page(u64 va, u64 address, u64 attributes);

/** mmu_map_page_here() - the same for a page that no other vCPU uses: TLBI without IS */
void mmu_map_page_here(u64 va, u64 address, u64 attributes);

#endif
