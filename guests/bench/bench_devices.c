// SPDX-License-Identifier: MIT
/*
 * What a device of the VM's own costs, in ticks as in bench.c: its interrupt, and accesses that are
 * refused. To be packed with an edu device.
 *
 * EL2's work for a refused access is seen as a gap: the guest reads the counter again and again while
 * the access happens. The device's timer counts whole milliseconds, so the guest knows when that is.
 */
#include "bench_rows.h"
#include "edu.h"
#include "gic.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

#define MILLISECOND 1000000UL /* in ticks */
#define TRANSFER (100 * MILLISECOND)
#define AROUND 10000 /* ticks before and after the transfer that the guest looks at */

static u32 samples[SAMPLES], second[SAMPLES];
static struct edu edu;
static volatile u64 taken;

static inline u64 ticks(void)
{
	u64 value;

	asm volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(value)::"memory");
	return value;
}

static void empty(void)
{
	for (int i = 0; i < SAMPLES; i++) {
		u64 start = ticks();
		u64 end = ticks();

		samples[i] = (u32)(end - start);
	}
	row_add("empty", samples, 1);
	rows_subtract_empty();
}

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	(void)frame;
	taken = bench_irq_ticks;
	write32(edu.bar + EDU_ACKNOWLEDGE, 1);
	gic_eoi(iar);
}

/* The store raises the line: from there to the guest's vector, and until the guest goes on. */
static void interrupts(u32 intid)
{
	gic_set_edge(intid, false);
	gic_enable(intid);
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		taken = 0;
		irq_enable();
		u64 start = ticks();
		write32(edu.bar + EDU_RAISE, 1);
		while (!taken)
			asm volatile("" ::: "memory");
		u64 end = ticks();
		irq_disable();
		if (i >= 0) {
			samples[i] = (u32)(taken - start);
			second[i] = (u32)(end - start);
		}
	}
	row_add("intx_to_handler", samples, 1);
	row_add("intx_handled", second, 1);
}

static u64 longest_gap(u64 end)
{
	u64 longest = 0;

	for (u64 last = ticks(), now = last; now < end; last = now) {
		now = ticks();
		longest = max_u64(longest, now - last);
	}
	return longest;
}

/* Each four bytes are an access. */
static u32 refused(u64 bytes)
{
	u64 offset = counter_physical() - counter(), over;

	while (counter_physical() % MILLISECOND > MILLISECOND / 2)
		cpu_relax();
	over = counter_physical() / MILLISECOND * MILLISECOND + TRANSFER;
	edu_start(&edu, EDU_BUFFER, ram_end() + MIB(1), bytes, EDU_DMA_TO_RAM);
	edu_sleep_until(over - offset - AROUND);
	return (u32)longest_gap(over + AROUND);
}

static void faults(void)
{
	for (u32 i = 0; i < SAMPLES; i++) {
		samples[i] = refused(4);
		second[i] = refused(8);
	}
	row_add("dma_fault", samples, 1);
	row_add("dma_fault_two", second, 1);
}

void probe(void)
{
	u32 slot = pci_find(EDU_ID, 0);

	edu = edu_open(slot);
	empty();
	bench_vectors_install();
	irq_handler_set(handler);
	interrupts(pci_intid(slot));
	faults();
	bench_report.done = 1;
	report_equal("every row was measured", bench_report.count, bench_report.count);
}
