// SPDX-License-Identifier: MIT
/*
 * SYSTEM_RESET by each vCPU in turn, while all others compute, sleep, send interrupts, or are off. Each
 * life begins as the first did. Nothing in a VM outlives a reset, so the lives are told apart by
 * physical time: life n ends behind n * life_us. The last one ends as a probe does, with the others at
 * work.
 */
#include "gic.h"
#include "probe.h"
#include "smp.h"
#include "timer.h"

static volatile u64 pristine = 0x5354524154415331;
volatile u64 probe_rounds = 9; /* lives */
volatile u64 life_us = 2000;
static u32 count;

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	(void)frame;
	if ((iar & 0x3ff) == INTID_VTIMER)
		timer_set_ctl(TIMER_VIRTUAL, 0);
	if ((iar & 0x3ff) < GIC_INTID_SPECIAL)
		gic_eoi(iar);
}

/* For ever; the end of the VM ends it. */
static void busy(u64 kind)
{
	u32 self = smp_index();

	gic_init_cpu();
	gic_enable(1);
	gic_enable(INTID_VTIMER);
	irq_enable();
	for (u32 step = 0;; step++) {
		pristine = step;
		switch ((kind + self) % 4) {
		case 0:
			smp_relax(step);
			break;
		case 1:
			timer_set_tval(TIMER_VIRTUAL, ticks_from_us(30));
			timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
			asm volatile("wfi" ::: "memory");
			break;
		case 2:
			gic_send_sgi_others(1);
			smp_relax(step);
			break;
		default:
			asm volatile("wfi" ::: "memory");
		}
	}
}

static void reset_when_due(u64 ticks)
{
	while (counter_physical() < ticks)
		smp_let_pass();
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
	report(false, "SYSTEM_RESET does not return", 0, 0);
}

static u64 dirty(void)
{
	u64 words = 0;

	for (u64 at = free_memory(); at < memory_end(); at += 65536) {
		words += read64(at) != 0;
		write64(at, at);
	}
	return words;
}

void probe(void)
{
	u64 life = counter_physical() / ticks_from_us(life_us);
	u64 wrong = 0, memory = dirty(), data = pristine, on;
	u32 last;

	count = smp_count();
	for (u32 cpu = 1; cpu < count; cpu++)
		wrong |= smp_affinity(cpu) != AFFINITY_INFO_OFF ? BIT(cpu) : 0;
	gic_init();
	irq_handler_set(handler);
	on = smp_start_all();
	last = (u32)(life % count);
	for (u32 cpu = 1; cpu < count; cpu++)
		if (cpu != last)
			smp_post(cpu, busy, life);
	if (life % 3 == 1 && count > 3 && last != 3)
		smp_on(3); /* refused: it computes for ever */
	if (life < probe_rounds) {
		u64 due = (life + 1) * ticks_from_us(life_us);

		/* Said only when all went well so far: else the next life would not know. */
		if (wrong || memory || data != 0x5354524154415331 || on != count) {
			report_equal("in each life all other vCPUs are OFF at first (bit n: n)",
				     wrong, 0);
			report_equal("RAM is zero", memory, 0);
			report_equal("data are as in the image", data, 0x5354524154415331);
			probe_finish();
		}
		if (last) {
			smp_post(last, reset_when_due, due);
			busy(life);
		}
		reset_when_due(due);
	}
	report_equal("after many resets under load all other vCPUs are OFF at first (bit n: n)",
		     wrong, 0);
	report_equal("RAM is zero", memory, 0);
	report_equal("data are as in the image", data, 0x5354524154415331);
	report_equal("all others start", on, count);
	report(life >= probe_rounds, "in the last life", life, probe_rounds);
}
