// SPDX-License-Identifier: MIT
/*
 * Every offset of every device with every access width, aligned or not, loaded and stored with
 * random values. Mapped as Normal memory, so that misaligned accesses reach the hypervisor.
 */
#include "gic.h"
#include "mmu.h"
#include "probe.h"

struct region {
	u64 base;
	u64 bytes;
};

static const struct region regions[] = {
	{0x09000000, 0x1000}, {0x08000000, 0x1000}, {0x08006000, 0x1000}, {0x0800f000, 0x1000},
	{0x08010000, 0x1000}, {0x08011000, 0x1000}, {0x080a0000, 0x1000}, {0x080af000, 0x1000},
	{0x080b0000, 0x1000}, {0x080bf000, 0x1000}, {0x0a000000, 0x1000}, {0x0a003000, 0x1000},
	{0x00000000, 0x1000}, {0x07fff000, 0x1000},
};

static const u32 loads[] = {0x39400001, 0x79400001, 0xb9400001, 0xf9400001};
static const u32 stores[] = {0x39000001, 0x79000001, 0xb9000001, 0xf9000001};

static u64 answered, aborted, strange;

static void access(u64 address, u32 insn)
{
	u64 value[2] = {address, random()};

	if (!insn_try(MODE_EL1H, insn, value))
		answered++;
	else if (ESR_EC(exception_seen.esr) == ESR_EC_DABT_SAME)
		aborted++;
	else
		strange++;
	if ((answered + aborted) % 4096 == 0)
		vm_yield();
}

/* The data register of the serial port would flood the console. */
static bool is_uart_data(const struct region *r, u64 offset)
{
	return r->base == 0x09000000 && offset < 4;
}

static void sweep(const struct region *r, u64 va)
{
	mmu_map_page(va, r->base, PTE_NORMAL | PTE_ACCESS | PTE_PXN | PTE_UXN);
	for (unsigned size = 0; size < 4; size++) {
		for (u64 offset = 0; offset < r->bytes; offset += 1 + random() % 5)
			access(va + offset, loads[size]);
		for (u64 offset = 0; offset < r->bytes; offset += 1 + random() % 5) {
			if (!is_uart_data(r, offset))
				access(va + offset, stores[size]);
		}
	}
}

void probe(void)
{
	u64 va = align_up(free_memory(), 8192) + 4096;

	mmu_enable();
	for (unsigned i = 0; i < ARRAY_SIZE(regions); i++)
		sweep(&regions[i], va);
	mmu_disable();
	report_equal("every access was answered or aborted", strange, 0);
	report(answered > 10000, "many were answered", answered, 10000);
	report_equal("calls are still served", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
