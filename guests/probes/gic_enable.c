// SPDX-License-Identifier: MIT
/*
 * Enabling, pending and active are three independent bits of an interrupt (IHI 0069 and IHI 0048,
 * "Interrupt handling state machine"): an interrupt that is disabled is delivered later, never
 * lost.
 */
#include "gic.h"
#include "probe.h"

#define A 40
#define B 77

static void take(u32 intid, const char *text)
{
	u32 iar = irq_wait_signalled() ? gic_ack() : INTID_SPURIOUS;

	report_equal(text, iar, intid);
	if (iar != INTID_SPURIOUS)
		gic_eoi(iar);
}

static void pending_while_disabled(void)
{
	gic_set_pending(A);
	report_equal("a disabled interrupt can be pending", gic_is_pending(A), 1);
	report_equal("but is not signalled", irq_is_signalled(), 0);
	report_equal("nor acknowledged", gic_ack(), INTID_SPURIOUS);
	gic_enable(A);
	take(A, "enabling delivers what was pending");
	report_equal("once", irq_is_signalled(), 0);
	report_equal("and it is idle again", gic_is_pending(A) | gic_is_active(A), 0);
}

static void disabled_while_pending(void)
{
	gic_set_pending(A);
	irq_wait_signalled();
	gic_disable(A);
	report_equal("disabling retracts a signalled interrupt", irq_is_signalled(), 0);
	report_equal("which stays pending", gic_is_pending(A), 1);
	report_equal("and is not acknowledged meanwhile", gic_ack(), INTID_SPURIOUS);
	gic_enable(A);
	take(A, "re-enabling delivers it");
}

static void disabled_while_active(void)
{
	u32 iar;

	gic_set_pending(A);
	irq_wait_signalled();
	iar = gic_ack();
	report_equal("an acknowledged interrupt is active, not pending",
		     gic_is_active(A) << 1 | gic_is_pending(A), 2);
	gic_disable(A);
	report_equal("disabling leaves it active", gic_is_active(A), 1);
	gic_set_pending(A);
	report_equal("it can become pending as well", gic_is_pending(A), 1);
	gic_eoi(iar);
	report_equal("completion works while disabled", gic_is_active(A), 0);
	report_equal("the new one waits", irq_is_signalled() << 1 | gic_is_pending(A), 1);
	gic_enable(A);
	take(A, "and comes when enabled");
}

static void cleared(void)
{
	gic_set_pending(A);
	irq_wait_signalled();
	gic_clear_pending(A);
	report_equal("clearing the pending bit retracts the interrupt", irq_is_signalled(), 0);
	report_equal("for good", gic_ack(), INTID_SPURIOUS);
}

static void registers(void)
{
	u64 frame = GICD_BASE;

	gic_enable(B);
	report_equal("ISENABLER and ICENABLER read the same", read32(frame + GICD_ISENABLER + 8),
		     read32(frame + GICD_ICENABLER + 8));
	write32(frame + GICD_ISENABLER + 8, 0);
	write32(frame + GICD_ICENABLER + 8, 0);
	report_equal("writing zero changes nothing", gic_bit_get(GICD_ISENABLER, B), 1);
	gic_disable(B);
	report_equal("ICENABLER clears", gic_bit_get(GICD_ISENABLER, B), 0);
}

static void active_by_hand(void)
{
	gic_bit_set(GICD_ISACTIVER, A);
	gic_set_pending(A);
	report_equal("ISACTIVER holds a pending interrupt back", irq_is_signalled(), 0);
	gic_bit_set(GICD_ICACTIVER, A);
	take(A, "ICACTIVER lets it through");
}

static void distributor_off(void)
{
	u32 ctlr = read32(GICD_BASE + GICD_CTLR);

	write32(GICD_BASE + GICD_CTLR, ctlr & ~3u);
	gic_set_pending(A);
	report_equal("with the distributor off nothing is signalled", irq_is_signalled(), 0);
	write32(GICD_BASE + GICD_CTLR, ctlr);
	take(A, "on again, it comes");
}

void probe(void)
{
	gic_init();
	gic_set_edge(A, true);
	pending_while_disabled();
	disabled_while_pending();
	disabled_while_active();
	cleared();
	registers();
	active_by_hand();
	distributor_off();
}
