// SPDX-License-Identifier: MIT
/* Says how long some work takes. To be packed twice, or with bench_storm; the second works longer. */
#include "probe.h"
#include "timer.h"

#define ROUNDS 32000000UL /* of two instructions: six time slices and a half */

static void work(u64 rounds)
{
	asm volatile("1:	subs	%0, %0, #1\n"
		     "	b.ne	1b"
		     : "+r"(rounds)::"cc");
}

void probe(void)
{
	u64 start = counter_physical();

	work(guest.vm ? 2 * ROUNDS : ROUNDS);
	print("RESULT work ticks=%lu\n", counter_physical() - start);
	report(true, "it is done", 0, 0);
}
