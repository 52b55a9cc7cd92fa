/* SPDX-License-Identifier: MIT */
/*
 * Spinlock: whoever comes first when it is free gets it.
 *
 * It is not fair. A fair one hands over to one particular waiter; where CPUs are threads of an
 * emulator, that one may be a thread that does not run now, and all others wait for it. How a CPU
 * waits is layer 6's (hook_spin_wait): in an image without that layer there is one CPU, and who finds
 * a lock taken has taken it himself.
 *
 * EL2 runs with interrupts masked, so no interrupt handler meets a lock that its own CPU holds. The
 * order in which locks nest stands at the head of the file that owns each.
 */
#ifndef STRATA_SPINLOCK_H
#define STRATA_SPINLOCK_H

#include "lib/types.h"

struct spinlock {
	u32 taken;
	const char *name;
};

#define SPINLOCK_INIT(lock_name) ((struct spinlock){.name = lock_name})

#ifdef __aarch64__
/** spinlock_wait() - until @lock may be free: hook_spin_wait(), or panic() if there is none */
void spinlock_wait(struct spinlock *lock) __attribute__((cold));
#else
static inline void spinlock_wait(struct spinlock *lock)
{
	int sched_yield(void);

	/* There may be more threads than processors to run them. */
	while (__atomic_load_n(&lock->taken, __ATOMIC_RELAXED))
		sched_yield();
}
#endif

/** spin_lock() - acquire; what the last holder wrote is visible afterwards */
static inline void spin_lock(struct spinlock *lock)
{
	while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE))
		spinlock_wait(lock);
}

/** spin_unlock() - release; everything written before is visible to the next holder */
static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

/** spin_is_locked() - whether anybody holds the lock */
static inline bool spin_is_locked(const struct spinlock *lock)
{
	return __atomic_load_n(&lock->taken, __ATOMIC_RELAXED);
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
