// SPDX-License-Identifier: MIT
/*
 * What an interrupt between two vCPUs costs, in ticks as in bench.c: instructions of both CPUs, since
 * the emulator runs one at a time. To be packed with two vCPUs on a machine of two CPUs, on a GICv3.
 */
#include "bench_rows.h"
#include "gic.h"
#include "probe.h"
#include "smp.h"

#define INTID 1
#define SETTLE 2000 /* ticks until the target is back where it waits */

static u32 samples[SAMPLES], second[SAMPLES];
static volatile u64 taken, sleeps, over;

static inline u64 ticks(void)
{
	u64 value;

	asm volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(value)::"memory");
	return value;
}

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	(void)frame;
	taken = bench_irq_ticks;
	gic_eoi(iar);
}

/* YIELD and WFI let the emulator run the other CPU at once. */
static void receive(u64 argument)
{
	(void)argument;
	bench_vectors_install();
	gic_init_cpu();
	gic_enable(INTID);
	irq_enable();
	while (!over) {
		if (sleeps)
			asm volatile("wfi" ::: "memory");
		else
			cpu_relax();
	}
	irq_disable();
}

static void settle(void)
{
	for (u64 end = ticks() + SETTLE; ticks() < end;)
		cpu_relax();
}

static void measure(bool asleep, const char *to_handler, const char *senders)
{
	sleeps = asleep;
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		settle();
		taken = 0;
		u64 start = ticks();
		asm volatile("msr icc_sgi1r_el1, %0" ::"r"((u64)INTID << ICC_SGI1R_EL1_INTID_SHIFT |
							   BIT(1))
			     : "memory");
		u64 sent = ticks();
		while (!taken)
			cpu_relax();
		if (i >= 0) {
			samples[i] = (u32)(taken - start);
			second[i] = (u32)(sent - start);
		}
	}
	row_add(to_handler, samples, 1);
	row_add(senders, second, 1);
}

void probe(void)
{
	for (int i = 0; i < SAMPLES; i++) {
		u64 start = ticks();
		u64 end = ticks();

		samples[i] = (u32)(end - start);
	}
	row_add("empty", samples, 1);
	rows_subtract_empty();
	smp_patience = 0;
	gic_init();
	irq_handler_set(handler);
	report_equal("two vCPUs are there", smp_start_all(), 2);
	smp_post(1, receive, 0);
	measure(false, "ipi_running", "ipi_running_send");
	measure(true, "ipi_asleep", "ipi_asleep_send");
	over = 1;
	asm volatile(
		"msr icc_sgi1r_el1, %0" ::"r"((u64)INTID << ICC_SGI1R_EL1_INTID_SHIFT | BIT(1)));
	report(smp_wait(1), "the other vCPU comes to its end", 0, 1);
}
