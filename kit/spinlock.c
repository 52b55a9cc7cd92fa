// SPDX-License-Identifier: MIT
#include "spinlock.h"

#include "mailbox.h"

void spin_not_held(const struct spinlock *lock, const char *function)
{
	panic("%s() was called without the %s lock", function, lock->name);
}
