// SPDX-License-Identifier: MIT
/*
 * CPU_SUSPEND to a standby state is WFI with a result (DEN 0022, "CPU_SUSPEND"): the call ends
 * with a wake-up event and returns SUCCESS to the next instruction.
 */
#include "probe.h"
#include "timer.h"

static void suspend(u64 fid, const char *result, const char *time)
{
	u64 deadline = counter() + ticks_from_us(3000), x0;

	timer_set_cval(TIMER_VIRTUAL, deadline);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	x0 = hvc(fid, 0, 0, 0).x0;
	report_equal(result, x0, 0);
	while (!irq_is_signalled())
		asm volatile("wfi" ::: "memory");
	report(counter() >= deadline, time, counter(), deadline);
	x0 = hvc(fid, 0, 0, 0).x0; /* pending already */
	report_equal("with a wake-up event pending it returns at once", x0, 0);
	timer_set_ctl(TIMER_VIRTUAL, 0);
}

void probe(void)
{
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_init();
	gic_enable(INTID_VTIMER);
	report_equal("PSCI_FEATURES knows CPU_SUSPEND",
		     hvc(PSCI_FEATURES, PSCI_CPU_SUSPEND_64, 0, 0).x0 >> 1, 0);
	suspend(PSCI_CPU_SUSPEND_64, "CPU_SUSPEND (64-bit) returns SUCCESS", "woken by the timer");
	suspend(PSCI_CPU_SUSPEND_32, "CPU_SUSPEND (32-bit) returns SUCCESS",
		"woken by the timer again");
}
