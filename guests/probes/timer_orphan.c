// SPDX-License-Identifier: MIT
/*
 * VM 0 powers off with its timer running, while the other VM sleeps: that timer may interrupt
 * nobody. To be packed as two VMs.
 */
#include "probe.h"
#include "timer.h"

#define LEFT_MS 5
#define SLEEP_MS 40

void probe(void)
{
	u64 deadline;

	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_init();
	gic_enable(INTID_VTIMER);
	if (guest.vm == 0) {
		vm_yield(); /* the other VM goes to sleep */
		timer_set_cval(TIMER_VIRTUAL, counter() + ticks_from_us(1000 * LEFT_MS));
		timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
		report_equal("the timer is left running", timer_ctl(TIMER_VIRTUAL), TIMER_ENABLE);
		return;
	}
	deadline = counter() + ticks_from_us(1000 * SLEEP_MS);
	timer_set_cval(TIMER_VIRTUAL, deadline);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	while (!irq_is_signalled())
		asm volatile("wfi" ::: "memory");
	report(counter() >= deadline, "the timer of a VM that is off wakes nobody", counter(),
	       deadline);
	timer_set_ctl(TIMER_VIRTUAL, 0);
}
