// SPDX-License-Identifier: MIT
/*
 * VMs that never give way share the CPU evenly and none waits long. To be packed as two or more
 * VMs. A VM measures itself: between two iterations of its loop, time beyond that of one iteration
 * was somebody else's.
 */
#include "probe.h"
#include "timer.h"

#define WINDOW_MS 60
#define GAP_US 20 /* longer than an exit, shorter than any time slice */

void probe(void)
{
	u64 start = counter(), last = start, away = 0, longest = 0, gaps = 0;
	u64 gap_limit = ticks_from_us(GAP_US), window = ticks_from_us(1000 * WINDOW_MS);
	u64 sum = 0;

	while (last - start < window) {
		u64 now = counter(), gap = now - last;

		if (gap > gap_limit) {
			away += gap;
			gaps++;
			longest = gap > longest ? gap : longest;
		}
		last = now;
		sum += now;
		spin_burst();
	}
	/* Keep the CPU busy for those that started later. */
	while (counter() - start < window + window / 2)
		spin_burst();
	u64 share = 100 - away * 100 / (last - start);
	report(sum != 0, "the loop computed something", sum, 0);
	report(share >= 35 && share <= 100, "share of the CPU in percent (two VMs: 35..65)", share,
	       50);
	report(longest < ticks_from_us(50000), "longest wait for the CPU in ticks: below 50 ms",
	       longest, ticks_from_us(50000));
	report(gaps > 0 || share == 100, "it was preempted in between", gaps, 1);
}
