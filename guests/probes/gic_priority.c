// SPDX-License-Identifier: MIT
/*
 * Interrupts come in order of priority, however few list registers there are, and whatever arrives
 * while they are full. IHI 0069, "Interrupt prioritization". Priorities have five bits, steps of 8.
 * As two VMs: also when the other one runs in between.
 */
#include "gic.h"
#include "lib/string.h"
#include "probe.h"

#define FIRST 40
#define COUNT 24 /* six times the list registers of QEMU's GIC */

static u8 priorities[COUNT];

static void shuffle_priorities(void)
{
	for (unsigned i = 0; i < COUNT; i++)
		priorities[i] = (u8)((i + 2) * 8);
	for (unsigned i = COUNT - 1; i > 0; i--) {
		unsigned j = random() % (i + 1);
		u8 swap = priorities[i];

		priorities[i] = priorities[j];
		priorities[j] = swap;
	}
	for (unsigned i = 0; i < COUNT; i++) {
		gic_set_priority(FIRST + i, priorities[i]);
		gic_enable(FIRST + i);
	}
}

/* How many entries of the log came after one that should have come later. */
static u64 count_disorder(void)
{
	u64 disorder = 0;

	for (unsigned i = 1; i < irq_log.count && i < COUNT; i++)
		disorder +=
			priorities[irq_log.iar[i] - FIRST] < priorities[irq_log.iar[i - 1] - FIRST];
	return disorder;
}

/* Bitmap of interrupts that did not arrive. */
static u64 missing_set(void)
{
	u64 seen = 0;

	for (unsigned i = 0; i < irq_log.count; i++)
		seen |= BIT(irq_log.iar[i] - FIRST);
	return (BIT(COUNT) - 1) & ~seen;
}

static void all_at_once(void)
{
	u64 disorder = 0, missing = 0, extra = 0;

	for (unsigned round = 0; round < 8; round++) {
		shuffle_priorities();
		irq_log_clear();
		for (unsigned i = 0; i < COUNT; i++)
			gic_set_pending(FIRST + i);
		vm_yield();
		irq_wait_count(COUNT);
		irq_enable();
		for (unsigned i = 0; i < 100; i++)
			cpu_relax();
		irq_disable();
		missing |= missing_set();
		extra += irq_log.count > COUNT;
		disorder += count_disorder();
	}
	report_equal("each of 24 pending interrupts arrives", missing, 0);
	report_equal("exactly once", extra, 0);
	report_equal("in order of priority", disorder, 0);
}

static void late_and_urgent(void)
{
	u64 wrong = 0;

	for (unsigned urgent = 0; urgent < COUNT; urgent++) {
		u32 iar;

		for (unsigned i = 0; i < COUNT; i++) {
			gic_set_priority(FIRST + i, i == urgent ? 0x10 : 0x80);
			if (i != urgent)
				gic_set_pending(FIRST + i);
		}
		irq_wait_signalled();
		vm_yield();
		gic_set_pending(FIRST + urgent);
		iar = gic_ack();
		wrong += iar != FIRST + urgent;
		gic_eoi(iar);
		irq_log_clear();
		irq_wait_count(COUNT - 1);
		wrong += irq_log.count != COUNT - 1;
	}
	report_equal("an urgent one that arrives last is taken first", wrong, 0);
}

static void priority_changes(void)
{
	u32 iar;

	gic_set_priority(FIRST, 0x40);
	gic_set_priority(FIRST + 1, 0x80);
	gic_set_pending(FIRST);
	gic_set_pending(FIRST + 1);
	irq_wait_signalled();
	gic_set_priority(FIRST + 1, 0x20);
	iar = gic_ack();
	report_equal("a new priority counts for a pending interrupt", iar, FIRST + 1);
	gic_eoi(iar);
	iar = gic_ack();
	report_equal("and the other follows", iar, FIRST);
	gic_eoi(iar);
}

static void masked(void)
{
	u8 mask = guest.vm & 1 ? 0xa0 : 0x80;

	gic_set_priority_mask(mask);
	vm_yield();
	report_equal("the priority mask keeps five bits", gic_priority_mask() & 0xf8, mask);
	gic_set_priority(FIRST, mask);
	gic_set_pending(FIRST);
	report_equal("a priority equal to the mask is not signalled", irq_is_signalled(), 0);
	gic_set_priority(FIRST + 1, (u8)(mask - 8));
	gic_set_pending(FIRST + 1);
	report_equal("a higher one is", irq_wait_signalled(), 1);
	u32 iar = gic_ack();
	report_equal("and it is that one", iar, FIRST + 1);
	vm_yield();
	report_equal("running priority while active", gic_running_priority(), mask - 8u);
	gic_eoi(iar);
	report_equal("running priority when idle", gic_running_priority(), 0xff);
	report_equal("the masked one still waits", gic_ack(), INTID_SPURIOUS);
	gic_set_priority_mask(0xff);
	report_equal("opening the mask signals it", irq_wait_signalled(), 1);
	gic_eoi(gic_ack());
	gic_set_priority_mask(0);
	gic_set_pending(FIRST);
	report_equal("mask 0 signals nothing", irq_is_signalled(), 0);
	gic_set_priority_mask(0xff);
	gic_eoi(gic_ack());
}

void probe(void)
{
	gic_init();
	for (unsigned i = 0; i < COUNT; i++)
		gic_set_edge(FIRST + i, true);
	all_at_once();
	late_and_urgent();
	priority_changes();
	masked();
	report_equal("nothing is left: spurious", gic_ack(), INTID_SPURIOUS);
}
