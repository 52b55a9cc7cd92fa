// SPDX-License-Identifier: MIT
/*
 * What the body of an exercise does until a student writes it: says which one it is and where its
 * text stands. Titles and texts come from lab.toml, by way of a header made during the build.
 */
#include "exercise.h"
#include "lib/string.h"
#include "mailbox.h"

struct exercise_entry {
	const char *id;
	const char *title;
	const char *text; /* file and anchor of what the student reads */
};

static const struct exercise_entry exercises[] = {
#include "exercise_titles.h"
	{NULL, "", "README.md"},
};

static const struct exercise_entry *exercise_find(const char *id)
{
	const struct exercise_entry *entry = exercises;

	while (entry->id && strcmp(entry->id, id) != 0)
		entry++;
	return entry;
}

static void todo_stop(const void *caller, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

static void todo_stop(const void *caller, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	crash_stop(CRASH_TODO, caller, fmt, args);
}

void todo_exercise(const char *id, const char *file, int line)
{
	const struct exercise_entry *entry = exercise_find(id);

	todo_stop(__builtin_return_address(0),
		  "exercise %s \"%s\" is not written yet (%s:%d): see %s", id, entry->title, file,
		  line, entry->text);
}
