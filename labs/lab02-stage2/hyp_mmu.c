// SPDX-License-Identifier: MIT
/*
 * EL2's own address space: one to one, everything with the least permission that it needs.
 *
 *	hypervisor text		read, execute
 *	its read-only data	read
 *	its data, all other RAM	read, write (guest memory and page tables are reached through here)
 *	devices			read, write, Device-nGnRE
 *	guard pages of stacks	nothing
 *
 * No page is writable and executable, and SCTLR_EL2.WXN holds even if a table says otherwise. The
 * table is built once, with the MMU off. Then each CPU turns its own MMU on, and nothing changes
 * the table any more: it needs no lock.
 *
 * Until then EL2 writes past the caches, and to its image alone, from .data on: the tables lie
 * there, too, since the page allocator begins later. The arm64 boot protocol, by which EL2 was
 * entered, has cleaned the image, whose size in the header includes BSS: a line that still covers a
 * part of it is an old copy. The first CPU invalidates these lines before it turns its caches on.
 * Manual: Arm ARM, "TCR_EL2", "SCTLR_EL2", "The effects of disabling an address translation stage".
 */
#include "bundle.h"
#include "cache.h"
#include "exercise.h"
#include "image.h"
#include "internal.h"
#include "lib/bits.h"
#include "page_alloc.h"
#include "pgtable.h"
#include "platform/qemu_virt.h"
#include "registry.h"
#include "stacks.h"
#include "stage2.h"
#include "tlb.h"
#include "vcpu.h"

#define HYP_INPUT_BITS 39 /* reaches the PCI configuration space above 256 GiB; root at level 1 */
#define HYP_INVALIDATE_PAGES_MAX 64

#define PCI_ECAM_BUS_BYTES MIB(1)

#define HYP_TABLES 16 /* the image's parts, RAM's end, the devices: 13 at most */

static struct pgtable hyp_table;
static u8 hyp_tables[HYP_TABLES][PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned hyp_tables_used;

unsigned cpu_pa_range(void)
{
	/* 6 and more are 52 bits and up, which need descriptor formats that are not used here. */
	return min_u64(bits_get(read_sysreg(id_aa64mmfr0_el1), 3, 0), 5);
}

static void hyp_publish(struct pgtable *table)
{
	dsb_ishst();
	isb();
}

/**
 * Exercise 2.4: hyp_invalidate() - drop EL2's translations of [@address, @address + @bytes) from
 * TLBs
 *
 * On all CPUs, page by page; for more than HYP_INVALIDATE_PAGES_MAX pages everything of EL2. The
 * stores to the table come first (DSB ISHST); on return the invalidation is complete (DSB ISH),
 * also for this CPU's fetches (ISB).
 */
EXERCISE(2.4)
static void hyp_invalidate(struct pgtable *table, u64 address, u64 bytes)
{
	TODO(2.4);
}

static pa_t hyp_table_alloc(unsigned order)
{
	if (order > 0 || hyp_tables_used == HYP_TABLES)
		return PA(PAGE_NONE);
	return virt_to_phys(hyp_tables[hyp_tables_used++]);
}

/* Nothing is freed but tables that were reserved in vain: the machine does not start then. */
static void hyp_table_free(pa_t table, unsigned order)
{
}

static const struct pgtable_format hyp_format = {
	.name = "EL2 stage 1",
	.leaf = pgtable_stage1_leaf,
	.prot = pgtable_stage1_prot,
	.publish = hyp_publish,
	.invalidate = hyp_invalidate,
	.table_alloc = hyp_table_alloc,
	.table_free = hyp_table_free,
};

static int hyp_map(u64 start, u64 end, unsigned prot)
{
	return pgtable_map(&hyp_table, start, PA(start), end - start, prot);
}

/**
 * Exercise 2.4: hyp_map_ram() - map RAM up to @ram_end by hyp_map()
 *
 * From image_start to text_end: read, execute. From rodata_start to rodata_end: read. The data from
 * data_start on, and all other RAM, which begins at PLAT_RAM_BASE: read, write.
 *
 * Return: 0 or the first error.
 */
EXERCISE(2.4)
static int hyp_map_ram(u64 ram_end)
{
	NOT_YET(2.4);
	return 0;
}

static int hyp_map_devices(void)
{
	unsigned prot = PROT_READ | PROT_WRITE | PROT_DEVICE;
	int error = hyp_map(PLAT_DEVICES_BASE, PLAT_DEVICES_BASE + PLAT_DEVICES_SIZE, prot);

	if (!error)
		error = hyp_map(PLAT_PCI_ECAM_BASE, PLAT_PCI_ECAM_BASE + PCI_ECAM_BUS_BYTES, prot);
	if (!error)
		error = hyp_map(PLAT_PCI_MMIO_BASE, PLAT_PCI_MMIO_BASE + PLAT_PCI_MMIO_SIZE, prot);
	return error;
}

/**
 * Exercise 2.4: hyp_unmap_guards() - unmap the guard pages of each CPU: cpu_stacks[].guard0, guard1
 *
 * Return: 0 or the first error.
 */
EXERCISE(2.4)
static int hyp_unmap_guards(void)
{
	NOT_YET(2.4);
	return 0;
}

int hyp_mmu_init(void)
{
	const struct bundle_header *bundle = phys_to_virt(PA(PLAT_BUNDLE_BASE));
	u64 ram_end = PLAT_RAM_BASE + align_down(bundle->machine_memory_bytes, PAGE_SIZE);
	int error = pgtable_init(&hyp_table, &hyp_format, HYP_INPUT_BITS, false);

	if (!error)
		error = hyp_map_ram(ram_end);
	if (!error)
		error = hyp_map_devices();
	if (!error)
		error = hyp_unmap_guards();
	return error;
}

/**
 * Exercise 2.4: hyp_mmu_enable() - turn on EL2's MMU and caches on this CPU
 * @root: of EL2's table
 *
 * MAIR_EL2 = PGTABLE_MAIR. TCR_EL2: input size HYP_INPUT_BITS, 4 KiB granule, walks inner shareable
 * and write-back cacheable, PS as cpu_pa_range(), RES1 bits. TTBR0_EL2 = @root. An ISB puts these
 * into effect.
 *
 * TLB and instruction cache of this CPU may hold rubbish from before, of guests, too: tlbi_alle2(),
 * tlbi_alle1() and ic_iallu(). A DSB ISH completes them, and the stores to the table; an ISB follows.
 *
 * At last SCTLR_EL2 as one value: M, C, I, SA and WXN on top of its RES1 bits, with an ISB.
 */
EXERCISE(2.4)
static void hyp_mmu_enable(pa_t root)
{
	NOT_YET(2.4);
}

int hyp_mmu_init_cpu(struct cpu *cpu)
{
	struct cpu_stacks *stacks = &cpu_stacks[cpu->index];

	/* When a later CPU starts, the caches hold data of the others. It has written its stack only. */
	if (cpu->index == 0)
		dcache_invalidate(data_start, (u64)(image_end - data_start));
	else
		dcache_invalidate(stacks->stack, sizeof(stacks->stack));
	hyp_mmu_enable(hyp_table.root);
	return 0;
}
