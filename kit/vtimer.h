/* SPDX-License-Identifier: MIT */
/*
 * Contract of layer 4: EL2's deadline queue, and the timers of a vCPU.
 *
 * The guest owns CNTV while it is loaded. CNTP is emulated. Deadlines of everything that is not in
 * the hardware hang on one queue a CPU, whose head is programmed into CNTHP.
 */
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
 * @ticks: CNTPCT_EL0 value from which on it is due
 * @expire: called once at EL2 with interrupts masked, already off the queue
 * @cpu: whose queue it is on, NULL while it is on none: head of timer.c
 */
struct deadline {
	struct list node;
	u64 ticks;
	void (*expire)(struct deadline *deadline);
	struct cpu *cpu;
};

/** struct emulated_timer - CNTP of a vCPU */
struct emulated_timer {
	u64 cval;
	u32 ctl; /* ENABLE and IMASK; ISTATUS is computed */
};

/**
 * struct vtimer - the timers of a vCPU
 * @cntv_ctl, @cntv_cval: CNTV_CTL_EL0 and CNTV_CVAL_EL0 while it is not loaded
 * @offset: CNTVOFF_EL2 of its VM
 * @background: deadline of CNTV while it is not loaded
 * @lock: of @physical; nests outside vgic.lock. Its own CPU writes CNTP while another one, where it
 *	ran before, may find it due
 * @physical: CNTP; @physical_deadline: armed whenever CNTP is enabled, unmasked and not yet due
 */
struct vtimer {
	u64 cntv_ctl, cntv_cval;
	u64 cntkctl;
	u64 offset;
	struct deadline background;
	struct spinlock lock;
	struct emulated_timer physical;
	struct deadline physical_deadline;
};

/** deadline_init() - not armed; @expire is what happens when it is due */
void deadline_init(struct deadline *deadline, void (*expire)(struct deadline *));

/** deadline_is_armed() - whether it is on a queue; a moment's truth if that may be another CPU's */
static inline bool deadline_is_armed(const struct deadline *deadline)
{
	return __atomic_load_n(&deadline->cpu, __ATOMIC_RELAXED) != NULL;
}

/** deadline_arm() - (re)arm on this CPU's queue for the physical count @ticks */
void deadline_arm(struct deadline *deadline, u64 ticks);

/** deadline_cancel() - disarm; harmless when it is not armed */
void deadline_cancel(struct deadline *deadline);

#endif
