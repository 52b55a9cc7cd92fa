// SPDX-License-Identifier: MIT
/*
 * One of many: keeps a pattern in registers and in each megabyte of its memory while all the others
 * do the same. To be packed as up to 64 VMs.
 */
#include "probe.h"

static u64 pattern(u64 at)
{
	return at * 0x9e3779b97f4a7c15UL ^ ((u64)guest.vm << 48) ^ seed_number();
}

void probe(void)
{
	u64 wrong = 0, lost = 0, turns = 0;

	for (u64 at = free_memory(); at < memory_end(); at += MIB(1))
		write64(at, pattern(at));
	for (unsigned round = 0; round < 16; round++) {
		u64 own = random();

		sysreg_write(tpidr_el1, own);
		sysreg_write(tpidr_el0, ~own);
		vm_yield();
		turns++;
		lost += sysreg_read(tpidr_el1) != own || sysreg_read(tpidr_el0) != ~own;
		for (u64 at = free_memory(); at < memory_end(); at += MIB(1))
			wrong += read64(at) != pattern(at);
	}
	report_equal("memory kept this VM's pattern", wrong, 0);
	report_equal("registers kept this VM's values", lost, 0);
	report_equal("it got its turns", turns, 16);
}
