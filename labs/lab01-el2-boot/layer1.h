/* SPDX-License-Identifier: MIT */
/* What the files of layer 1 share among themselves. */
#ifndef STRATA_LAYER1_H
#define STRATA_LAYER1_H

#include "el2_boot.h"

/** el2_guest_hcr() - HCR_EL2 of a vCPU before higher layers add their bits */
u64 el2_guest_hcr(void);

/** el2_configure() - program this CPU's EL2 controls; always 0 */
int el2_configure(struct cpu *cpu);

/** fp_leave() - save the SIMD registers of the vCPU that leaves, if it used them */
void fp_leave(struct vcpu *vcpu);

/** debug_init_cpu() - open this CPU's debug locks, with all breakpoints and watchpoints off */
void debug_init_cpu(void);

/** debug_reset() - locked, and all other debug registers zero */
void debug_reset(struct vcpu *vcpu);

/** debug_load() - put the breakpoints and watchpoints of the vCPU that comes into the hardware */
void debug_load(const struct vcpu *vcpu);

/** debug_register() - emulate a trapped access to a register with op0 = 2, from EL1 or EL0 */
enum trap_result debug_register(struct vcpu *vcpu, struct sysreg_access *access);

/** sysreg_emulate() - do what the trapped access does on the guest's machine */
enum trap_result sysreg_emulate(struct vcpu *vcpu, struct sysreg_access *access);

/** vcpu_hooks_init() - collect the layers' hooks of a switch */
void vcpu_hooks_init(void);

/** vm_all_off() - no VM is left: power off, with status 0 if each ended by its own request */
void vm_all_off(void) __attribute__((noreturn));

/**
 * run_queue_init() - an empty queue; the functions below need cpu->run_lock
 */
void run_queue_init(struct cpu *cpu);

/** run_queue_push() - @vcpu becomes runnable, at the tail */
void run_queue_push(struct cpu *cpu, struct vcpu *vcpu);

/** run_queue_pop() - take the head off, NULL when nothing is runnable; its state is the caller's */
struct vcpu *run_queue_pop(struct cpu *cpu);

/** run_queue_remove() - take a runnable vCPU out of the middle */
void run_queue_remove(struct cpu *cpu, struct vcpu *vcpu);

#endif
