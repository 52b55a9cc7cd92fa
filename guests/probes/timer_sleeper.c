// SPDX-License-Identifier: MIT
/*
 * Sleeps on CNTV again and again and uses no other timer, so that whoever looks on finds it armed
 * while another VM has the CPU. Where WFI does not sleep, a time slice ends in the middle of a wait.
 */
#include "probe.h"
#include "timer.h"

#define WAIT_US 4000

void probe(void)
{
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_init();
	gic_enable(INTID_VTIMER);
	report(true, "about to sleep", 0, 0);
	for (;;) {
		timer_set_cval(TIMER_VIRTUAL, counter() + ticks_from_us(WAIT_US));
		timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
		while (!irq_is_signalled())
			asm volatile("wfi" ::: "memory");
		timer_set_ctl(TIMER_VIRTUAL, 0);
		gic_clear_pending(INTID_VTIMER);
	}
}
