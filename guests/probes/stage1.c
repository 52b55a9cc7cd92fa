// SPDX-License-Identifier: MIT
/*
 * The guest's own translation under stage 2: its faults stay in the guest, with level and address
 * of stage 1, its TLB maintenance works, and its tables, walked through stage 2, may lie anywhere
 * in RAM.
 */
#include "mmu.h"
#include "probe.h"

#define INSN_LDR_X 0xf9400001u
#define INSN_STR_X 0xf9000001u
#define RAM_PAGE (PTE_NORMAL | PTE_INNER_SHAREABLE | PTE_ACCESS)

static u64 page, first, second;

static void expect_fault(u32 insn, u64 esr, const char *text)
{
	u64 value[2] = {page + 8, 0x99};
	bool raised = insn_try(MODE_EL1H, insn, value);

	report(raised && (exception_seen.esr & 0xfe00007f) == esr && exception_seen.far == page + 8,
	       text, raised ? exception_seen.esr : 0, esr);
}

void probe(void)
{
	page = free_memory();
	first = page + 4096;
	second = page + 8192;
	mmu_enable();
	write64(first, 0x1111);
	write64(second, 0x2222);
	mmu_map_page(page, first, RAM_PAGE);
	report_equal("a page mapped at stage 1 shows its memory", read64(page), 0x1111);
	mmu_map_page(page, second, RAM_PAGE);
	report_equal("mapped elsewhere, it shows the other", read64(page), 0x2222);
	vm_yield();
	report_equal("also after a turn of the other VM", read64(page), 0x2222);
	mmu_map_page(page, 0, 0);
	expect_fault(INSN_LDR_X, 0x96000007, "unmapped: translation fault, level 3, read");
	expect_fault(INSN_STR_X, 0x96000047, "unmapped: translation fault, level 3, write");
	mmu_map_page(page, first, RAM_PAGE | PTE_READ_ONLY);
	expect_fault(INSN_STR_X, 0x9600004f, "read-only: permission fault, level 3, write");
	report_equal("and reading it works", read64(page), 0x1111);
	mmu_map_page(page, ram_end(), RAM_PAGE);
	expect_fault(INSN_LDR_X, 0x96000010,
		     "mapped to nothing: external abort at the virtual address");
	mmu_map_page(page, first, RAM_PAGE);
	write64(page, 0x3333);
	mmu_disable();
	report_equal("with the MMU off again the store is in memory", read64(first), 0x3333);
}
