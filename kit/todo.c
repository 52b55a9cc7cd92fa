// SPDX-License-Identifier: MIT
/* What the body of an exercise does until a student writes it. */
#include "exercise.h"
#include "mailbox.h"

static void __attribute__((noreturn, format(printf, 2, 3)))
todo_stop(const void *caller, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	crash_stop(CRASH_TODO, caller, fmt, args);
}

void todo_exercise(const char *id, const char *file, int line)
{
	todo_stop(__builtin_return_address(0), "exercise %s is not written yet (%s:%d)", id, file,
		  line);
}
