// SPDX-License-Identifier: MIT
/* What ends the hypervisor ends a unit test, with the line that it has on the machine. */
#include <stdio.h>
#include <stdlib.h>

#include "exercise.h"
#include "spinlock.h"

void todo_exercise(const char *id, const char *file, int line)
{
	fprintf(stderr, "exercise %s is not written yet (%s:%d)\n", id, file, line);
	exit(1);
}

void spin_not_held(const struct spinlock *lock, const char *function)
{
	fprintf(stderr, "%s() was called without the %s lock\n", function, lock->name);
	exit(1);
}
