/* SPDX-License-Identifier: MIT */
/* Contract of layer 4: EL2's deadlines, and the timers of a vCPU. */
#ifndef STRATA_VTIMER_H
#define STRATA_VTIMER_H

#include "lib/list.h"
#include "lib/types.h"
#include "spinlock.h"

struct cpu;
struct vcpu;

/**
 * struct deadline - something that is to happen at a physical count
 * @node: on the CPU's queue while armed
 * @ticks: value of CNTPCT_EL0 from which on it is due
 * @expire: called once at EL2 with interrupts masked, when the deadline is off the queue
 * @cpu: whose queue it is on, NULL while it is on none: head of deadline.c
 */
struct deadline {
	struct list node;
	u64 ticks;
	void (*expire)(struct deadline *deadline);
	struct cpu *cpu;
};

/**
 * struct guest_timer - one timer of a vCPU
 * @ctl: CNTx_CTL_EL0, ENABLE and IMASK alone: ISTATUS is computed
 * @cval: CNTx_CVAL_EL0
 * @offset: physical count minus this timer's count
 * @deadline: armed while EL2 watches the timer
 */
struct guest_timer {
	u64 ctl;
	u64 cval;
	u64 offset;
	struct deadline deadline;
};

/**
 * struct vtimer - the timers of a vCPU
 * @cntv: the virtual timer while it is not in the hardware; its offset is CNTVOFF_EL2
 * @cntp: the physical timer, which is emulated; its offset is 0
 * @cntkctl: CNTKCTL_EL1 while it is not in the hardware
 * @lock: protects @cntp; vgic.lock and deadline_lock nest inside
 */
struct vtimer {
	struct guest_timer cntv, cntp;
	u64 cntkctl;
	struct spinlock lock;
};

/** deadline_init() - @deadline is not armed; @expire is called when it is due */
void deadline_init(struct deadline *deadline, void (*expire)(struct deadline *));

/** deadline_is_armed() - whether @deadline is on a queue; out of date at once if another CPU's */
static inline bool deadline_is_armed(const struct deadline *deadline)
{
	return __atomic_load_n(&deadline->cpu, __ATOMIC_RELAXED) != NULL;
}

/** deadline_arm() - put @deadline on this CPU's queue for count @ticks, wherever it was armed before */
void deadline_arm(struct deadline *deadline, u64 ticks);

/** deadline_cancel() - take @deadline off its queue; harmless when it is on none */
void deadline_cancel(struct deadline *deadline);

#endif
