// SPDX-License-Identifier: MIT
/*
 * Memory that one vCPU gives back is gone for all: no vCPU reads or writes the old pages any more,
 * whatever its CPU's TLB holds. Pages that are used again come in another order, so that each lies
 * elsewhere than before.
 */
#include "probe.h"
#include "smp.h"

#define PAGES 16
#define SALT 0x9e3779b97f4a7c15UL

volatile u64 probe_rounds = 12; /* a longer run has another number here */
static u32 count;
static u64 base;
static volatile u64 wrong[SMP_CPU_MAX];

static u64 number_of(u64 page, u64 round)
{
	return (SALT ^ page) * (2 * round + 1);
}

static void look(u64 round)
{
	u64 found = 0;

	for (u64 page = 0; page < PAGES; page++)
		found |= read64(base + 4096 * page + 8) != number_of(page, round) ? BIT(page) : 0;
	wrong[smp_index()] = found;
}

static void look_for_zeros(u64 round)
{
	u64 found = 0;

	for (u64 page = 0; page < PAGES; page++)
		found |= read64(base + 4096 * page + 8) ? BIT(page) : 0;
	wrong[smp_index()] = found;
	(void)round;
}

/* All at once in one round, page by page in the next: TLBs are told of few pages in another way. */
static void release(u64 round)
{
	u64 pages = round % 2 ? 1 : PAGES;

	wrong[smp_index()] = 0;
	for (u64 page = 0; page < PAGES; page += pages)
		wrong[smp_index()] |=
			hvc(STRATA_MEMORY_RELEASE, base + 4096 * page, 4096 * pages, 0).x0;
}

static u64 any_wrong(void)
{
	u64 found = 0;

	for (u32 cpu = 0; cpu < count; cpu++)
		found |= wrong[cpu];
	return found;
}

void probe(void)
{
	u64 before = 0, errors = 0, zeros = 0, after = 0;

	count = smp_start_all();
	base = align_up(free_memory(), MIB(2));
	for (u64 round = 0; round < probe_rounds; round++) {
		u32 other = 1 + (u32)(round % (count - 1));

		for (u64 page = 0; page < PAGES; page++)
			write64(base + 4096 * page + 8, number_of(page, 2 * round));
		smp_call_all(count, look, 2 * round);
		before |= any_wrong();
		smp_call(other, release, round);
		errors |= wrong[other];
		if (round % 3 == 0) {
			smp_call_all(count, look_for_zeros, 0);
			zeros |= any_wrong();
		}
		for (u64 page = PAGES; page--;)
			write64(base + 4096 * page + 8, number_of(page, 2 * round + 1));
		smp_call_all(count, look, 2 * round + 1);
		after |= any_wrong();
	}
	report_equal("all vCPUs see what one has written (bit n: page n)", before, 0);
	report_equal("any vCPU can give memory back", errors, 0);
	report_equal("then it is zero for all", zeros, 0);
	report_equal("written anew, all see the new pages and nobody an old one", after, 0);
}
