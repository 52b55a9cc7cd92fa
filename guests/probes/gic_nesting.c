// SPDX-License-Identifier: MIT
/*
 * More active interrupts than list registers: handlers preempt each other, the guest completes an
 * interrupt that no list register holds any more, and one more is pending while active ones fill
 * all list registers, which must not become a storm of maintenance interrupts.
 */
#include "gic.h"
#include "probe.h"

#define FIRST 40
#define DEPTH 10

static volatile u32 depth, deepest, wrong_priority, wrong_order;
static u32 stack[DEPTH];

static u8 priority_of(u32 level)
{
	return (u8)(0xd0 - level * 16);
}

/* Level n acknowledges its interrupt, pends the more urgent n + 1 and lets it preempt. */
static void nest(struct exception_frame *frame)
{
	u32 iar = gic_ack(), level = depth;

	if (iar == INTID_SPURIOUS)
		return;
	stack[level] = iar;
	wrong_order += iar != FIRST + level;
	depth = level + 1;
	if (depth > deepest)
		deepest = depth;
	wrong_priority += gic_running_priority() != priority_of(level);
	if (depth < DEPTH) {
		gic_set_pending(FIRST + depth);
		irq_enable();
		for (unsigned i = 0; i < 200 && deepest <= level + 1; i++)
			cpu_relax();
		irq_disable();
	}
	depth = level;
	gic_eoi(iar);
}

static void preemption(void)
{
	u64 active = 0;

	depth = deepest = wrong_order = wrong_priority = 0;
	gic_set_pending(FIRST);
	irq_enable();
	for (unsigned i = 0; i < 1000 && (deepest < DEPTH || depth); i++)
		cpu_relax();
	irq_disable();
	report_equal("ten handlers preempt each other", deepest, DEPTH);
	report_equal("each with its own interrupt", wrong_order, 0);
	report_equal("the running priority is that of the innermost", wrong_priority, 0);
	for (unsigned i = 0; i < DEPTH; i++)
		active += gic_is_active(FIRST + i);
	report_equal("after the last EOI none is active", active, 0);
	report_equal("and nothing runs", gic_running_priority(), 0xff);
}

/* The shortest of a few rounds: in the others the machine may have had something else to do. */
static u64 loop_ticks(void)
{
	u64 shortest = ~0UL;

	for (unsigned round = 0; round < 4; round++) {
		u64 start = counter(), ticks;

		for (unsigned i = 0; i < 20000; i++)
			asm volatile("" ::: "memory");
		ticks = counter() - start;
		if (ticks < shortest)
			shortest = ticks;
	}
	return shortest;
}

/* @count interrupts active at once, without handlers: priority drop apart from deactivation. */
static void many_active(void)
{
	u64 calm = loop_ticks(), storm, still_active = 0, lost = 0, wrong = 0;
	u32 iar[DEPTH];

	gic_set_split_eoi(true);
	for (unsigned i = 0; i < DEPTH; i++) {
		gic_set_pending(FIRST + i);
		lost += !irq_wait_signalled();
		iar[i] = gic_ack();
		lost += iar[i] != FIRST + i;
		gic_eoi(iar[i]);
	}
	report_equal("with split completion all of them become active", lost, 0);
	for (unsigned i = 0; i < DEPTH; i++)
		still_active += gic_is_active(FIRST + i);
	report_equal("priority drop leaves them active", still_active, DEPTH);
	gic_set_pending(FIRST); /* active and pending: must wait, without a storm */
	storm = loop_ticks();
	report(storm < calm * 2 + 20000, "a full house with one pending does not slow the guest",
	       storm, calm);
	gic_set_pending(FIRST + DEPTH);
	report_equal("a new interrupt still gets through", irq_wait_signalled(), 1);
	u32 extra = gic_ack();
	report_equal("and it is the right one", extra, FIRST + DEPTH);
	gic_eoi(extra);
	gic_dir(extra);
	for (unsigned i = 0; i < DEPTH;
	     i++) { /* oldest first: those left the list registers long ago */
		gic_dir(iar[i]);
		wrong += (read32(GICD_BASE + GICD_ISACTIVER + 4) >> FIRST % 32 &
			  (BIT(DEPTH) - 1)) != (BIT(DEPTH) - 1) >> (i + 1) << (i + 1);
	}
	report_equal("each deactivation is of the interrupt that it names, and of no other", wrong,
		     0);
	still_active = 0;
	for (unsigned i = 0; i < DEPTH; i++)
		still_active += gic_is_active(FIRST + i);
	report_equal("deactivation works in any order", still_active, 0);
	report_equal("the one that was active and pending comes again", irq_wait_signalled(), 1);
	extra = gic_ack();
	report_equal("as itself", extra, FIRST);
	gic_eoi(extra);
	gic_dir(extra);
	gic_set_split_eoi(false);
}

static void same_priority_waits(void)
{
	u32 iar;

	gic_set_priority(FIRST, 0x80);
	gic_set_priority(FIRST + 1, 0x80);
	gic_set_pending(FIRST);
	irq_wait_signalled();
	iar = gic_ack();
	gic_set_pending(FIRST + 1);
	report_equal("the same priority does not preempt", irq_is_signalled(), 0);
	gic_eoi(iar);
	report_equal("it follows after EOI", irq_wait_signalled(), 1);
	gic_eoi(gic_ack());
}

void probe(void)
{
	gic_init();
	for (unsigned i = 0; i <= DEPTH; i++) {
		gic_set_edge(FIRST + i, true);
		gic_set_priority(FIRST + i, i == DEPTH ? 0x08 : priority_of(i));
		gic_enable(FIRST + i);
	}
	irq_handler_set(nest);
	preemption();
	many_active();
	same_priority_waits();
	report_equal("nothing is left: spurious", gic_ack(), INTID_SPURIOUS);
}
