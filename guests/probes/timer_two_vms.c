// SPDX-License-Identifier: MIT
/*
 * Timers of VMs that share a CPU: a timer fires in time although its vCPU is loaded nowhere, and
 * each VM has its own timer, offset and pending state. To be packed as two VMs: VM 0 sleeps on its
 * timers, VM 1 computes without ever giving way and has a timer of its own running.
 */
#include "probe.h"
#include "timer.h"

#define ROUNDS 8
#define SPIN_MS 60

static u64 worst(enum timer timer, u64 *early)
{
	u64 latest = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		u64 deadline = timer_count(timer) + ticks_from_us(500 + random() % 3000), now;

		timer_set_cval(timer, deadline);
		timer_set_ctl(timer, TIMER_ENABLE);
		while (!irq_is_signalled())
			asm volatile("wfi" ::: "memory");
		now = timer_count(timer);
		*early += now < deadline;
		latest = now - deadline > latest ? now - deadline : latest;
		timer_set_ctl(timer, 0);
		gic_clear_pending(timer_intid(timer));
	}
	return latest;
}

static void sleeper(void)
{
	u64 early = 0, late = worst(TIMER_VIRTUAL, &early),
	    late_physical = worst(TIMER_PHYSICAL, &early);

	report_equal("no timer of a sleeping VM expires early", early, 0);
	report(late < ticks_from_us(20000), "CNTV of a VM that does not run wakes it in time", late,
	       ticks_from_us(20000));
	report(late_physical < ticks_from_us(20000),
	       "CNTP of a VM that does not run wakes it in time", late_physical,
	       ticks_from_us(20000));
}

static void spinner(void)
{
	u64 end = counter() + ticks_from_us(1000 * SPIN_MS),
	    cval = counter() + ticks_from_us(20000);
	u64 spurious = 0, changed = 0;

	timer_set_cval(TIMER_VIRTUAL, cval);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	while (counter() < cval) {
		bool signalled = irq_is_signalled();

		spin_burst();
		/* Signalled before the burst, and not yet due after it: not ours. */
		spurious += signalled && counter() < cval;
		changed += timer_cval(TIMER_VIRTUAL) != cval;
	}
	report_equal("the sleeping VM's timer does not interrupt the running one", spurious, 0);
	report_equal("nor changes its deadline", changed, 0);
	report_equal("its own timer comes while it computes", irq_wait_signalled(), 1);
	report_equal("with its own number", gic_ack(), INTID_VTIMER);
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_eoi(INTID_VTIMER);
	while (counter() < end)
		spin_burst();
}

void probe(void)
{
	timer_set_ctl(TIMER_VIRTUAL, 0);
	timer_set_ctl(TIMER_PHYSICAL, 0);
	gic_init();
	gic_enable(INTID_VTIMER);
	gic_enable(INTID_PTIMER);
	if (guest.vm == 0)
		sleeper();
	else
		spinner();
}
