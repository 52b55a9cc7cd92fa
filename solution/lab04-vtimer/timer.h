/* SPDX-License-Identifier: MIT */
/* What the files of layer 4 share among themselves. */
#ifndef STRATA_TIMER_H
#define STRATA_TIMER_H

#include "lib/types.h"

struct cpu;
struct vcpu;

/** timer_now() - the physical count, CNTPCT_EL0 */
u64 timer_now(void);

/** timer_console_waits() - console_lose_patience() is due in CONSOLE_PATIENCE_MS */
void timer_console_waits(void);

/** timer_init_cpu() - an empty queue, and all timers of this CPU off */
void timer_init_cpu(struct cpu *cpu);

/** sched_init_cpu() - prepare time slices on this CPU */
void sched_init_cpu(struct cpu *cpu);

/** sched_begin_turn() - the vCPU that is about to run gets a full slice */
void sched_begin_turn(struct vcpu *vcpu);

#endif
