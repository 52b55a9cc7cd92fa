// SPDX-License-Identifier: MIT
/*
 * What ends the hypervisor ends a unit test, with the line that it has on the machine. A test that
 * came to an exercise that is not written says nothing of the others: it has a status of its own
 * (NOT_WRITTEN of host.mk), and no sanitizer looks at what it has left. A test that consists of cases
 * goes on with the next one.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "exercise.h"
#include "spinlock.h"

void todo_exercise(const char *id, const char *file, int line)
{
	static bool is_told; /* by the first of several threads */

	while (__atomic_exchange_n(&is_told, true, __ATOMIC_RELAXED))
		pause();
	printf("waits: exercise %s is not written yet (%s:%d)\n", id, file, line);
	fflush(stdout);
	_exit(NOT_WRITTEN);
}

void spin_not_held(const struct spinlock *lock, const char *function)
{
	fprintf(stderr, "%s() was called without the %s lock\n", function, lock->name);
	exit(1);
}

/* ---- cases ---- */

#define CASE_SECONDS 10 /* of a processor, under sanitizers: none needs one */

static int run_case(const struct check_case *one)
{
	struct rlimit limit = {.rlim_cur = CASE_SECONDS, .rlim_max = CASE_SECONDS + 1};
	int status = 0;
	pid_t child;

	printf("    %s %s: ", one->exercise, one->says);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CPU, &limit);
		one->run();
		exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		printf("cannot be run\n");
		return 1;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		printf("ok\n");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		printf("does not end\n");
	else if (WIFSIGNALED(status))
		printf("ended by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int check_cases(const struct check_case *cases, unsigned count)
{
	int worst = 0;

	printf("by exercises, seed %lu\n", (unsigned long)check_seed());
	for (unsigned i = 0; i < count; i++) {
		int status = run_case(&cases[i]);

		if (worst == 0 || worst == NOT_WRITTEN)
			worst = status ? status : worst;
	}
	return worst;
}
