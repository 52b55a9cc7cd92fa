// SPDX-License-Identifier: MIT
/*
 * An endless storm of interrupts: expired timers, lines that stay up, no interrupt ever
 * acknowledged or completed, and handlers that return at once. The report is complete before that.
 */
#include "gic.h"
#include "probe.h"
#include "timer.h"

static void ignore(struct exception_frame *frame)
{
}

void probe(void)
{
	gic_init();
	for (u32 intid = 0; intid < GUEST_INTID_COUNT; intid++)
		gic_enable(intid);
	for (u32 intid = 32; intid < GUEST_INTID_COUNT; intid++)
		gic_set_pending(intid);
	for (u32 intid = 0; intid < 16; intid++)
		gic_send_sgi_self(intid);
	timer_set_cval(TIMER_VIRTUAL, 0);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	timer_set_cval(TIMER_PHYSICAL, 0);
	timer_set_ctl(TIMER_PHYSICAL, TIMER_ENABLE);
	report(true, "about to be flooded", 0, 0);
	irq_handler_set(ignore);
	irq_enable();
	for (;;)
		gic_send_sgi_self((u32)random() & 15);
}
