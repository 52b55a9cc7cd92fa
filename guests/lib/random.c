/* SPDX-License-Identifier: MIT */
/*
 * Numbers that differ from seed to seed. The file stands alone, so that the linker leaves it out of
 * a probe that uses no random numbers: the harness then knows that another seed would change
 * nothing.
 */
#include "probe.h"

u64 seed_number(void)
{
	return probe_seed * 0x2545f4914f6cdd1dUL;
}

/* splitmix64: every seed, also 0, gives a full-period sequence. */
u64 random(void)
{
	static bool started;
	static u64 state;
	u64 z;

	if (!started)
		state = seed_number() + guest.vm;
	started = true;
	z = (state += 0x9e3779b97f4a7c15UL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
	return z ^ (z >> 31);
}
