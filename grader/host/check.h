/* SPDX-License-Identifier: MIT */
/*
 * All that a host unit test needs: CHECK(), a seeded generator of numbers, and check_finish() or
 * check_cases() as the last expression of main(). The seed comes from STRATA_SEED (default 1) and is printed with a
 * failure, so that every failure can be had again.
 */
#ifndef STRATA_HOST_CHECK_H
#define STRATA_HOST_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t check_state;
static unsigned long check_count;

static inline uint64_t check_seed(void)
{
	const char *text = getenv("STRATA_SEED");

	return text ? strtoull(text, NULL, 0) : 1;
}

/** check_random() - the next number of the sequence (xorshift64*) */
static inline uint64_t check_random(void)
{
	if (!check_state)
		check_state = check_seed() * 0x9e3779b97f4a7c15u | 1;
	check_state ^= check_state >> 12;
	check_state ^= check_state << 25;
	check_state ^= check_state >> 27;
	return check_state * 0x2545f4914f6cdd1du;
}

/** check_below() - a number in [0, @limit) */
static inline uint64_t check_below(uint64_t limit)
{
	return check_random() % limit;
}

static inline void check_that(int holds, const char *text, const char *about, const char *file,
			      int line)
{
	__atomic_fetch_add(&check_count, 1, __ATOMIC_RELAXED); /* threads */
	if (holds)
		return;
	fprintf(stderr, "%s:%d: CHECK(%s) failed, STRATA_SEED=%lu\n", file, line, text,
		(unsigned long)check_seed());
	if (about)
		fprintf(stderr, "%s\n", about);
	exit(1);
}

/** CHECK() - @condition must hold; the test ends when it does not */
#define CHECK(condition) check_that(!!(condition), #condition, NULL, __FILE__, __LINE__)

/** CHECK_OF() - the same; @about says what the condition means, and which exercise owes it */
#define CHECK_OF(about, condition) check_that(!!(condition), #condition, about, __FILE__, __LINE__)

/** check_finish() - exit status of a test that came to its end */
static inline int check_finish(void)
{
	printf("ok: %lu checks, seed %lu\n", check_count, (unsigned long)check_seed());
	return 0;
}

/**
 * struct check_case - a part of a test that stands alone
 * @exercise: all of it that is needed beside the exercises of the cases before
 * @says: what holds
 */
struct check_case {
	const char *exercise;
	const char *says;
	void (*run)(void);
};

/**
 * check_cases() - run each case in a process of its own (todo.c)
 *
 * One that fails, that comes to an exercise that is not written, or that never ends says nothing of
 * the others. Return: exit status of the test.
 */
int check_cases(const struct check_case *cases, unsigned count);

#endif
