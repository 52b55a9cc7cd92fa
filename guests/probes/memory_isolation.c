// SPDX-License-Identifier: MIT
/*
 * All of a VM's RAM is its own: zero at first, and it keeps what was written while other VMs write
 * the same addresses. To be packed as two VMs of equal size (alone it proves the zeroes).
 */
#include "probe.h"

#define STEP 512
#define SALT 0x9e3779b97f4a7c15UL

static u64 pattern(u64 address, u64 round)
{
	return (address ^ SALT) + round + ((u64)guest.vm << 56);
}

static u64 count_nonzero(void)
{
	u64 nonzero = 0, end = memory_end();

	for (u64 at = free_memory(); at < end; at += STEP)
		nonzero += read64(at) != 0;
	for (u64 at = guest.ram_base; at < guest.ram_base + 0x80000; at += STEP)
		nonzero += at >= guest.ram_base + 0x1000 && guest.dtb == 0 && read64(at) != 0;
	return nonzero;
}

static void fill(u64 round)
{
	u64 end = memory_end();

	for (u64 at = free_memory(); at < end; at += STEP)
		write64(at, pattern(at, round));
}

static u64 count_wrong(u64 round)
{
	u64 wrong = 0, end = memory_end();

	for (u64 at = free_memory(); at < end; at += STEP)
		wrong += read64(at) != pattern(at, round);
	return wrong;
}

void probe(void)
{
	u64 wrong = 0;

	report_equal("RAM outside of the image is zero at start", count_nonzero(), 0);
	for (u64 round = 0; round < 4; round++) {
		fill(round);
		for (unsigned i = 0; i < 3; i++)
			vm_yield();
		wrong += count_wrong(round);
	}
	report_equal("RAM keeps what this VM wrote while others write theirs", wrong, 0);
}
