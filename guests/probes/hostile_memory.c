// SPDX-License-Identifier: MIT
/*
 * Memory given back and taken again in random pieces, to wear out the tables and the allocator.
 * Memory that was not released must keep its contents; released memory must read as zero.
 */
#include "probe.h"

#define PAGES 1024
#define ROUNDS 3000

static u64 expected[PAGES];

void probe(void)
{
	u64 base = align_up(free_memory(), MIB(2)), wrong = 0, failed = 0;
	struct smccc_result before = hvc(STRATA_MEMORY_STATS, 0, 0, 0), after;

	for (unsigned round = 0; round < ROUNDS; round++) {
		u64 page = random() % PAGES, count = 1 + random() % 32;

		if (page + count > PAGES)
			count = PAGES - page;
		if (random() & 1) {
			failed += hvc(STRATA_MEMORY_RELEASE, base + page * 4096, count * 4096, 0)
					  .x0 != 0;
			for (u64 i = page; i < page + count; i++)
				expected[i] = 0;
		} else {
			expected[page] = random();
			write64(base + page * 4096 + 64, expected[page]);
		}
		page = random() % PAGES;
		wrong += read64(base + page * 4096 + 64) != expected[page];
		if (round % 64 == 0)
			vm_yield();
	}
	for (unsigned i = 0; i < PAGES; i++)
		wrong += read64(base + i * 4096 + 64) != expected[i];
	report_equal("every release succeeded", failed, 0);
	report_equal("every page held what was written, or zero", wrong, 0);
	failed = hvc(STRATA_MEMORY_RELEASE, base, (u64)PAGES * 4096, 0).x0;
	after = hvc(STRATA_MEMORY_STATS, 0, 0, 0);
	report(after.x2 <= before.x2 + MIB(2), "giving all back leaves nothing behind", after.x2,
	       before.x2);
	report(after.x3 <= before.x3 + KIB(16), "tables did not grow without bound", after.x3,
	       before.x3);
}
