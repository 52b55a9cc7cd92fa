/* SPDX-License-Identifier: MIT */
/*
 * Ticket spinlock. Fair, so that a CPU which hammers a lock cannot starve the others; the waiter
 * sleeps in WFE between looks, woken by the event that the releasing store generates (Arm ARM,
 * "Wait for Event mechanism and Send event": a cleared exclusive monitor is a wake-up event).
 *
 * EL2 runs with interrupts masked, so a lock is never taken twice on one CPU by accident of an
 * interrupt. The order in which locks nest stands at the head of the file that owns each.
 */
#ifndef STRATA_SPINLOCK_H
#define STRATA_SPINLOCK_H

#include "lib/types.h"

struct spinlock {
	u32 next; /* ticket that the next caller draws */
	u32 serving; /* ticket that holds the lock */
	const char *name;
};

#define SPINLOCK_INIT(lock_name) {.name = lock_name}

#ifdef __aarch64__
static inline void spinlock_wait(const u32 *serving, u32 ticket)
{
	u32 now;

	/* LDAXR arms the monitor; the owner's store to the word clears it and ends WFE. */
	asm volatile("	sevl\n"
		     "1:	wfe\n"
		     "	ldaxr	%w0, [%1]\n"
		     "	cmp	%w0, %w2\n"
		     "	b.ne	1b\n"
		     : "=&r"(now)
		     : "r"(serving), "r"(ticket)
		     : "cc", "memory");
}
#else
static inline void spinlock_wait(const u32 *serving, u32 ticket)
{
	while (__atomic_load_n(serving, __ATOMIC_ACQUIRE) != ticket)
		;
}
#endif

/** spin_lock() - acquire; what the last holder wrote is visible afterwards */
static inline void spin_lock(struct spinlock *lock)
{
	u32 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	if (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket)
		spinlock_wait(&lock->serving, ticket);
}

/** spin_unlock() - release; everything written before is visible to the next holder */
static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->serving, lock->serving + 1, __ATOMIC_RELEASE);
}

/** spin_is_locked() - for assertions of "the caller holds this lock" */
static inline bool spin_is_locked(const struct spinlock *lock)
{
	return __atomic_load_n(&lock->serving, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&lock->next, __ATOMIC_RELAXED);
}

#endif
