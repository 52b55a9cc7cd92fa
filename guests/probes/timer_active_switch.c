// SPDX-License-Identifier: MIT
/*
 * A VM loses the CPU while it handles a timer interrupt: the active state travels with the vCPU,
 * and the line is sampled again when the vCPU comes back. To be packed as two VMs.
 */
#include "probe.h"
#include "timer.h"

void probe(void)
{
	u64 lost_active = 0, foreign = 0, lost_again = 0, stale = 0, kernel_control = 0;
	u64 own_control = guest.vm & 1 ? 0x102 : 0x201;

	timer_set_ctl(TIMER_VIRTUAL, 0);
	timer_set_ctl(TIMER_PHYSICAL, 0);
	gic_init();
	gic_enable(INTID_VTIMER);
	sysreg_write(cntkctl_el1, own_control);
	for (unsigned i = 0; i < 32; i++) {
		foreign += irq_is_signalled();
		timer_set_cval(TIMER_VIRTUAL, counter());
		timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
		irq_wait_signalled();
		if (i & 1)
			vm_yield(); /* pending while away */
		u32 iar = gic_ack();
		vm_yield(); /* active while away */
		lost_active += iar != INTID_VTIMER || !gic_is_active(INTID_VTIMER);
		if (i & 2)
			timer_set_ctl(TIMER_VIRTUAL, 0);
		gic_eoi(iar);
		gic_is_pending(INTID_VTIMER); /* see timer_checks.c, level() */
		if (i & 2)
			stale += irq_is_signalled();
		else
			lost_again += !irq_wait_signalled();
		timer_set_ctl(TIMER_VIRTUAL, 0);
		vm_yield();
		stale += irq_is_signalled();
		kernel_control += sysreg_read(cntkctl_el1) != own_control;
	}
	report_equal("an active timer interrupt stays active across a switch", lost_active, 0);
	report_equal("while the line is up, EOI brings it again", lost_again, 0);
	report_equal("once the timer is off, nothing comes back", stale, 0);
	report_equal("CNTKCTL_EL1 keeps this VM's value", kernel_control, 0);
	report_equal("nothing of the other VM's timer arrives", foreign, 0);
}
