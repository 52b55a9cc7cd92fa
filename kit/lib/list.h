/* SPDX-License-Identifier: MIT */
/* Doubly linked circular list with a head; a node that is on no list points at itself. */
#ifndef STRATA_LIB_LIST_H
#define STRATA_LIB_LIST_H

#include "lib/types.h"

struct list {
	struct list *next, *prev;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer) - (offsetof(type, member))))

#define list_for_each(pos, head) for (pos = (head)->next; pos != (head); pos = pos->next)

/** list_init() - make @node an empty head, or a node on no list */
static inline void list_init(struct list *node)
{
	node->next = node;
	node->prev = node;
}

/** list_is_empty() - for a head: nothing on it; for a node: on no list */
static inline bool list_is_empty(const struct list *node)
{
	return node->next == node;
}

/** list_insert_before() - put @node, on no list so far, right before @where */
static inline void list_insert_before(struct list *where, struct list *node)
{
	node->next = where;
	node->prev = where->prev;
	where->prev->next = node;
	where->prev = node;
}

/** list_append() - put @node at the tail of @head */
static inline void list_append(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

/** list_remove() - take @node off its list; harmless when it is on none */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif
