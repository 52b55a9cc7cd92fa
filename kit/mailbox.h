/* SPDX-License-Identifier: MIT */
/*
 * The crash mailbox: what a debugger, or the grader, finds when EL2 has stopped.
 *
 * panic() is for EL2's own broken invariants. No guest may be able to reach it; the lint proves
 * that from the call graph.
 */
#ifndef STRATA_MAILBOX_H
#define STRATA_MAILBOX_H

#include <stdarg.h>

#include "lib/types.h"

#define CRASH_MAGIC 0x4853415243415453UL /* "STACRASH" */

enum crash_kind {
	CRASH_NONE = 0,
	CRASH_PANIC, /* panic() */
	CRASH_EXCEPTION, /* EL2 took an exception that never should fire */
	CRASH_TODO, /* an exercise is not written yet */
	CRASH_CONFIG, /* the bundle or the machine cannot be used */
};

/**
 * struct crash_mailbox - filled once, magic last; all zero while EL2 is well
 * @kind: enum crash_kind
 * @reason: one line of text
 * @esr, @elr, @far, @spsr, @sp: of the exception, or of the call for the other kinds
 * @cpu: number of the CPU that stopped
 */
struct crash_mailbox {
	u64 magic;
	u64 kind;
	const char *reason;
	u64 esr, elr, far, spsr, sp, cpu;
	u64 vector; /* offset in the vector table, CRASH_EXCEPTION only */
	char text[160];
};

extern struct crash_mailbox strata_crash;

/** panic() - EL2 found its own state broken: fill the mailbox, print, power off with status 1 */
void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/** config_error() - what was given to EL2 cannot be run: one line, power off with status 1 */
void config_error(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/**
 * crash_stop() - the common end of panic(), config_error() and TODO()
 * @caller: address to put into the mailbox as elr
 */
void crash_stop(enum crash_kind kind, const void *caller, const char *fmt, va_list args)
	__attribute__((noreturn, format(printf, 3, 0)));

/**
 * crash_exception() - report an exception at EL2 and power off
 * @vector: offset of the vector that fired
 * @sp: stack pointer at that moment
 *
 * Called by the vectors on the emergency stack.
 */
void crash_exception(u64 vector, u64 sp) __attribute__((noreturn));

#define assert(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			panic("%s:%d: %s", __FILE_NAME__, __LINE__, #condition);                   \
	} while (0)

#endif
