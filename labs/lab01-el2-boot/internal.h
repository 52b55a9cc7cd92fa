/* SPDX-License-Identifier: MIT */
/* What the files of layer 1 share among themselves. */
#ifndef STRATA_INTERNAL_H
#define STRATA_INTERNAL_H

#include "el2_boot.h"

/* ---- what layer.c claims, described where it is defined ---- */

trap_handler_fn trap_hvc, trap_smc, trap_sysreg, trap_aarch32, trap_fp;

hypercall_fn smccc_version, smccc_arch_features;
hypercall_fn psci_version, psci_features, psci_system_off, psci_system_reset;
hypercall_fn one_cpu_suspend, one_cpu_off, one_cpu_on, one_cpu_affinity_info,
	one_cpu_migrate_info_type;
hypercall_fn strata_uid, strata_yield, strata_console_putc, strata_vm_info;

void world_load(struct vcpu *vcpu);
void world_save(struct vcpu *vcpu);
void world_reset(struct vcpu *vcpu);

int flat_create(struct vm *vm);
bool flat_release(struct vm *vm);
void flat_destroy(struct vm *vm);
void *flat_page(struct vm *vm, ipa_t address);

/* ---- exercises, specified where they are defined ---- */

u64 el2_guest_hcr(void);
int el2_configure(struct cpu *cpu);
void trap_dispatch(struct vcpu *vcpu, u64 esr);
void trap_skip_instruction(struct vcpu *vcpu, u64 esr);
void inject_abort(struct vcpu *vcpu, u64 esr, u64 far);
void world_save_el1(struct el1_state *state);
void world_load_el1(const struct el1_state *state);
void fp_leave(struct vcpu *vcpu);

/* ---- traps (trap.c, sysreg.c, inject.c) ---- */

/** trap_dispatch_init() - build the dispatch tables from the registries */
void trap_dispatch_init(void);

/** trap_irq() - handle a physical interrupt that arrived while a guest ran */
void trap_irq(struct vcpu *vcpu);

/** trap_serror() - a physical SError ends cpu->serror_vm, if that is set, else the VM of @vcpu */
void trap_serror(struct vcpu *vcpu, u64 esr);

/** hypercall_is_registered() - whether any linked layer serves this function id */
bool hypercall_is_registered(u32 function_id);

/** sysreg_emulate() - do what the trapped access does on the guest's machine */
enum trap_result sysreg_emulate(struct vcpu *vcpu, struct sysreg_access *access);

/** sysreg_fallback() - sysreg_emulate() of a register without a handler of its own */
enum trap_result sysreg_fallback(struct vcpu *vcpu, struct sysreg_access *access);

/** inject_undefined() - inject_exception() as for an UNDEFINED instruction at the guest's PC */
void inject_undefined(struct vcpu *vcpu, u64 esr);

/* ---- identification registers (id_registers.c, id_rules.c) ---- */

#define ID_AA64PFR1_EL1 SYSREG_ENCODING(3, 0, 0, 4, 1)
#define ID_AA64MMFR1_EL1 SYSREG_ENCODING(3, 0, 0, 7, 1)

/**
 * id_register_guest() - what a guest reads from an identification register
 * @encoding: SYSREG_ENCODING of op0 3, op1 0, CRn 0, CRm 1..7
 */
u64 id_register_guest(u32 encoding);

sysreg_handler_fn id_register;

/** id_register_shown() - the same, of a CPU that has the value @physical */
u64 id_register_shown(u32 encoding, u64 physical);

/* ---- debug registers (debug.c) ---- */

/** debug_init_cpu() - open this CPU's debug locks, with all breakpoints and watchpoints off */
void debug_init_cpu(void);

/** debug_reset() - locked, and all other debug registers zero */
void debug_reset(struct vcpu *vcpu);

/** debug_load() - put the breakpoints and watchpoints of the vCPU into the hardware */
void debug_load(const struct vcpu *vcpu);

/** debug_register() - emulate a trapped access to a register with op0 = 2, from EL1 or EL0 */
enum trap_result debug_register(struct vcpu *vcpu, struct sysreg_access *access);

/* ---- world.c, fp.c ---- */

/** world_init() - find out which optional registers the CPUs have */
void world_init(void);

/** fp_forget() - SIMD state of zeros in memory; what a CPU still holds of the vCPU is stale */
void fp_forget(struct vcpu *vcpu);

/* ---- guest_walk.c ---- */

