// SPDX-License-Identifier: MIT
/*
 * The deadline queue: what is to happen when, in ascending order of physical count. Two deadlines
 * for the same count expire in the order in which they were armed. Pure data; the clock and the
 * lock are timer.c's. At most a few deadlines a vCPU exist, so a list that is walked is enough.
 */
#include "deadline.h"

#include "exercise.h"

void deadline_init(struct deadline *deadline, void (*expire)(struct deadline *))
{
	list_init(&deadline->node);
	deadline->expire = expire;
	deadline->cpu = NULL;
}

static struct deadline *deadline_of(struct list *node)
{
	return container_of(node, struct deadline, node);
}

/**
 * deadline_insert() - put @deadline, armed nowhere, on @queue
 *
 * Ascending by ticks (unsigned); behind those that are due at the same count.
 *
 * Return: whether it is the first one now, so that the timer must be programmed anew.
 */
EXERCISE(4.3)
bool deadline_insert(struct list *queue, struct deadline *deadline)
{
	struct list *behind = queue;

	/* From the tail: a new deadline is usually the latest. */
	while (behind->prev != queue && deadline_of(behind->prev)->ticks > deadline->ticks)
		behind = behind->prev;
	list_insert_before(behind, &deadline->node);
	return queue->next == &deadline->node;
}

/** deadline_pop_due() - take the first deadline off @queue if it is due at count @now, else NULL */
EXERCISE(4.3)
struct deadline *deadline_pop_due(struct list *queue, u64 now)
{
	struct deadline *first = deadline_first(queue);

	if (!first || first->ticks > now)
		return NULL;
	list_remove(&first->node);
	return first;
}

struct deadline *deadline_first(struct list *queue)
{
	return list_is_empty(queue) ? NULL : deadline_of(queue->next);
}
