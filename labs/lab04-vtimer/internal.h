/* SPDX-License-Identifier: MIT */
/* What the files of layer 4 share. What layer.c claims is specified where it is defined. */
#ifndef STRATA_VTIMER_INTERNAL_H
#define STRATA_VTIMER_INTERNAL_H

#include "el2_boot.h"

/* ---- deadline.c ---- */

/** deadline_init_cpu() - an empty queue, and all timers of this CPU off */
void deadline_init_cpu(struct cpu *cpu);

bool deadline_insert(struct list *queue, struct deadline *deadline);
struct deadline *deadline_pop_due(struct list *queue, u64 now);
irq_handler_fn cnthp_interrupt;

/** console_start_clock() - call console_lose_patience() in CONSOLE_PATIENCE_MS */
void console_start_clock(void);

/* ---- vtimer.c ---- */

u64 vtimer_deadline(u64 cval, u64 offset);
int vtimer_vm_create(struct vm *vm);
void vtimer_vm_destroy(struct vm *vm);
void vtimer_reset(struct vcpu *vcpu);
void vtimer_load(struct vcpu *vcpu);
void vtimer_save(struct vcpu *vcpu);
irq_handler_fn vtimer_interrupt;

/** ctl_can_fire() - whether a timer with this CTL is enabled and not masked */
static inline bool ctl_can_fire(u64 ctl)
{
	return (ctl & (CNT_CTL_ENABLE | CNT_CTL_IMASK)) == CNT_CTL_ENABLE;
}

/* ---- ptimer.c ---- */

/** ptimer_expired() - expiry function of the deadline of CNTP */
void ptimer_expired(struct deadline *deadline);

sysreg_handler_fn cntp_ctl, cntp_cval, cntp_tval, cntpct;

/* ---- sched.c ---- */

/** sched_init_cpu() - prepare time slices on this CPU */
void sched_init_cpu(struct cpu *cpu);

/** sched_begin_slice() - the vCPU that is about to run gets a whole time slice */
void sched_begin_slice(struct vcpu *vcpu);

trap_handler_fn wfx_trap;
hypercall_fn psci_cpu_suspend;

#endif
