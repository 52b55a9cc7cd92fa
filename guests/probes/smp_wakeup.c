// SPDX-License-Identifier: MIT
/*
 * An interrupt ends WFI, whenever it comes: vCPU 1 sleeps, vCPU 0 sends an SGI and waits until it was
 * taken. No timer runs: a wake-up that is lost is lost for ever.
 */
#include "gic.h"
#include "probe.h"
#include "smp.h"

static volatile u64 taken;
volatile u64 wakeup_rounds = 60;

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	(void)frame;
	if ((iar & 0x3ff) >= GIC_INTID_SPECIAL)
		return;
	taken++;
	gic_eoi(iar);
}

static void ready(u64 argument)
{
	gic_init_cpu();
	gic_enable((u32)argument);
}

static void sleep(u64 rounds)
{
	while (taken < rounds) {
		asm volatile("wfi" ::: "memory");
		irq_enable();
		isb();
		irq_disable();
	}
}

void probe(void)
{
	u64 rounds = wakeup_rounds, late = 0;

	gic_init();
	irq_handler_set(handler);
	smp_on(1);
	smp_call(1, ready, 7);
	smp_post(1, sleep, rounds);
	for (u64 round = 1; round <= rounds; round++) {
		for (u64 n = random() % 64; n; n--)
			smp_relax(0);
		gic_send_sgi(7, 2);
		late += !smp_wait_for(&taken, round);
	}
	report_equal("each SGI to a vCPU in WFI wakes it", late, 0);
	report_equal("and is taken once", taken, rounds);
	report_equal("and the vCPU comes to its end", smp_wait(1), 1);
}
