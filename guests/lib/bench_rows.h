/* SPDX-License-Identifier: MIT */
/* The table of a benchmark, and the vectors that stamp an interrupt's arrival. */
#ifndef GUEST_BENCH_ROWS_H
#define GUEST_BENCH_ROWS_H

#include "lib/types.h"

#define SAMPLES 4096
#define WARM_UP 64
#define BENCH_MAGIC 0x42454e43482d5631UL /* "BENCH-V1" */
#define BENCH_ROW_MAX 32

/** struct bench_row - ticks, the empty cost subtracted; @mean10 in tenths */
struct bench_row {
	char name[32];
	s64 count, minimum, median, mean10, p99, maximum;
};

/** struct bench_report - layout shared with bench/measure.py */
struct bench_report {
	u64 magic;
	u32 count;
	u32 done;
	u64 frequency;
	u64 table_bytes;
	struct bench_row rows[BENCH_ROW_MAX];
};

extern struct bench_report bench_report;

/** row_add() - evaluate SAMPLES @samples (sorted by this), each made of @unit operations; print */
void row_add(const char *name, u32 *samples, u32 unit);

/** rows_subtract_empty() - take the median of the first row as the cost of measuring */
void rows_subtract_empty(void);

/** bench_vectors_install() - vectors that stamp each IRQ at EL1h first and go on as usual */
void bench_vectors_install(void);

/** bench_irq_ticks - CNTPCT_EL0 at the last IRQ's vector */
extern volatile u64 bench_irq_ticks;

/** simd_touch() - use the SIMD unit with one instruction */
static inline void simd_touch(void)
{
	asm volatile(".arch_extension simd\n\tfmov d0, xzr" ::: "memory");
}

#endif
