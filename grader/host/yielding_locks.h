/* SPDX-License-Identifier: MIT */
/*
 * Included before all else by unit tests that run threads: before and after a lock is taken, other
 * threads often come first, also where the machine has one CPU for all of them. That is where the
 * protocols of several CPUs have their windows.
 */
#ifndef STRATA_HOST_YIELDING_LOCKS_H
#define STRATA_HOST_YIELDING_LOCKS_H

#include <sched.h>

#include "spinlock.h"

static inline void yield_sometimes(void)
{
	static __thread unsigned long state = 88172645463325252UL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	if (state % 8 == 0)
		sched_yield();
}

static inline void yielding_lock(struct spinlock *lock)
{
	yield_sometimes();
	spin_lock(lock);
}

static inline void yielding_unlock(struct spinlock *lock)
{
	spin_unlock(lock);
	yield_sometimes();
}

#define spin_lock(lock) yielding_lock(lock)
#define spin_unlock(lock) yielding_unlock(lock)

#endif
