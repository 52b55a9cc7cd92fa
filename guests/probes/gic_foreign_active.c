// SPDX-License-Identifier: MIT
/*
 * One VM makes its timer interrupt active by ISACTIVER and gives the CPU away; the other's timer
 * must fire all the same. To be packed as two VMs.
 */
#include "probe.h"
#include "timer.h"

void probe(void)
{
	u64 lost = 0;

	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_init();
	gic_enable(INTID_VTIMER);
	for (unsigned i = 0; i < 32; i++) {
		if (guest.vm & 1) {
			gic_bit_set(GICD_ISACTIVER, INTID_VTIMER);
			vm_yield();
			gic_bit_set(GICD_ICACTIVER, INTID_VTIMER);
			vm_yield();
		} else {
			timer_set_cval(TIMER_VIRTUAL, counter());
			timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
			lost += !irq_wait_signalled();
			u32 iar = gic_ack();

			timer_set_ctl(TIMER_VIRTUAL, 0);
			gic_eoi(iar);
			vm_yield();
		}
	}
	report_equal("a timer fires while another VM's timer interrupt is active", lost, 0);
}
