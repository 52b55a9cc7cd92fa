// SPDX-License-Identifier: MIT
/*
 * The deadline queue against a model: an unordered array of what is armed. Whatever is inserted and
 * cancelled in whatever order, deadlines come off in ascending order of their count, equal ones in
 * the order of arming, none early, none lost, none twice.
 */
#include "check.h"
#include "deadline.h"

#define COUNT 40
#define ROUNDS 20000

static struct deadline deadlines[COUNT];
static uint64_t armed_at[COUNT]; /* order of arming; 0 = not armed */
static struct list queue;

static void expire(struct deadline *deadline)
{
	(void)deadline;
}

/* The one that the model expects first, or -1. */
static int model_first(void)
{
	int first = -1;

	for (int i = 0; i < COUNT; i++) {
		if (armed_at[i] && (first < 0 || deadlines[i].ticks < deadlines[first].ticks ||
				    (deadlines[i].ticks == deadlines[first].ticks &&
				     armed_at[i] < armed_at[first])))
			first = i;
	}
	return first;
}

/* Small numbers make ties; the largest ones must not wrap. */
static uint64_t some_ticks(void)
{
	switch (check_below(4)) {
	case 0:
		return check_below(16);
	case 1:
		return ~0UL - check_below(16);
	default:
		return check_random();
	}
}

static void arm(int i, uint64_t when)
{
	int before = model_first();
	bool is_first;

	deadlines[i].ticks = some_ticks();
	is_first = deadline_insert(&queue, &deadlines[i]);
	armed_at[i] = when;
	CHECK(!list_is_empty(&deadlines[i].node));
	CHECK(is_first == (model_first() == i));
	CHECK(!is_first || before != i);
}

static void expire_until(uint64_t now)
{
	for (;;) {
		int first = model_first();
		struct deadline *due = deadline_pop_due(&queue, now);

		if (first < 0 || deadlines[first].ticks > now) {
			CHECK(due == NULL);
			return;
		}
		CHECK(due == &deadlines[first]);
		CHECK(list_is_empty(&due->node));
		armed_at[first] = 0;
	}
}

int main(void)
{
	list_init(&queue);
	for (int i = 0; i < COUNT; i++) {
		deadline_init(&deadlines[i], expire);
		CHECK(!deadline_is_armed(&deadlines[i]));
	}
	CHECK(deadline_first(&queue) == NULL);
	CHECK(deadline_pop_due(&queue, ~0UL) == NULL);
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		int i = (int)check_below(COUNT);

		if (!armed_at[i]) {
			arm(i, round);
		} else if (check_below(2)) {
			list_remove(&deadlines[i].node);
			armed_at[i] = 0;
		}
		if (check_below(8) == 0)
			expire_until(some_ticks());
		int first = model_first();
		CHECK(deadline_first(&queue) == (first < 0 ? NULL : &deadlines[first]));
	}
	expire_until(~0UL);
	CHECK(deadline_first(&queue) == NULL);
	return check_finish();
}
