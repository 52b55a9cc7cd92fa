// SPDX-License-Identifier: MIT
/*
 * Never gives way, and watches how long it is away from the CPU while its neighbour, reset_large,
 * uses memory and gives it back. With one neighbour, at work or being cleared up, the probe is away
 * for one time slice at the most, however much memory the neighbour has.
 */
#include "probe.h"
#include "timer.h"

#define WINDOW_MS 190
#define LONGEST_US 11000

void probe(void)
{
	u64 start = counter(), last = start, longest = 0, sum = 0;

	while (last - start < ticks_from_us(1000 * WINDOW_MS)) {
		u64 now = counter();

		if (now - last > longest)
			longest = now - last;
		last = now;
		sum += now;
		spin_burst();
	}
	report(sum != 0, "the loop computed something", sum, 0);
	report(longest <= ticks_from_us(LONGEST_US),
	       "longest wait for the CPU in ticks: a time slice of 10 ms and little more", longest,
	       ticks_from_us(LONGEST_US));
}
