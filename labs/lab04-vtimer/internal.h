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
enum irq_result cnthp_interrupt(struct cpu *cpu, u32 intid);

/** console_start_clock() - call console_lose_patience() in CONSOLE_PATIENCE_MS */
void console_start_clock(void);

/* ---- vtimer.c ---- */

int vtimer_vm_create(struct vm *vm);
void vtimer_vm_destroy(struct vm *vm);
void vtimer_reset(struct vcpu *vcpu);
void vtimer_load(struct vcpu *vcpu);
void vtimer_save(struct vcpu *vcpu);
enum irq_result vtimer_interrupt(struct cpu *cpu, u32 intid);

/** ctl_can_fire() - whether a timer with this CTL is enabled and not masked */
static inline bool ctl_can_fire(u64 ctl)
{
	return (ctl & (CNT_CTL_ENABLE | CNT_CTL_IMASK)) == CNT_CTL_ENABLE;
}

/* ---- ptimer.c ---- */

/** ptimer_expired() - expiry function of the deadline of CNTP */
void ptimer_expired(struct deadline *deadline);

enum trap_result cntp_ctl(struct vcpu *vcpu, struct sysreg_access *access);
enum trap_result cntp_cval(struct vcpu *vcpu, struct sysreg_access *access);
enum trap_result cntp_tval(struct vcpu *vcpu, struct sysreg_access *access);
enum trap_result cntpct(struct vcpu *vcpu, struct sysreg_access *access);

/* ---- sched.c ---- */

/** sched_init_cpu() - prepare time slices on this CPU */
void sched_init_cpu(struct cpu *cpu);

/** sched_begin_slice() - the vCPU that is about to run gets a whole time slice */
void sched_begin_slice(struct vcpu *vcpu);

enum trap_result wfx_trap(struct vcpu *vcpu, u64 esr);
enum trap_result psci_cpu_suspend(struct vcpu *vcpu);

#endif
