/* SPDX-License-Identifier: MIT */
/*
 * Ticket spinlock. It is fair: a CPU that hammers a lock cannot starve the others. A waiter sleeps
 * in WFE between two looks; the releasing store wakes it, because a cleared exclusive monitor is a
 * wake-up event (Arm ARM, "Wait for Event mechanism and Send event").
 *
 * EL2 runs with interrupts masked, so no interrupt handler meets a lock that its own CPU holds. The
 * order in which locks nest stands at the head of the file that owns each.
 */
#ifndef STRATA_SPINLOCK_H
#define STRATA_SPINLOCK_H

#include "lib/types.h"

struct spinlock {
	union {
		u32 tickets; /* both halves at once: one atomic addition draws a ticket */
		struct {
			u16 serving; /* ticket that holds the lock */
			u16 next; /* ticket that the next caller draws */
		};
	};
	const char *name;
};

#define SPINLOCK_INIT(lock_name) ((struct spinlock){.name = lock_name})
#define SPINLOCK_TICKET (1u << 16)

#ifdef __aarch64__
static inline void spinlock_wait(const u16 *serving, u16 ticket)
{
	u32 now;

	/* LDAXRH arms the monitor; the owner's store to it clears it and ends WFE. */
	asm volatile("	sevl\n"
		     "1:	wfe\n"
		     "	ldaxrh	%w0, [%1]\n"
		     "	cmp	%w0, %w2\n"
		     "	b.ne	1b\n"
		     : "=&r"(now)
		     : "r"(serving), "r"((u32)ticket)
		     : "cc", "memory");
}
/* Read by the holder, who alone writes it. */
static inline u16 spinlock_serving(const struct spinlock *lock)
{
	return lock->serving;
}
#else
/* As above, but atomic, since ThreadSanitizer sees accesses to the other half of the word, too. */
static inline u16 spinlock_serving(const struct spinlock *lock)
{
	return __atomic_load_n(&lock->serving, __ATOMIC_RELAXED);
}

static inline void spinlock_wait(const u16 *serving, u16 ticket)
{
	int sched_yield(void);

	/* There may be more threads than processors to run them. */
	while (__atomic_load_n(serving, __ATOMIC_ACQUIRE) != ticket)
		sched_yield();
}
#endif

/** spin_lock() - acquire; what the last holder wrote is visible afterwards */
static inline void spin_lock(struct spinlock *lock)
{
	u32 drawn = __atomic_fetch_add(&lock->tickets, SPINLOCK_TICKET, __ATOMIC_ACQUIRE);

	if ((drawn ^ (drawn >> 16 | drawn << 16)) != 0)
		spinlock_wait(&lock->serving, (u16)(drawn >> 16));
}

/** spin_unlock() - release; everything written before is visible to the next holder */
static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->serving, (u16)(spinlock_serving(lock) + 1), __ATOMIC_RELEASE);
}

/** spin_is_locked() - whether anybody holds the lock */
static inline bool spin_is_locked(const struct spinlock *lock)
{
	u32 tickets = __atomic_load_n(&lock->tickets, __ATOMIC_RELAXED);

	return (u16)tickets != tickets >> 16;
}

/**
 * spin_assert_held() - panic() unless the lock is held: for "the caller holds this lock"
 *
 * A lock does not know its holder: one that another CPU holds passes.
 */
#define spin_assert_held(lock)                                                                     \
	do {                                                                                       \
		if (!spin_is_locked(lock))                                                         \
			spin_not_held(lock, __func__);                                             \
	} while (0)

/** spin_not_held() - panic(): @function was called without the lock that it needs */
void spin_not_held(const struct spinlock *lock, const char *function)
	__attribute__((noreturn, cold));

#endif
