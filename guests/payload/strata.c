// SPDX-License-Identifier: MIT
/*
 * A VM of Strata. The virtual device is the PL011, whose model runs at EL2: out is a store to it and
 * back, which bounds the way to the model. For in, the other vCPU, on its own CPU, makes the model
 * raise its line by a store: from there to this vCPU's vector are both ways, and without that of a
 * store that raises nothing they are the way in.
 */
#include "payload.h"

#include "lib/guest_map.h"

#define UART_IMSC 0x38
#define UART_INT_TX                                                                                \
	BIT(5) /* the model's transmitter is always ready, so its line follows the mask */

static volatile u64 raised_at, raised;

static void lower_line(u32 intid)
{
	if (intid == GUEST_UART_INTID)
		write32(platform.uart + UART_IMSC, 0);
}

static void raise_line(void)
{
	u64 start = ticks();

	write32(platform.uart + UART_IMSC, UART_INT_TX);
	raised_at = start;
	raised = raised + 1;
}

static void line_to_vector(u64 out)
{
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		u64 before = taken, raised_before = raised;

		asm volatile("msr daifset, #2" ::: "memory");
		second_request = second_request + 1;
		while (taken == before || raised == raised_before)
			asm volatile("msr daifclr, #2\n\tisb\n\tyield" ::: "memory");
		if (i >= 0) {
			second[i] = (u32)(taken_at - raised_at);
			samples[i] = (u32)(second[i] - out);
		}
		settle(SETTLE);
	}
	asm volatile("msr daifset, #2" ::: "memory");
	row_add("io_in", samples, 1);
	row_add("io_both", second, 1);
}

void strata_rows(void)
{
	MEASURE("io_out", 1, write32(platform.uart + UART_IMSC, 0));
	on_interrupt = lower_line;
	gic_start_spi(GUEST_UART_INTID, false);
	second_work = raise_line;
	second_set(SECOND_WORKS);
	line_to_vector((u64)bench_report.rows[bench_report.count - 1].median);
}

/* One sample is there and back: two switches. */
void strata_switch(bool is_second)
{
	if (!is_second) {
		MEASURE("vm_switch", 2, call(STRATA_YIELD));
		return;
	}
	for (int i = 0; i < SAMPLES + WARM_UP + 16; i++)
		call(STRATA_YIELD);
}

/* What grows with the number of VMs, if anything does: the others have nothing to do. */
void strata_alone(void)
{
	for (int i = 0; i < SAMPLES; i++) /* let them come to where they sleep */
		call(STRATA_YIELD);
	MEASURE("hypercall", 1, call(SMCCC_VERSION));
	MEASURE("gic_trap", 1, read32(platform.gicd + GICD_IIDR));
}

/* What grows with the vCPUs that want the same CPU: a round of all of them is a sample. */
void strata_round(bool is_second)
{
	while (is_second)
		call(STRATA_YIELD);
	MEASURE("round", 1, call(STRATA_YIELD));
}

void strata_sleep(void)
{
	for (;;)
		asm volatile("wfi" ::: "memory");
}
