/* SPDX-License-Identifier: MIT */
/*
 * Identity map: level 1 blocks of 1 GiB, and one 2 MiB region, that of the first free memory,
 * in 4 KiB pages. The tables are static; only this file writes them.
 */
#include "mmu.h"

#include "cpu.h"
#include "probe.h"

#define BLOCK 1UL
#define TABLE 3UL
#define RAM_ATTRIBUTES (PTE_NORMAL | PTE_INNER_SHAREABLE | PTE_ACCESS)
#define DEVICE_ATTRIBUTES (PTE_DEVICE | PTE_ACCESS | PTE_PXN | PTE_UXN)

static u64 level1[512] __attribute__((aligned(4096)));
static u64 level2[512] __attribute__((aligned(4096)));
static u64 level3[512] __attribute__((aligned(4096)));

static u64 *entry_of(u64 va)
{
	return &level3[va >> 12 & 511];
}

static void entry_make(u64 va, u64 address, u64 attributes)
{
	if (attributes)
		*(volatile u64 *)entry_of(va) = address | attributes | PTE_PAGE | PTE_VALID;
	dsb();
	isb();
}

void mmu_map_page(u64 va, u64 address, u64 attributes)
{
	*(volatile u64 *)entry_of(va) = 0; /* break before make */
	asm volatile("dsb ish\n\ttlbi vaae1is, %0\n\tdsb ish\n\tisb" ::"r"(va >> 12) : "memory");
	entry_make(va, address, attributes);
}

void mmu_map_page_here(u64 va, u64 address, u64 attributes)
{
	*(volatile u64 *)entry_of(va) = 0;
	asm volatile("dsb nshst\n\ttlbi vaae1, %0\n\tdsb nsh\n\tisb" ::"r"(va >> 12) : "memory");
	entry_make(va, address, attributes);
}

void mmu_enable(void)
{
	u64 region = align_down(free_memory(), MIB(2));

	level1[0] = DEVICE_ATTRIBUTES | BLOCK;
	for (u64 i = 1; i < 4; i++)
		level1[i] = i << 30 | RAM_ATTRIBUTES | BLOCK;
	for (u64 i = 0; i < 512; i++) {
		level2[i] = (region & ~(GIB(1) - 1)) | i << 21 | RAM_ATTRIBUTES | BLOCK;
		level3[i] = region | i << 12 | RAM_ATTRIBUTES | PTE_PAGE | PTE_VALID;
	}
	level2[region >> 21 & 511] = (u64)level3 | TABLE;
	level1[region >> 30] = (u64)level2 | TABLE;
	mmu_enable_cpu();
}

void mmu_enable_cpu(void)
{
	sysreg_write(mair_el1, 0x00ff); /* 0 normal write-back, 1 Device-nGnRnE */
	sysreg_write(tcr_el1,
		     25 | 1UL << 8 | 1UL << 10 | 3UL << 12 | 1UL << 23); /* 39 bits, TTBR0 */
	sysreg_write(ttbr0_el1, (u64)level1);
	asm volatile("dsb ish\n\ttlbi vmalle1\n\tdsb ish\n\tisb" ::: "memory");
	sysreg_write(sctlr_el1, sysreg_read(sctlr_el1) | 1 | 4 | 1UL << 12);
	isb();
}

void mmu_disable(void)
{
	sysreg_write(sctlr_el1, sysreg_read(sctlr_el1) & ~(1UL | 4 | 1UL << 12));
	isb();
	asm volatile("tlbi vmalle1\n\tdsb ish\n\tisb" ::: "memory");
}
