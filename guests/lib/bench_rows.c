// SPDX-License-Identifier: MIT
/*
 * Statistics of the benchmark. The median of the first row is the cost of measuring, two reads of
 * the counter; every later row is given without it.
 */
#include "bench_rows.h"

#include "cpu.h"
#include "lib/string.h"
#include "probe.h"

struct bench_report bench_report;
static u64 empty_cost;
volatile u64 bench_irq_ticks;

/* Shell sort: no recursion, no memory, fast enough for 4096 numbers. */
static void sort(u32 *values)
{
	for (unsigned gap = SAMPLES / 2; gap > 0; gap /= 2) {
		for (unsigned i = gap; i < SAMPLES; i++) {
			u32 value = values[i];
			unsigned j = i;

			for (; j >= gap && values[j - gap] > value; j -= gap)
				values[j] = values[j - gap];
			values[j] = value;
		}
	}
}

static s64 net(u64 raw, u32 unit)
{
	return ((s64)raw - (s64)empty_cost) / (s64)unit;
}

void row_add(const char *name, u32 *samples, u32 unit)
{
	struct bench_row *row = &bench_report.rows[bench_report.count];
	u64 sum = 0;

	bench_report.magic = BENCH_MAGIC;
	if (bench_report.count == BENCH_ROW_MAX)
		return;
	for (unsigned i = 0; i < SAMPLES; i++)
		sum += samples[i];
	sort(samples);
	for (unsigned i = 0; name[i] && i + 1 < sizeof(row->name); i++)
		row->name[i] = name[i];
	row->count = SAMPLES;
	row->minimum = net(samples[0], unit);
	row->median = net(samples[SAMPLES / 2], unit);
	row->mean10 = ((s64)(sum * 10 / SAMPLES) - (s64)empty_cost * 10) / (s64)unit;
	row->p99 = net(samples[SAMPLES * 99 / 100], unit);
	row->maximum = net(samples[SAMPLES - 1], unit);
	bench_report.count++;
	print("RESULT %s n=%d min=%ld med=%ld mean=%ld.%ld p99=%ld max=%ld\n", name, SAMPLES,
	      row->minimum, row->median, row->mean10 / 10, row->mean10 < 0 ? 0 : row->mean10 % 10,
	      row->p99, row->maximum);
}

void rows_subtract_empty(void)
{
	empty_cost = (u64)bench_report.rows[0].median;
}

/* Each entry is the runtime's; that of IRQ at EL1h reads the counter first. */
asm(".text\n"
    "	.globl bench_vectors\n"
    "	.balign 2048\n"
    "bench_vectors:\n"
    "	b guest_vectors\n"
    "	.balign 128\n"
    "	b guest_vectors + 0x080\n"
    "	.balign 128\n"
    "	b guest_vectors + 0x100\n"
    "	.balign 128\n"
    "	b guest_vectors + 0x180\n"
    "	.balign 128\n"
    "	b guest_vectors + 0x200\n"
    "	.balign 128\n"
    "	stp x0, x1, [sp, #-16]!\n"
    "	mrs x1, cntpct_el0\n"
    "	adrp x0, bench_irq_ticks\n"
    "	str x1, [x0, :lo12:bench_irq_ticks]\n"
    "	ldp x0, x1, [sp], #16\n"
    "	b guest_vectors + 0x280\n"
    "	.balign 128\n"
    "	b guest_vectors + 0x300\n"
    "	.balign 128\n"
    "	b guest_vectors + 0x380\n"
    "	.balign 128\n"
    "	b guest_vectors + 0x400\n"
    "	.balign 1024\n");

extern char bench_vectors[];

void bench_vectors_install(void)
{
	sysreg_write(vbar_el1, (u64)bench_vectors);
	isb();
}
