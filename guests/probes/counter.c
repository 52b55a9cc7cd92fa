// SPDX-License-Identifier: MIT
/*
 * Time as a VM sees it: it never runs backwards, not even across switches; both counters go at the
 * same rate; a read of a counter costs no exit. To be packed as one or two VMs.
 */
#include "probe.h"
#include "timer.h"

static u64 backwards(u32 rounds, bool yield)
{
	u64 steps = 0, last_virtual = counter(), last_physical = counter_physical();

	for (u32 i = 0; i < rounds; i++) {
		u64 v, p;

		if (yield)
			vm_yield();
		v = counter();
		p = counter_physical();
		steps += v < last_virtual;
		steps += p < last_physical;
		last_virtual = v;
		last_physical = p;
	}
	return steps;
}

/* CNTPCT - CNTVCT, bounded by two readings of one around the other. */
static u64 offset(void)
{
	u64 best = 0;

	for (unsigned i = 0; i < 16; i++) {
		u64 o = counter_physical() - counter();

		if (i == 0 || (s64)(o - best) > 0)
			best = o;
	}
	return best;
}

void probe(void)
{
	u64 first = counter(), before, after, start;
	u32 frequency = (u32)sysreg_read(cntfrq_el0);

	report(frequency >= 1000000, "CNTFRQ_EL0 is a frequency", frequency, 1000000);
	report_equal("neither counter runs backwards", backwards(2000, false), 0);
	before = offset();
	report_equal("not across switches either", backwards(500, true), 0);
	after = offset();
	report(after - before + 100000 < 200000, "their distance stays the same", after, before);
	report((s64)before > 0, "virtual time began after physical time", before, 1);
	report(first < ticks_from_us(20000), "with this VM: it started at 0", first, 0);
	start = counter_physical();
	u64 virtual_start = counter();
	spin_ticks(ticks_from_us(1000));
	u64 physical = counter_physical() - start, virtual = counter() - virtual_start;
	report(physical - virtual + virtual / 4 < virtual / 2, "both go at the same rate", physical,
	       virtual);
	start = counter();
	for (unsigned i = 0; i < 64; i++)
		counter();
	u64 reads = counter() - start;
	start = counter();
	for (unsigned i = 0; i < 64; i++)
		hvc(SMCCC_VERSION, 0, 0, 0);
	u64 calls = counter() - start;
	report(!guest.hypervisor || reads * 2 < calls, "reading CNTVCT_EL0 costs no exit", reads,
	       calls);
	start = counter();
	for (unsigned i = 0; i < 64; i++)
		counter_physical();
	reads = counter() - start;
	report(!guest.hypervisor || reads * 2 < calls, "reading CNTPCT_EL0 costs no exit", reads,
	       calls);
}
