// SPDX-License-Identifier: MIT
/*
 * The properties of an EL1 timer, from the manual's section "Operation of the CompareValue views
 * of the timers". One list for both: CNTV is hardware, CNTP is emulated, and software cannot tell
 * them apart.
 */
#include "timer_checks.h"

#include "probe.h"

#define TEXT(timer, text) ((timer) == TIMER_VIRTUAL ? "CNTV: " text : "CNTP: " text)
#define MS(n) ticks_from_us(1000 * (n))

static enum timer timer;

static void off(void)
{
	timer_set_ctl(timer, 0);
	irq_log_clear();
}

/* Take interrupts until @count of them came or @ticks have passed. */
static u32 wait_for(u32 count, u64 ticks)
{
	u64 start = counter();

	irq_enable();
	while (*(volatile u32 *)&irq_log.count < count && counter() - start < ticks)
		spin_burst();
	irq_disable();
	return irq_log.count;
}

static bool signalled_within(u64 ticks)
{
	u64 start = counter();

	while (counter() - start < ticks) {
		if (irq_is_signalled())
			return true;
		spin_burst();
	}
	return irq_is_signalled();
}

static void past(void)
{
	off();
	timer_set_cval(timer, timer_count(timer) - 1000);
	timer_set_ctl(timer, TIMER_ENABLE);
	report_equal(TEXT(timer, "a deadline in the past interrupts at once"), wait_for(1, MS(1)),
		     1);
	report_equal(TEXT(timer, "with its own interrupt number"), irq_log.iar[0],
		     timer_intid(timer));
	off();
	timer_set_cval(timer, 0);
	timer_set_ctl(timer, TIMER_ENABLE);
	report_equal(TEXT(timer, "a deadline of 0 too"), wait_for(1, MS(1)), 1);
}

static void future(void)
{
	u64 deadline;

	off();
	deadline = timer_count(timer) + MS(2);
	timer_set_cval(timer, deadline);
	timer_set_ctl(timer, TIMER_ENABLE);
	report_equal(TEXT(timer, "before the deadline ISTATUS is clear"), timer_ctl(timer),
		     TIMER_ENABLE);
	report_equal(TEXT(timer, "and no interrupt comes"), wait_for(1, MS(1)), 0);
	report_equal(TEXT(timer, "it comes when the deadline is reached"), wait_for(1, MS(5)), 1);
	u64 late = timer_count(timer) - deadline;
	report(late < MS(2), TEXT(timer, "in time: less than a millisecond late"), late, 0);
	report_equal(TEXT(timer, "CVAL reads what was written"), timer_cval(timer), deadline);
}

static void masked(void)
{
	off();
	timer_set_cval(timer, timer_count(timer) + MS(1));
	timer_set_ctl(timer, TIMER_ENABLE | TIMER_IMASK);
	report_equal(TEXT(timer, "masked, it does not interrupt"), wait_for(1, MS(3)), 0);
	report_equal(TEXT(timer, "but its status is set"), timer_ctl(timer),
		     TIMER_ENABLE | TIMER_IMASK | TIMER_ISTATUS);
	timer_set_ctl(timer, TIMER_ENABLE);
	report_equal(TEXT(timer, "unmasking it then interrupts"), wait_for(1, MS(1)), 1);
	off();
	/* ISTATUS is UNKNOWN then; Strata and QEMU read it as 0. */
	report_equal(TEXT(timer, "disabled, it shows no status although its deadline has passed"),
		     timer_ctl(timer), 0);
}

