/* SPDX-License-Identifier: MIT */
/* What the files of layer 6 share. What layer.c claims is specified where it is defined. */
#ifndef STRATA_SMP_INTERNAL_H
#define STRATA_SMP_INTERNAL_H

#include "el2_boot.h"

/* ---- smp.c, smp_entry.S ---- */

/** smp_entry() - where a CPU that is not the first one begins: MMU off, struct cpu in x0 */
void smp_entry(void);

/** smp_secondary() - from smp_entry, on @cpu: become a CPU like the first one, and run vCPUs */
void smp_secondary(struct cpu *cpu) __attribute__((noreturn));

int smp_init_cpu(struct cpu *cpu);
void smp_kick(struct cpu *cpu);
irq_handler_fn smp_kicked;
void smp_spin_wait(const u32 *taken);

extern u32 cpus_online; /* bit n: CPU n has started; never cleared */

/* ---- psci.c ---- */

hypercall_fn psci_cpu_on, psci_cpu_off, psci_affinity_info;
void psci_vcpu_reset(struct vcpu *vcpu);

/** psci_vcpu_begins() - @vcpu is loaded: if it was started, it is on now */
static inline void psci_vcpu_begins(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->has_begun, true, __ATOMIC_RELAXED);
}

/* ---- balance.c ---- */

struct cpu *balance_place(struct vcpu *vcpu, struct cpu *cpu);
void balance_queued(struct vcpu *vcpu, struct cpu *cpu);
struct vcpu *balance_steal(struct cpu *cpu);
void balance_awake(struct cpu *cpu);
void balance_load(struct vcpu *vcpu);
void balance_save(struct vcpu *vcpu);

#endif
