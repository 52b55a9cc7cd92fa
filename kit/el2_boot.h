/* SPDX-License-Identifier: MIT */
/* Contract of layer 1: traps, hypercalls, VMs and the switch between vCPUs. */
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

/* ---- traps (trap.c, vectors.S) ---- */

/** trap_dispatch_init() - build the dispatch tables from the registries */
void trap_dispatch_init(void);

/** trap_dispatch() - handle a synchronous exit of @vcpu with syndrome @esr */
void trap_dispatch(struct vcpu *vcpu, u64 esr);

/** trap_irq() - handle a physical interrupt that arrived while a guest ran */
void trap_irq(struct vcpu *vcpu);

/** trap_serror() - a physical SError ends cpu->serror_vm, if that is set, else the VM of @vcpu */
void trap_serror(struct vcpu *vcpu, u64 esr);

/** trap_condition_passed() - whether the trapped instruction would have executed; true in A64 */
bool trap_condition_passed(const struct vcpu *vcpu, u64 esr);

/** sysreg_fallback() - a trapped system register without a handler of its own */
enum trap_result sysreg_fallback(struct vcpu *vcpu, struct sysreg_access *access);

#define ID_AA64PFR0_EL1 SYSREG_ENCODING(3, 0, 0, 4, 0)
#define ID_AA64PFR1_EL1 SYSREG_ENCODING(3, 0, 0, 4, 1)
#define ID_AA64MMFR1_EL1 SYSREG_ENCODING(3, 0, 0, 7, 1)

/**
 * id_register_guest() - what a guest reads from an identification register
 * @encoding: SYSREG_ENCODING of op0 3, op1 0, CRn 0, CRm 1..7
 *
 * The machine's value through the rules of id_rules.c.
 */
u64 id_register_guest(u32 encoding);

/** hypercall_return() - how most calls end: one result, in X0; the guest goes on behind the HVC */
static inline enum trap_result hypercall_return(struct vcpu *vcpu, u64 value)
{
	vcpu->frame.x[0] = value;
	return TRAP_RESUME;
}

/** hypercall_is_registered() - whether any linked layer serves this function id */
bool hypercall_is_registered(u32 function_id);

/** cpu_handle_irq() - let the interrupt controller's layer take what is pending */
void cpu_handle_irq(struct cpu *cpu);

/** trap_skip_instruction() - @vcpu goes on behind the instruction that trapped with @esr */
void trap_skip_instruction(struct vcpu *vcpu, u64 esr);

/* ---- exceptions for the guest, whose vCPU is loaded on this CPU (inject.c) ---- */

/** inject_exception() - make @vcpu take a synchronous exception to EL1 with syndrome @esr */
void inject_exception(struct vcpu *vcpu, u64 esr);

/** inject_undefined() - inject_exception() as for an UNDEFINED instruction at the guest's PC */
void inject_undefined(struct vcpu *vcpu, u64 esr);

/**
 * inject_abort() - inject_exception() as for an external abort at guest virtual address @far
 * @esr: of the exit, an instruction or data abort; with S1PTW the abort is one on the guest's walk
 */
void inject_abort(struct vcpu *vcpu, u64 esr, u64 far);

/* ---- vCPUs and their CPU (vcpu.c, vcpu_entry.c, world.c, fp.c) ---- */

/**
 * vcpu_reset() - architectural reset state, with @entry as PC; runs all layers' hooks
 *
 * @vcpu is OFF and vm->power_lock is held, so that nobody else starts it.
 */
void vcpu_reset(struct vcpu *vcpu, u64 entry, u64 x0);

/** vcpu_make_runnable() - queue an OFF or BLOCKED vCPU at the tail of the queue of its CPU */
void vcpu_make_runnable(struct vcpu *vcpu);

/**
 * vcpu_wake() - queue @vcpu if it is BLOCKED; if it runs, have it look at its requests
 *
 * Callable from any CPU. What the vCPU is to find has been written before.
 */
void vcpu_wake(struct vcpu *vcpu);

/** vcpu_is_off() - whether @vcpu is OFF, and so loaded nowhere; takes a run_lock */
bool vcpu_is_off(struct vcpu *vcpu);

/**
 * vcpu_steal() - take a vCPU that waits on the queue of @from for @to, which executes this
 * @allowed: whether @to may run it; called under the run_lock of @from, takes no lock
 *
 * The first in the queue that is allowed and not loaded on @from any more. It is RUNNING
 * afterwards and @to must load it: what a layer's steal hook returns.
 *
 * Return: the vCPU, or NULL.
 */
struct vcpu *vcpu_steal(struct cpu *from, struct cpu *to,
			bool (*allowed)(const struct vcpu *vcpu, const struct cpu *to));

/** vcpu_block() - the running vCPU waits; it leaves the CPU before its next instruction */
void vcpu_block(struct vcpu *vcpu);

/**
 * vcpu_prepare_entry() - everything that must happen before a guest runs again
 *
 * Called by the vectors when vcpu->requests is not empty, and to start the machine with NULL.
 * Switches vCPUs, lets layers do their work, idles while nothing can run.
 *
 * Return: the vCPU to enter.
 */
struct vcpu *vcpu_prepare_entry(struct vcpu *vcpu);

/** vcpu_enter() - give the CPU to guests; never returns */
void vcpu_enter(struct vcpu *vcpu) __attribute__((noreturn));

/** world_save_el1() - take the EL1 and EL0 register state of a guest out of the CPU */
void world_save_el1(struct el1_state *state);

/** world_load_el1() - put it into the CPU */
void world_load_el1(const struct el1_state *state);

/** fp_open() - the loaded vCPU uses the SIMD unit without a trap until it leaves the CPU */
void fp_open(struct vcpu *vcpu);

/** fp_forget() - SIMD state of zeros in memory; what a CPU still holds of the vCPU is stale */
void fp_forget(struct vcpu *vcpu);

/* ---- VMs (vm.c, vm_end.c) ---- */

/** vm_create_all() - create and start every VM of a checked bundle; an error is a config_error() */
void vm_create_all(const struct bundle_header *bundle);

/**
 * vcpu_start() - let a vCPU that is OFF run from @entry with @x0
 *
 * Return: 0; -EBUSY when it is not OFF; -ECANCELED when its VM is ending or being reset, which does
 * not end it again.
 */
int vcpu_start(struct vcpu *vcpu, u64 entry, u64 x0);

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

/** vm_request_reset() - start the VM again from its pristine image once its vCPUs have left */
void vm_request_reset(struct vm *vm);

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
