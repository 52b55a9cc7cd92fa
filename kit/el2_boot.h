/* SPDX-License-Identifier: MIT */
/*
 * Contract of layer 1, for higher layers and the kit: traps, hypercalls, vCPUs, VMs. An exercise is
 * specified where it is defined.
 */
#ifndef STRATA_EL2_BOOT_H
#define STRATA_EL2_BOOT_H

#include "lib/smccc.h"
#include "registry.h"
#include "sysreg.h"
#include "vcpu.h"

/** struct sysreg_access - a trapped MSR or MRS */
struct sysreg_access {
	u32 encoding;
	bool is_write;
	u64 value; /* written by the guest, or to be given to it */
};

/* ---- traps ---- */

/* Exercise 1.5. */
bool trap_condition_passed(const struct vcpu *vcpu, u64 esr);

/* Exercise 1.7. */
void inject_exception(struct vcpu *vcpu, u64 esr);

/** hypercall_return() - how most calls end: one result, in X0; the guest goes on behind the HVC */
static inline enum trap_result hypercall_return(struct vcpu *vcpu, u64 value)
{
	vcpu->frame.x[0] = value;
	return TRAP_RESUME;
}

/* ---- vCPUs and their CPU ---- */

/**
 * vcpu_wake() - queue @vcpu if it is BLOCKED; if it runs, have it look at its requests
 *
 * Callable from any CPU. What the vCPU is to find has been written before.
 */
void vcpu_wake(struct vcpu *vcpu);

/**
 * vcpu_kick() - if @vcpu is RUNNING, have it look at its requests before its next instruction
 *
 * Takes no run_lock. The caller holds a lock under which a vCPU looks once more after it went to sleep
 * (hook_vcpu_has_wakeup), and is loaded; what it is to find has been written under that lock.
 *
 * Return: whether it is RUNNING. If not, vcpu_wake() is for it.
 */
bool vcpu_kick(const struct vcpu *vcpu);

/** vcpu_block() - the running vCPU waits; it leaves the CPU before its next instruction */
void vcpu_block(struct vcpu *vcpu);

/** vcpu_is_off() - whether @vcpu is OFF, and so loaded nowhere; takes a run_lock */
bool vcpu_is_off(struct vcpu *vcpu);

/**
 * vcpu_start() - let a vCPU that is OFF run from @entry with @x0
 *
 * Return: 0; -EBUSY when it is not OFF; -ECANCELED when its VM is ending or being reset, which does
 * not end it again.
 */
int vcpu_start(struct vcpu *vcpu, u64 entry, u64 x0);

/**
 * vcpu_steal() - take a vCPU that waits on the queue of @from for @to, which executes this
 * @allowed: whether @to may run it; called under the run_lock of @from, takes no lock
 *
 * The first in the queue that is allowed and not loaded on @from any more. It is RUNNING
 * afterwards and @to must load it: what hook_steal returns.
 *
 * Return: the vCPU, or NULL.
 */
struct vcpu *vcpu_steal(struct cpu *from, struct cpu *to,
			bool (*allowed)(const struct vcpu *vcpu, const struct cpu *to));

/**
 * vcpu_migrate() - move a vCPU that waits on the queue of @from to the queue of @to; arguments as above
 *
 * Callable on any CPU, without a run_lock. Return: whether there was one.
 */
bool vcpu_migrate(struct cpu *from, struct cpu *to,
		  bool (*allowed)(const struct vcpu *vcpu, const struct cpu *to));

/**
 * vcpu_prepare_entry() - serve the requests that @vcpu has now
 *
 * Called by the vectors when vcpu->requests is not empty, and to start the machine with NULL.
 * Switches vCPUs, lets layers do their work, idles while nothing can run.
 *
 * Return: the vCPU to enter, once it has no requests.
 */
struct vcpu *vcpu_prepare_entry(struct vcpu *vcpu);

/** vcpu_enter() - give the CPU to guests; never returns */
void vcpu_enter(struct vcpu *vcpu) __attribute__((noreturn));

/* Exercise 1.9. */
void fp_open(struct vcpu *vcpu);

/* ---- VMs ---- */

/** vm_create_all() - create and start every VM of a checked bundle; an error is a config_error() */
void vm_create_all(const struct bundle_header *bundle);

/**
 * vm_stop() - end a VM
 * @state: VM_POWERED_OFF or VM_STOPPED
 *
 * Its vCPUs leave their CPUs before their next instruction; when the last one has left, the VM's
 * memory is freed. The console tells the reason. Of several ends the first counts. An end cancels a
 * reset.
 */
void vm_stop(struct vm *vm, enum vm_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

extern u32 vms_ending;

/**
 * vm_reap_waits() - whether what a VM has left behind still has to be cleared up
 *
 * That work gets time slices as a vCPU does: who ends time slices has to ask.
 */
static inline bool vm_reap_waits(void)
{
	return __atomic_load_n(&vms_ending, __ATOMIC_RELAXED) != 0;
}

#endif