/**
 * guest_abort_status() - DFSC or IFSC of the external abort that the guest takes for its last fault
 *
 * 0x10, "Synchronous External abort, not on translation table walk"; with S1PTW in @esr that on a
 * walk, 0x14 and the level of stage 1. @vcpu is loaded, vcpu->exit has the addresses of the fault.
 */
u64 guest_abort_status(const struct vcpu *vcpu, u64 esr);

/* ---- vcpu.c, vcpu_entry.c ---- */

/**
 * vcpu_reset() - architectural reset state, with @entry as PC; runs all layers' hooks
 *
 * @vcpu is OFF and vm->power_lock is held, so that nobody else starts it.
 */
void vcpu_reset(struct vcpu *vcpu, u64 entry, u64 x0);

/** vcpu_make_runnable() - queue an OFF or BLOCKED vCPU at the tail of the queue of its CPU */
void vcpu_make_runnable(struct vcpu *vcpu);

/** cpu_handle_irq() - let the interrupt controller's layer take an interrupt that is pending */
static inline void cpu_handle_irq(struct cpu *cpu)
{
	if (hook_irq)
		hook_irq(cpu);
}

/**
 * vcpu_evict() - have @vcpu leave its CPU before its next instruction, and be OFF
 *
 * A vCPU that is on no CPU is OFF on return. For any other its CPU calls vm_vcpu_left() when it is.
 */
void vcpu_evict(struct vcpu *vcpu);

/* ---- vm.c, vm_end.c ---- */

/** vm_request_reset() - start the VM again from its pristine image once its vCPUs have left */
void vm_request_reset(struct vm *vm);

/** vm_enter_phase() - needs power_lock; a release, for who reads the phase without it */
static inline void vm_enter_phase(struct vm *vm, enum vm_phase phase)
{
	spin_assert_held(&vm->power_lock);
	__atomic_store_n(&vm->phase, phase, __ATOMIC_RELEASE);
}

/** vm_build() - memory, then each layer's part; 0 or a negative errno and nothing is left of it */
int vm_build(struct vm *vm);

/** vm_fill() - hook_vm_fill(), if there is one */
static inline int vm_fill(struct vm *vm)
{
	return hook_vm_fill ? hook_vm_fill(vm) : 0;
}

/** vm_start() - reset every vCPU of a VM that is built, let the first one run; needs power_lock */
void vm_start(struct vm *vm);

/** layers_destroy() - have the layers below @behind release their part of @vm, highest first */
void layers_destroy(struct vm *vm, const struct layer *behind);

/** vm_vcpu_left() - a vCPU of @vm is OFF now; it may have been the last one to leave */
void vm_vcpu_left(struct vm *vm);

/**
 * vm_reap() - a bounded piece of the work that VMs which have ended leave; no lock is held
 * @may_finish: the piece may be the last one of a VM, which then starts again if it is reset
 *
 * Return: whether there was a piece to do.
 */
bool vm_reap(bool may_finish);

/** vm_reap_slice() - vm_reap() on @cpu, which executes this, for a time slice, if one is due */
void vm_reap_slice(struct cpu *cpu);

extern u32 vms_present;

/** vm_is_any_left() - whether a VM runs, or something of one is still there */
static inline bool vm_is_any_left(void)
{
	return __atomic_load_n(&vms_present, __ATOMIC_ACQUIRE) != 0;
}

/** vm_all_off() - no VM is left: power off, with status 0 if each ended by its own request */
void vm_all_off(void);

/* ---- run_queue.c ---- */

/** vcpu_set_state() - needs the run_lock of vcpu->cpu, as the functions below that of @cpu */
static inline void vcpu_set_state(struct vcpu *vcpu, enum vcpu_state state)
{
	spin_assert_held(&vcpu->cpu->run_lock);
	__atomic_store_n(&vcpu->state, state, __ATOMIC_RELAXED);
}

/** run_queue_init() - an empty queue, before anybody uses it */
void run_queue_init(struct cpu *cpu);

/** run_queue_push() - @vcpu becomes runnable, at the tail */
void run_queue_push(struct cpu *cpu, struct vcpu *vcpu);

/** run_queue_pop() - take the head off, NULL when nothing is runnable; its state is the caller's */
struct vcpu *run_queue_pop(struct cpu *cpu);

/** run_queue_remove() - take a runnable vCPU out of the middle; its state is the caller's */
void run_queue_remove(struct cpu *cpu, struct vcpu *vcpu);

#endif
