/* SPDX-License-Identifier: MIT */
/* The ordered queue behind deadline_arm(); see deadline.c. */
#ifndef STRATA_DEADLINE_H
#define STRATA_DEADLINE_H

#include "vtimer.h"

/** deadline_insert() - put an unarmed deadline on @queue; true if it is now the first */
bool deadline_insert(struct list *queue, struct deadline *deadline);

/** deadline_pop_due() - take off and return the first deadline that is due at @now, or NULL */
struct deadline *deadline_pop_due(struct list *queue, u64 now);

/** deadline_first() - the earliest deadline, or NULL */
struct deadline *deadline_first(struct list *queue);

#endif
