// SPDX-License-Identifier: MIT
/*
 * The VM goes off while its vCPUs are at work: by SYSTEM_OFF of vCPU 1, for VM 0, or by the CPU_OFF of
 * all, one after the other, for VM 1. Nothing is reported: whoever is beside it has to say that all is
 * well.
 */
#include "gic.h"
#include "probe.h"
#include "smp.h"
#include "timer.h"

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	(void)frame;
	if ((iar & 0x3ff) == INTID_VTIMER)
		timer_set_ctl(TIMER_VIRTUAL, 0);
	if ((iar & 0x3ff) < GIC_INTID_SPECIAL)
		gic_eoi(iar);
}

static void at_work(u64 ticks)
{
	u64 end = counter() + ticks;

	gic_init_cpu();
	gic_enable(1);
	irq_enable();
	for (u32 step = 0; counter() < end; step++) {
		gic_send_sgi_others(1);
		smp_relax(step);
	}
	irq_disable();
}

static void off_after(u64 ticks)
{
	at_work(ticks);
	if (probe_vm == 0)
		hvc(PSCI_SYSTEM_OFF, 0, 0, 0);
	hvc(PSCI_CPU_OFF, 0, 0, 0);
}

void probe(void)
{
	u32 count = smp_start_all();

	gic_init();
	irq_handler_set(handler);
	for (u32 cpu = 1; cpu < count; cpu++)
		smp_post(cpu, probe_vm == 0 && cpu > 1 ? at_work : off_after,
			 cpu == 1 || probe_vm ? ticks_from_us(1000) : ~0UL >> 2);
	off_after(probe_vm ? ticks_from_us(500 + seed_number() % 1000) : ~0UL >> 2);
	for (;;)
		asm volatile("wfi");
}
