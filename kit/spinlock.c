// SPDX-License-Identifier: MIT
#include "spinlock.h"

#include "mailbox.h"
#include "registry.h"

void spinlock_wait(struct spinlock *lock)
{
	if (!hook_spin_wait)
		panic("the %s lock is taken a second time by this CPU: deadlock", lock->name);
	hook_spin_wait(&lock->taken);
}

void spin_not_held(const struct spinlock *lock, const char *function)
{
	panic("%s() was called without the %s lock", function, lock->name);
}
