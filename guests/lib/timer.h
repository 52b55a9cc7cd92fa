/* SPDX-License-Identifier: MIT */
/* The two EL1 timers under one interface. Arm ARM DDI 0487, "The Generic Timer in AArch64 state". */
#ifndef GUEST_TIMER_H
#define GUEST_TIMER_H

#include "cpu.h"
#include "gic.h"
#include "lib/types.h"

enum timer {
	TIMER_VIRTUAL,
	TIMER_PHYSICAL
};

#define TIMER_ENABLE 1
#define TIMER_IMASK 2
#define TIMER_ISTATUS 4

static inline u32 timer_intid(enum timer timer)
{
	return timer == TIMER_VIRTUAL ? INTID_VTIMER : INTID_PTIMER;
}

static inline u64 timer_count(enum timer timer)
{
	return timer == TIMER_VIRTUAL ? counter() : counter_physical();
}

static inline void timer_set_cval(enum timer timer, u64 cval)
{
	if (timer == TIMER_VIRTUAL)
		sysreg_write(cntv_cval_el0, cval);
	else
		sysreg_write(cntp_cval_el0, cval);
	isb();
}

static inline u64 timer_cval(enum timer timer)
{
	return timer == TIMER_VIRTUAL ? sysreg_read(cntv_cval_el0) : sysreg_read(cntp_cval_el0);
}

static inline void timer_set_tval(enum timer timer, u64 tval)
{
	if (timer == TIMER_VIRTUAL)
		sysreg_write(cntv_tval_el0, tval);
	else
		sysreg_write(cntp_tval_el0, tval);
	isb();
}

static inline u64 timer_tval(enum timer timer)
{
	return timer == TIMER_VIRTUAL ? sysreg_read(cntv_tval_el0) : sysreg_read(cntp_tval_el0);
}

static inline void timer_set_ctl(enum timer timer, u64 ctl)
{
	if (timer == TIMER_VIRTUAL)
		sysreg_write(cntv_ctl_el0, ctl);
	else
		sysreg_write(cntp_ctl_el0, ctl);
	isb();
}

static inline u64 timer_ctl(enum timer timer)
{
	isb();
	return timer == TIMER_VIRTUAL ? sysreg_read(cntv_ctl_el0) : sysreg_read(cntp_ctl_el0);
}

/** ticks_from_us() - microseconds in ticks of this machine's counter */
static inline u64 ticks_from_us(u64 us)
{
	return sysreg_read(cntfrq_el0) / 1000 * us / 1000;
}

/**
 * spin_burst() - execute 4000 instructions
 *
 * To be put between two reads of the counter: each read makes QEMU leave its translated code, which
 * costs as much as a thousand instructions.
 */
void spin_burst(void);

/** spin_ticks() - compute for @ticks of the virtual count, and a few microseconds more */
static inline void spin_ticks(u64 ticks)
{
	u64 start = counter();

	while (counter() - start < ticks)
		spin_burst();
}

#endif
