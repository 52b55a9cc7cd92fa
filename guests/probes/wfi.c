// SPDX-License-Identifier: MIT
/*
 * Waiting: WFI returns for what would interrupt, whether PSTATE.I is set or not; the instruction is
 * not executed again; WFE and SEV do no harm. To be packed as one or two VMs.
 */
#include "probe.h"
#include "timer.h"

#define WFI asm volatile("wfi" ::: "memory")

static void pending(void)
{
	u64 start = counter();

	gic_send_sgi_self(2);
	WFI;
	report(counter() - start < ticks_from_us(50000), "WFI with an interrupt pending returns",
	       counter() - start, 0);
	report_equal("and does not take it: PSTATE.I is set", irq_is_signalled(), 1);
	gic_eoi(gic_ack());
}

static volatile u64 handled_before;

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	handled_before = frame->elr;
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_eoi(iar);
}

static void return_address(void)
{
	u64 after;

	irq_handler_set(handler);
	timer_set_cval(TIMER_VIRTUAL, counter() + ticks_from_us(2000));
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	asm volatile("	msr daifclr, #2\n"
		     "	wfi\n"
		     "1:	nop\n"
		     "	msr daifset, #2\n"
		     "	adr %0, 1b"
		     : "=r"(after)::"memory");
	irq_handler_set(NULL);
	report(handled_before == after || handled_before == after + 4,
	       "the interrupt that ends WFI is taken behind it", handled_before, after);
}

static void many(void)
{
	u64 start = counter(), woken = 0;

	for (unsigned i = 0; i < 200; i++) {
		timer_set_cval(TIMER_VIRTUAL, counter() + ticks_from_us(random() % 300));
		timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
		while (!irq_is_signalled())
			WFI;
		woken++;
		timer_set_ctl(TIMER_VIRTUAL, 0);
	}
	report_equal("200 waits with random deadlines all end", woken, 200);
	report(counter() - start < ticks_from_us(200 * 21000), "in bounded time", counter() - start,
	       ticks_from_us(200 * 21000));
}

static void disabled_does_not_end_it(void)
{
	u64 alarm;

	gic_disable(3);
	if (gic_version() == 3)
		gic_send_sgi_self(3); /* pending, but disabled */
	alarm = counter() + ticks_from_us(3000);
	timer_set_cval(TIMER_VIRTUAL, alarm);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	while (!irq_is_signalled())
		WFI;
	report(counter() >= alarm, "a disabled pending interrupt does not signal", counter(),
	       alarm);
	report_equal("the timer does", gic_ack(), INTID_VTIMER);
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_eoi(INTID_VTIMER);
	gic_clear_pending(3);
}

void probe(void)
{
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_init();
	gic_enable(2);
	gic_enable(INTID_VTIMER);
	pending();
	return_address();
	many();
	disabled_does_not_end_it();
	asm volatile("sev\n\twfe\n\tsevl\n\twfe" ::: "memory");
	report(true, "WFE after SEV returns", 0, 0);
}
