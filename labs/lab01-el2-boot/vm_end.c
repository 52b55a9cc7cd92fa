// SPDX-License-Identifier: MIT
/*
 * How a VM ends, or ends and starts again.
 *
 *	LIVE -> LEAVING		vm_stop(), vm_request_reset(): every vCPU is asked to leave its CPU
 *	LEAVING -> LEFT		the last vCPU is OFF, so on no CPU, and vcpu_start() refuses any
 *	LEFT -> EMPTYING	the layers have released what they hold
 *	EMPTYING -> GONE	the VM's memory has gone back
 *	GONE -> FILLING		for a reset, if the VM can be built again; else it has stopped
 *	FILLING -> LIVE		what must be in its memory is there; if it cannot be: -> LEFT, for good
 *
 * From LEFT on EL2 clears up ("reaps"), which takes long for a VM with much memory. So this work is
 * done in pieces (vm_reap()), and interrupts are taken between two of them. A CPU that has nothing
 * to run reaps. So does any CPU at the end of a time slice, for 5 ms in 15 (vm_reap_slice()): to
 * its neighbours a VM that has ended is like one that runs, but lighter. In an image without time
 * slices a vCPU has its CPU for as long as it likes, and all of the work is done at once.
 *
 * grader/models/power.pml is the protocol of LIVE to GONE against CPU_ON and CPU_OFF, for spin, with
 * its invariants POWER-1 to POWER-4.
 *
 * vm->power_lock, the outermost lock, protects phase, state and restart: starts of vCPUs and the
 * end of their VM exclude each other. From LEFT on vm->reaping makes one CPU at a time the VM's
 * owner.
 */
#include <stdarg.h>

#include "el2_boot.h"
#include "guest_memory.h"
#include "internal.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "power.h"

#define REAP_SLICES_PER_SECOND 200 /* of 5 ms */
#define REAP_PAUSES_PER_SECOND 100 /* 10 ms between them */

u32 vms_ending; /* VMs from LEAVING to GONE */
u32 vms_present = 1; /* VMs that are not GONE for good; before they are created there are some */

static void vm_check_left(struct vm *vm)
{
	spin_assert_held(&vm->power_lock);
	if (vm->phase != VM_LEAVING)
		return;
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		if (!vcpu_is_off(vm->vcpus[i]))
			return;
	}
	vm_enter_phase(vm, VM_LEFT);
}

/*
 * power_lock is held until every vCPU is asked to leave (POWER-4). Otherwise the VM could be gone and have
 * started again in between, and its new vCPUs would be asked, too.
 */
static void vm_leave(struct vm *vm)
{
	spin_assert_held(&vm->power_lock);
	if (vm->phase != VM_LIVE)
		return;
	vm_enter_phase(vm, VM_LEAVING);
	__atomic_fetch_add(&vms_ending, 1, __ATOMIC_RELAXED);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vcpu_evict(vm->vcpus[i]);
	vm_check_left(vm);
}

void vm_vcpu_left(struct vm *vm)
{
	struct cpu *cpu = this_cpu();

	spin_lock(&vm->power_lock);
	vm_check_left(vm);
	spin_unlock(&vm->power_lock);
	while (!cpu->slice_end && vm_reap(true))
		;
	/* The vCPU has had time here: now others get some. */
	cpu->reap_from = counter_read() + counter_frequency() / REAP_PAUSES_PER_SECOND;
}

static void vm_say_stopped(struct vm *vm)
{
	console_vm_flush(vm);
	console_printf("%s: %s%s\n", vm->name, vm->state == VM_STOPPED ? "stopped: " : "",
		       vm->stop_reason);
}

void vm_stop(struct vm *vm, enum vm_state state, const char *fmt, ...)
{
	va_list args;

	spin_lock(&vm->power_lock);
	if (vm->state == VM_RUNNING) {
		va_start(args, fmt);
		vsnprintf(vm->stop_reason, sizeof(vm->stop_reason), fmt, args);
		va_end(args);
		vm->state = state;
		vm->restart = false;
		vm_say_stopped(vm);
		vm_leave(vm);
	}
	spin_unlock(&vm->power_lock);
}

void vm_request_reset(struct vm *vm)
{
	spin_lock(&vm->power_lock);
	if (vm->phase == VM_LIVE) {
		vm->restart = true;
		console_vm_flush(vm);
		console_printf("%s: reset\n", vm->name);
		vm_leave(vm);
	}
	spin_unlock(&vm->power_lock);
}

/* ---- what is left of a VM ---- */

