/* SPDX-License-Identifier: MIT */
/*
 * The C half of the vectors: catch, redirect, or report what nobody expected.
 *
 * What is caught belongs to the boot CPU. Interrupts are handled on every CPU, by one handler.
 */
#include "exception.h"

#include "probe.h"

extern char mode_landing[], insn_slot[], __el0_stack_top[];
void insn_stub(void *value);
u64 mode_call(void (*fn)(void *), void *arg, u64 spsr, void *sp_el0);
void exception_entry(struct exception_frame *frame);

struct exception_frame exception_seen;
u64 exception_count;
u64 mode_call_sp; /* SP of the innermost mode_call(); 0 outside of one */

static void (*irq_handler)(struct exception_frame *frame);

void irq_handler_set(void (*handler)(struct exception_frame *frame))
{
	irq_handler = handler;
}

static void mode_leave(struct exception_frame *frame, u64 result)
{
	frame->x[0] = result;
	frame->elr = (u64)mode_landing;
	frame->spsr = MODE_EL1H;
}

static bool is_mode_return(const struct exception_frame *frame)
{
	return ESR_EC(frame->esr) == ESR_EC_SVC64 && (frame->esr & 0xffff) == SVC_MODE_RETURN;
}

void exception_entry(struct exception_frame *frame)
{
	u64 kind = frame->vector & 0x180;

	if ((kind == 0x080 || kind == 0x100) && irq_handler) {
		irq_handler(frame);
		return;
	}
	if (mode_call_sp && kind == 0 && is_mode_return(frame)) {
		mode_leave(frame, 0);
		return;
	}
	exception_seen = *frame;
	exception_count++;
	if (mode_call_sp) {
		mode_leave(frame, 1);
		return;
	}
	print("unexpected exception: vector 0x%lx esr 0x%lx elr 0x%lx (link 0x%lx) far 0x%lx spsr "
	      "0x%lx\n",
	      frame->vector, frame->esr, frame->elr, link_address((void *)frame->elr), frame->far,
	      frame->spsr);
	report(false, "no exception that the probe did not ask for", frame->esr, 0);
	probe_finish();
}

bool exception_catch(u64 mode, void (*fn)(void *), void *arg)
{
	return mode_call(fn, arg, mode, __el0_stack_top) != 0;
}

bool insn_try(u64 mode, u32 insn, u64 value[2])
{
	if (read32((u64)insn_slot) != insn) { /* QEMU translates changed code anew */
		write32((u64)insn_slot, insn);
		code_changed((u64)insn_slot, 4);
	}
	return exception_catch(mode, insn_stub, value);
}

u64 insn_address(void)
{
	return (u64)insn_slot;
}
