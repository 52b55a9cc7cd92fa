/* SPDX-License-Identifier: MIT */
/*
 * Marks of the course. EXERCISE(2.3) stands on the line above a function that students write. The
 * comment over the mark begins with "Exercise 2.3:" and is the specification. EXERCISE_PRIVATE(2.3)
 * marks a helper that belongs to the answer. Both expand to nothing. In a starter the body is
 * TODO(2.3), and the helper is missing. A function that a machine can do without for a while has a
 * body that says TODO(2.3) only where the function is needed, or NOT_YET(2.3). In assembly an exercise stands between EXERCISE_BEGIN(1.1)
 * and EXERCISE_END.
 */
#ifndef STRATA_EXERCISE_H
#define STRATA_EXERCISE_H

#ifdef __ASSEMBLER__

#define EXERCISE_BEGIN(id)
#define EXERCISE_END

/*
 * TODO(1.1) in assembly needs no stack, no vector table and no register of any value. It has six
 * instructions, so that it fits a vector; x30 then tells where it stands.
 */
#define TODO(id) todo_assembly #id, __FILE__, __LINE__

/* clang-format off */
	.macro todo_assembly id:req, file:req, line:req
	.pushsection .rodata
.Ltodo_id\@:
	.asciz	"\id"
.Ltodo_file\@:
	.asciz	"\file"
	.popsection
	adrp	x0, .Ltodo_id\@
	add	x0, x0, :lo12:.Ltodo_id\@
	adrp	x1, .Ltodo_file\@
	add	x1, x1, :lo12:.Ltodo_file\@
	mov	w2, #\line
	bl	todo_from_assembly
	.endm
/* clang-format on */

#else

#define EXERCISE(id)
#define EXERCISE_PRIVATE(id)

/**
 * TODO() - this exercise is not written yet: says so, fills the crash mailbox, powers off
 * @id: the exercise, as in TODO(2.3)
 */
#define TODO(id) todo_exercise(#id, __FILE__, __LINE__)

/** NOT_YET() - this exercise is not written yet, and the machine goes on without; no code */
#define NOT_YET(id)

void todo_exercise(const char *id, const char *file, int line) __attribute__((noreturn));

#endif /* __ASSEMBLER__ */
#endif