static void cancelled(void)
{
	off();
	timer_set_cval(timer, timer_count(timer) + MS(1));
	timer_set_ctl(timer, TIMER_ENABLE);
	timer_set_ctl(timer, 0);
	report_equal(TEXT(timer, "cancelled before its deadline, it never comes"),
		     wait_for(1, MS(3)), 0);
	timer_set_cval(timer, timer_count(timer) + MS(1));
	timer_set_ctl(timer, TIMER_ENABLE);
	report_equal(TEXT(timer, "expired with interrupts masked: signalled"),
		     signalled_within(MS(3)), 1);
	timer_set_ctl(timer, 0);
	/* CNTV changes without a trap: a list register follows at the next access to the GIC. */
	report_equal(TEXT(timer, "disabling it clears the pending state"),
		     gic_is_pending(timer_intid(timer)), 0);
	report_equal(TEXT(timer, "and takes the interrupt back"), irq_is_signalled(), 0);
	timer_set_ctl(timer, TIMER_ENABLE);
	signalled_within(MS(1));
	timer_set_cval(timer, timer_count(timer) + MS(50));
	report_equal(TEXT(timer, "a new deadline in the future clears the pending state"),
		     gic_is_pending(timer_intid(timer)), 0);
	report_equal(TEXT(timer, "and takes the interrupt back as well"), irq_is_signalled(), 0);
	timer_set_ctl(timer, 0);
}

static void far_future(void)
{
	u64 early = 0;
	/* 2^64 - 1 is left out: QEMU 7.2 adds CNTVOFF_EL2 to CVAL, takes a sum that wrapped for a
	 * deadline in the past, and never returns from its own timer. */
	static const u64 deadlines[] = {~0UL - BIT(60), 1UL << 63, 1UL << 62, 0x7fffffffffffffff,
					1UL << 56};

	for (unsigned i = 0; i < ARRAY_SIZE(deadlines); i++) {
		off();
		timer_set_cval(timer, deadlines[i]);
		timer_set_ctl(timer, TIMER_ENABLE);
		early |= wait_for(1, MS(1)) ? BIT(i) : 0;
		early |= timer_cval(timer) != deadlines[i] ? BIT(i + 8) : 0;
	}
	report_equal(TEXT(timer, "deadlines near 2^64 are in the future: no wrap, no sign"), early,
		     0);
	off();
}

static void timer_value(void)
{
	u64 before, cval, after, tval;

	off();
	before = timer_count(timer);
	timer_set_tval(timer, MS(3));
	after = timer_count(timer);
	cval = timer_cval(timer);
	report(cval - before >= MS(3) && cval - after <= MS(3),
	       TEXT(timer, "TVAL sets CVAL relative to the count"), cval - before, MS(3));
	tval = timer_tval(timer);
	report(tval <= MS(3) && tval + MS(1) > MS(3), TEXT(timer, "and counts down"), tval, MS(3));
	timer_set_tval(timer, (u32)-1000);
	cval = timer_cval(timer);
	report(cval < timer_count(timer),
	       TEXT(timer, "a negative TVAL is in the past (sign of 32 bits)"), cval,
	       timer_count(timer));
	report_equal(TEXT(timer, "and TVAL reads as 32 bits"), timer_tval(timer) >> 32, 0);
	timer_set_ctl(timer, TIMER_ENABLE);
	report_equal(TEXT(timer, "and interrupts"), wait_for(1, MS(1)), 1);
	off();
}

/* The line is a level: EOI without touching the timer brings the interrupt again. */
static u32 level_taken;

static void level_handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	if (iar == INTID_SPURIOUS)
		return;
	if (++level_taken == 4)
		timer_set_ctl(timer, 0);
	gic_eoi(iar);
}

static void level(void)
{
	off();
	level_taken = 0;
	irq_handler_set(level_handler);
	timer_set_cval(timer, timer_count(timer));
	timer_set_ctl(timer, TIMER_ENABLE);
	irq_enable();
	/* QEMU 7.2's GICv2 does not look at the physical line when a guest's EOI deactivates it: the
	 * interrupt comes again at the next access to the distributor. */
	for (unsigned i = 0; i < 20; i++) {
		spin_ticks(MS(1) / 20);
		gic_is_pending(timer_intid(timer));
	}
	irq_disable();
	irq_handler_set(irq_log_handler);
	report_equal(TEXT(timer, "the line is a level: again after each EOI, until it is disabled"),
		     level_taken, 4);
}

