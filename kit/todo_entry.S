/* SPDX-License-Identifier: MIT */
/*
 * TODO() of an assembly file: there may be no stack yet, or the one there is may be a guest's
 * frame. This one is used once, since the machine goes off. SP is EL2's own from here on.
 */
	.bss
	.balign	16
todo_stack:
	.skip	4096
todo_stack_top:

/* x0 = id, x1 = file, w2 = line, x30 = where */
	.text
	.globl	todo_from_assembly
todo_from_assembly:
	msr	spsel, #1
	adrp	x3, todo_stack_top
	add	x3, x3, :lo12:todo_stack_top
	mov	sp, x3
	mov	x29, xzr
	b	todo_exercise

	.section .note.GNU-stack, "", %progbits