/* A reset comes to nothing. power_lock is held. */
static void vm_not_again(struct vm *vm, int error)
{
	vm->restart = false;
	vm->state = VM_STOPPED;
	snprintf(vm->stop_reason, sizeof(vm->stop_reason), "%s to start again",
		 error == -ENOMEM ? "no memory" : "no device");
	vm_say_stopped(vm);
}

/* Nothing of the VM is left. For a reset, build it anew; if that fails the VM has stopped. */
static void vm_gone(struct vm *vm)
{
	int error;

	spin_lock(&vm->power_lock);
	vm_enter_phase(vm, VM_GONE);
	error = vm->restart ? vm_build(vm) : 0;
	if (error)
		vm_not_again(vm, error);
	if (vm->restart) {
		vm_enter_phase(vm, VM_FILLING);
	} else {
		__atomic_fetch_sub(&vms_present, 1, __ATOMIC_RELEASE);
		__atomic_fetch_sub(&vms_ending, 1, __ATOMIC_RELEASE);
	}
	spin_unlock(&vm->power_lock);
}

/* A piece of what its next life needs, or the beginning of that. It may have been stopped meanwhile. */
static bool vm_fill_one(struct vm *vm, bool may_finish)
{
	int more;

	spin_lock(&vm->power_lock);
	more = vm->restart ? vm_fill(vm) : -ECANCELED;
	if (more < 0) {
		if (vm->restart)
			vm_not_again(vm, more);
		vm_enter_phase(vm, VM_LEFT);
	} else if (!more && may_finish) {
		vm->restart = false;
		vm->reset_count++;
		vm_start(vm);
		__atomic_fetch_sub(&vms_ending, 1, __ATOMIC_RELEASE);
	}
	spin_unlock(&vm->power_lock);
	return more || may_finish;
}

/* A bounded piece of the work that is due for @vm. Return: false if there was none. */
static bool vm_reap_one(struct vm *vm, bool may_finish)
{
	switch (__atomic_load_n(&vm->phase, __ATOMIC_ACQUIRE)) {
	case VM_LEFT:
		layers_destroy(vm, registry_layers_end);
		spin_lock(&vm->power_lock);
		vm_enter_phase(vm, VM_EMPTYING);
		spin_unlock(&vm->power_lock);
		return true;
	case VM_EMPTYING:
		if (guest_memory_ops()->release(vm))
			return true;
		if (!may_finish)
			return false;
		guest_memory_ops()->destroy(vm);
		vm_gone(vm);
		return vm->phase == VM_GONE || vm_fill_one(vm, true);
	case VM_FILLING:
		return vm_fill_one(vm, may_finish);
	default:
		return false;
	}
}

static bool vm_is_to_be_reaped(const struct vm *vm)
{
	enum vm_phase phase = __atomic_load_n(&vm->phase, __ATOMIC_ACQUIRE);

	return phase == VM_LEFT || phase == VM_EMPTYING || phase == VM_FILLING;
}

bool vm_reap(bool may_finish)
{
	bool worked = false;

	for (u32 i = 0; i < vm_count && !worked; i++) {
		struct vm *vm = vms[i];

		/* Taken only if there is work: who finds the VM taken goes to sleep. */
		if (!vm_is_to_be_reaped(vm) ||
		    __atomic_exchange_n(&vm->reaping, true, __ATOMIC_ACQUIRE))
			continue;
		worked = vm_reap_one(vm, may_finish);
		__atomic_store_n(&vm->reaping, false, __ATOMIC_RELEASE);
	}
	return worked;
}

/*
 * The last piece of a reset VM starts it again, and it may run at once. So the last piece is done
 * only at the beginning: behind 5 ms of reaping, the other VMs would wait for both.
 */
void vm_reap_slice(struct cpu *cpu)
{
	u64 now = counter_read(), end = now + counter_frequency() / REAP_SLICES_PER_SECOND;
	bool is_first = true;

	if (now < cpu->reap_from)
		return;
	while (vm_reap(is_first) && counter_read() < end) {
		is_first = false;
		cpu_handle_irq(cpu);
	}
	cpu->reap_from = counter_read() + counter_frequency() / REAP_PAUSES_PER_SECOND;
}

/* ---- the end of all ---- */

void vm_all_off(void)
{
	static u32 others;
	u32 failed = 0;

	if (__atomic_fetch_add(&others, 1, __ATOMIC_RELAXED))
		return; /* another CPU is about to power the machine off */
	for (u32 i = 0; i < vm_count; i++)
		failed += vms[i]->state != VM_POWERED_OFF;
	console_printf("all VMs are off: %u of %u powered off, %u stopped\n", vm_count - failed,
		       vm_count, failed);
	machine_off(failed ? 1 : 0);
}
