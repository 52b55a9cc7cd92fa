// SPDX-License-Identifier: MIT
/*
 * vCPUs come and go: each in turn is switched on by another one, works, takes an interrupt, and
 * switches itself off, while the others compute. No start is lost, none counts twice.
 */
#include "gic.h"
#include "probe.h"
#include "smp.h"

static volatile u64 worked[SMP_CPU_MAX], taken[SMP_CPU_MAX], refused, starts[SMP_CPU_MAX];
volatile u64 probe_rounds = 20; /* a longer run has another number here */
static u32 count;

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	(void)frame;
	if ((iar & 0x3ff) < GIC_INTID_SPECIAL) {
		taken[smp_index()]++;
		gic_eoi(iar);
	}
}

static void work(u64 argument)
{
	u32 self = smp_index();
	u64 before = taken[self];

	gic_init_cpu();
	gic_enable(3);
	irq_enable();
	gic_send_sgi_self(3);
	smp_wait_for(&taken[self], before + 1);
	irq_disable();
	worked[self] += argument;
}

static void start_other(u64 other)
{
	if (smp_on((u32)other))
		refused++;
	else
		starts[other]++;
}

void probe(void)
{
	u64 wrong = 0, never_off = 0, idle = 0, lost = 0;

	gic_init();
	irq_handler_set(handler);
	count = smp_start_all();
	for (u64 round = 0; round < probe_rounds; round++) {
		for (u32 cpu = 1; cpu < count; cpu++) {
			u32 starter = cpu + 1 < count ? cpu + 1 : 0;

			never_off += !smp_off(cpu);
			if (starter)
				idle += !smp_call(starter, start_other, cpu);
			else
				start_other(cpu);
			wrong += smp_affinity(cpu) != AFFINITY_INFO_ON;
			smp_post(cpu, work, 1);
		}
		for (u32 cpu = 1; cpu < count; cpu++)
			idle += !smp_wait(cpu);
	}
	for (u32 cpu = 1; cpu < count; cpu++)
		lost += worked[cpu] != probe_rounds || taken[cpu] != probe_rounds ||
			smp_cpus[cpu].entered != probe_rounds + 1 || starts[cpu] != probe_rounds;
	report_equal("a vCPU that executes CPU_OFF is OFF", never_off, 0);
	report_equal("CPU_ON of one that is OFF succeeds", refused, 0);
	report_equal("and then it is ON", wrong, 0);
	report_equal("each does its work", idle, 0);
	report_equal("each starts once for each CPU_ON, and takes its interrupt", lost, 0);
	for (u32 cpu = 1; cpu < count; cpu++)
		never_off += !smp_off(cpu);
	report_equal("at the end all others are OFF", never_off, 0);
}
