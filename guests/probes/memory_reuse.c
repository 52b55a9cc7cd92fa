// SPDX-License-Identifier: MIT
/*
 * Memory that one VM gives back and another gets holds nothing of the first. To be packed as two
 * VMs: VM 0 writes secrets and releases them before VM 1 touches its memory for the first time.
 */
#include "probe.h"

static u64 count_nonzero(u64 from, u64 to)
{
	u64 nonzero = 0;

	for (u64 at = from; at < to; at += 64)
		nonzero += read64(at) != 0;
	return nonzero;
}

void probe(void)
{
	u64 from = align_up(free_memory(), MIB(2)), to = align_down(memory_end(), 4096);

	if (guest.vm != 0) {
		for (unsigned i = 0; i < 4; i++)
			vm_yield();
		report_equal("no word of another VM's released memory is seen",
			     count_nonzero(from, to), 0);
		return;
	}
	for (u64 at = from; at < to; at += 64)
		write64(at, 0x5ec2e75ec2e70000 | (at >> 6 & 0xffff));
	u64 released = hvc(STRATA_MEMORY_RELEASE, from, to - from, 0).x0, stale = 0;

	for (u64 at = to - 4096; at > to - KIB(256); at -= 4096) /* newest translations first */
		stale += read64(at) != 0;
	report_equal("VM 0 releases its secrets", released, 0);
	report_equal("and cannot reach them by old translations", stale, 0);
	for (unsigned i = 0; i < 8; i++)
		vm_yield();
	report_equal("VM 0 itself reads zeroes afterwards", count_nonzero(from, to), 0);
}