static void periodic(void)
{
	u64 next = timer_count(timer), worst = 0;
	u32 taken = 0;

	for (unsigned i = 0; i < 16; i++) {
		off();
		next += MS(1);
		timer_set_cval(timer, next);
		timer_set_ctl(timer, TIMER_ENABLE);
		taken += wait_for(1, MS(20)) == 1;
		u64 late = timer_count(timer) - next;
		worst = late > worst ? late : worst;
	}
	report_equal(TEXT(timer, "16 ticks of 1 ms all come"), taken, 16);
	report(worst < MS(20), TEXT(timer, "none gets lost on the way"), worst, 0);
	off();
}

static void wakes(void)
{
	u64 deadline, woken;

	off();
	deadline = timer_count(timer) + MS(5);
	timer_set_cval(timer, deadline);
	timer_set_ctl(timer, TIMER_ENABLE);
	while (!irq_is_signalled())
		asm volatile("wfi" ::: "memory");
	woken = timer_count(timer);
	report(woken >= deadline, TEXT(timer, "it wakes WFI, not before its deadline"), woken,
	       deadline);
	report(woken - deadline < MS(20), TEXT(timer, "nor much later"), woken - deadline, 0);
	report_equal(TEXT(timer, "with PSTATE.I set no interrupt is taken"), irq_log.count, 0);
	asm volatile("wfi" ::: "memory");
	report(timer_count(timer) - woken < MS(20),
	       TEXT(timer, "WFI with it pending does not wait"), timer_count(timer) - woken, 0);
	report_equal(TEXT(timer, "opening PSTATE.I takes it"), wait_for(1, MS(1)), 1);
	off();
}

static void masked_does_not_wake(void)
{
	enum timer other = timer == TIMER_VIRTUAL ? TIMER_PHYSICAL : TIMER_VIRTUAL;
	u64 alarm;

	off();
	timer_set_cval(timer, timer_count(timer) + MS(1));
	timer_set_ctl(timer, TIMER_ENABLE | TIMER_IMASK);
	alarm = timer_count(other) + MS(4);
	timer_set_cval(other, alarm);
	timer_set_ctl(other, TIMER_ENABLE);
	while (!irq_is_signalled())
		asm volatile("wfi" ::: "memory");
	report(timer_count(other) >= alarm,
	       TEXT(timer, "masked, it signals nothing: the other one wakes"), timer_count(other),
	       alarm);
	u32 iar = gic_ack();
	report_equal(TEXT(timer, "and that is what is acknowledged"), iar, timer_intid(other));
	timer_set_ctl(other, 0);
	gic_eoi(iar);
	off();
}

static void disabled_at_gic(void)
{
	off();
	gic_disable(timer_intid(timer));
	timer_set_cval(timer, timer_count(timer));
	timer_set_ctl(timer, TIMER_ENABLE);
	report_equal(TEXT(timer, "disabled in the interrupt controller it does not interrupt"),
		     wait_for(1, MS(1)), 0);
	report_equal(TEXT(timer, "but is pending there"), gic_is_pending(timer_intid(timer)), 1);
	gic_enable(timer_intid(timer));
	report_equal(TEXT(timer, "and comes when enabled"), wait_for(1, MS(1)), 1);
	off();
}

void timer_checks(enum timer which)
{
	timer = which;
	timer_set_ctl(TIMER_VIRTUAL, 0);
	timer_set_ctl(TIMER_PHYSICAL, 0);
	gic_init();
	gic_enable(INTID_VTIMER);
	gic_enable(INTID_PTIMER);
	past();
	future();
	masked();
	cancelled();
	far_future();
	timer_value();
	level();
	periodic();
	disabled_at_gic();
	wakes();
	if (which == TIMER_VIRTUAL)
		return;
	/* What needs both timers is told with CNTP, which is emulated, both ways round. */
	masked_does_not_wake();
	timer = TIMER_VIRTUAL;
	masked_does_not_wake();
}
