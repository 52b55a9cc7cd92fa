// SPDX-License-Identifier: MIT
/*
 * The neighbour of a hostile VM, with preemption: the victim computes, checks its memory, keeps
 * time, and says whether it got its share. To be packed with one hostile VM.
 */
#include "probe.h"
#include "timer.h"

#define WINDOW_MS 60
#define GAP_US 20
#define WORDS 4096
#define SALT 0x2545f4914f6cdd1dUL

static u64 pattern(u64 at)
{
	return at * 0x9e3779b97f4a7c15UL ^ SALT;
}

static u64 checksum_errors(u64 base)
{
	u64 wrong = 0;

	for (u64 i = 0; i < WORDS; i++)
		wrong += read64(base + i * 512) != pattern(base + i * 512);
	return wrong;
}

void probe(void)
{
	u64 base = free_memory(), wrong = 0, ticks = 0, away = 0, longest = 0, checks = 0;
	u64 window = ticks_from_us(1000 * WINDOW_MS), gap_limit = ticks_from_us(GAP_US);
	u64 start, last;

	for (u64 i = 0; i < WORDS; i++)
		write64(base + i * 512, pattern(base + i * 512));
	start = last = counter();
	while (last - start < window) {
		u64 now = counter(), gap = now - last;

		if (gap > gap_limit) {
			away += gap;
			longest = gap > longest ? gap : longest;
		}
		last = now;
		spin_burst();
		if (ticks++ % 512 == 0) {
			wrong += checksum_errors(base);
			checks++;
			last = counter();
		}
	}
	u64 share = 100 - away * 100 / (last - start);
	report_equal("this VM's memory kept its contents", wrong, 0);
	report(checks > 0, "checked while the other VM ran", checks, 1);
	report(share >= 35, "share of the CPU in percent beside one hostile VM", share, 50);
	report(longest < ticks_from_us(50000), "longest wait for the CPU in ticks: below 50 ms",
	       longest, ticks_from_us(50000));
	report_equal("calls are served", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
