/* SPDX-License-Identifier: MIT */
/*
 * Marks of the course. EXERCISE(2.3) stands on the line above a function that students write; the
 * comment over it is its specification. EXERCISE_PRIVATE(2.3) marks a helper that belongs to the
 * answer. Both expand to nothing. In a starter the body is TODO(2.3).
 */
#ifndef STRATA_EXERCISE_H
#define STRATA_EXERCISE_H

#define EXERCISE(id)
#define EXERCISE_PRIVATE(id)

#ifdef __ASSEMBLER__
/* In assembly an exercise stands between EXERCISE_BEGIN(1.1) and EXERCISE_END. */
#define EXERCISE_BEGIN(id)
#define EXERCISE_END
#else

/**
 * TODO() - this exercise is not written yet: says so, fills the crash mailbox, powers off
 * @id: the exercise, as in TODO(2.3)
 */
#define TODO(id) todo_exercise(#id, __FILE_NAME__, __LINE__)

void todo_exercise(const char *id, const char *file, int line) __attribute__((noreturn));

#endif /* __ASSEMBLER__ */
#endif
