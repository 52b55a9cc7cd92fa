// SPDX-License-Identifier: MIT
/*
 * PSCI for a VM with several vCPUs: they are switched on and off, and ask for each other's state.
 *
 * vm->power_lock decides every race: it is held by vcpu_start(), and here while a vCPU that goes off
 * looks whether it is the last. One that is started is VCPU_RUNNABLE at once, but has not begun until
 * it is loaded: PSCI's ON_PENDING. One that switches itself off is on until it has left its CPU.
 * SYSTEM_OFF and SYSTEM_RESET are layer 1's, CPU_SUSPEND is layer 4's.
 *
 * Manual: PSCI DEN 0022, "CPU_OFF", "CPU_ON", "AFFINITY_INFO", "Return error codes".
 */
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"
#include "lib/errno.h"

#define AFFINITY_LEVEL_MAX 3

enum {
	AFFINITY_INFO_ON,
	AFFINITY_INFO_OFF,
	AFFINITY_INFO_ON_PENDING
};

/* Arguments of the 32-bit form of a call are W registers. */
static u64 psci_argument(const struct vcpu *vcpu, unsigned number)
{
	u64 value = vcpu->frame.x[number];

	return vcpu->frame.x[0] & SMCCC_64BIT ? value : (u32)value;
}

/* The vCPU of the VM of @vcpu with this affinity, or NULL. */
static struct vcpu *psci_target(const struct vcpu *vcpu, u64 affinity)
{
	return affinity < vcpu->vm->vcpu_count ? vcpu->vm->vcpus[affinity] : NULL;
}

static bool is_entry_point(const struct vm *vm, u64 address)
{
	return is_aligned(address, 4) && address >= vm->ram_base &&
	       address - vm->ram_base < vm->ram_bytes;
}

void psci_vcpu_reset(struct vcpu *vcpu)
{
	vcpu->goes_off = false;
	__atomic_store_n(&vcpu->has_begun, false, __ATOMIC_RELAXED);
}

/**
 * Exercise 6.2: psci_power_state() - AFFINITY_INFO of one vCPU
 *
 * Off: AFFINITY_INFO_OFF. Started and not yet loaded (has_begun): AFFINITY_INFO_ON_PENDING. Else
 * AFFINITY_INFO_ON.
 */
EXERCISE(6.2)
static u32 psci_power_state(struct vcpu *vcpu)
{
	if (vcpu_is_off(vcpu))
		return AFFINITY_INFO_OFF;
	return __atomic_load_n(&vcpu->has_begun, __ATOMIC_RELAXED) ? AFFINITY_INFO_ON
								   : AFFINITY_INFO_ON_PENDING;
}

/**
 * Exercise 6.2: psci_cpu_on() - CPU_ON: X1 target, X2 entry point, X3 context id
 *
 * In this order: PSCI_INVALID_PARAMETERS without such a vCPU (psci_target()); PSCI_INVALID_ADDRESS
 * for what is no entry point (is_entry_point()); then vcpu_start(), which alone decides whether the
 * vCPU is off, with the context id as its X0. -EBUSY: PSCI_ON_PENDING or PSCI_ALREADY_ON, by
 * psci_power_state(). Any other error, the VM ends: PSCI_INTERNAL_FAILURE.
 */
EXERCISE(6.2)
enum trap_result psci_cpu_on(struct vcpu *vcpu)
{
	struct vcpu *target = psci_target(vcpu, psci_argument(vcpu, 1));
	u64 entry = psci_argument(vcpu, 2);
	u64 result = SMCCC_SUCCESS;
	int error;

	if (!target)
		return hypercall_return(vcpu, PSCI_INVALID_PARAMETERS);
	if (!is_entry_point(vcpu->vm, entry))
		return hypercall_return(vcpu, PSCI_INVALID_ADDRESS);
	error = vcpu_start(target, entry, psci_argument(vcpu, 3));
	if (error == -EBUSY)
		result = psci_power_state(target) == AFFINITY_INFO_ON_PENDING ? PSCI_ON_PENDING
									      : PSCI_ALREADY_ON;
	else if (error)
		result = PSCI_INTERNAL_FAILURE;
	return hypercall_return(vcpu, result);
}

/**
 * Exercise 6.2: psci_is_last() - @vcpu goes off: whether no vCPU of its VM is left then
 *
 * Under vm->power_lock, note that it goes off (goes_off). It is the last one if every other vCPU is
 * off (vcpu_is_off()) or goes off, too: of two that go at the same time one finds this.
 */
EXERCISE(6.2)
static bool psci_is_last(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	bool is_last = true;

	spin_lock(&vm->power_lock);
	vcpu->goes_off = true;
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		if (!vm->vcpus[i]->goes_off && !vcpu_is_off(vm->vcpus[i]))
			is_last = false;
	}
	spin_unlock(&vm->power_lock);
	return is_last;
}

/**
 * Exercise 6.2: psci_cpu_off() - CPU_OFF of the caller
 *
 * It leaves its CPU before its next instruction and is off then (REQ_STOP). After the last one
 * nobody is left who could switch one on: the VM is powered off (vm_stop(), VM_POWERED_OFF,
 * "powered off: its last CPU is off").
 *
 * Return: TRAP_RESUME.
 */
EXERCISE(6.2)
enum trap_result psci_cpu_off(struct vcpu *vcpu)
{
	if (psci_is_last(vcpu))
		vm_stop(vcpu->vm, VM_POWERED_OFF, "powered off: its last CPU is off");
	else
		vcpu_make_request(vcpu, REQ_STOP);
	return TRAP_RESUME;
}

/**
 * Exercise 6.2: psci_affinity_info() - AFFINITY_INFO: X1 target, X2 lowest affinity level
 *
 * Level 0 asks for one vCPU, level n for all whose affinities from Aff<n> up are those of the target.
 * PSCI_INVALID_PARAMETERS for a level above AFFINITY_LEVEL_MAX, or if there is no such vCPU. On if one
 * of them is on, else pending if one is pending, else off.
 */
EXERCISE(6.2)
enum trap_result psci_affinity_info(struct vcpu *vcpu)
{
	u64 target = psci_argument(vcpu, 1), level = psci_argument(vcpu, 2);
	u64 result = PSCI_INVALID_PARAMETERS;

	if (level > AFFINITY_LEVEL_MAX)
		return hypercall_return(vcpu, result);
	for (u32 i = 0; i < vcpu->vm->vcpu_count; i++) {
		struct vcpu *other = vcpu->vm->vcpus[i];
		u32 state;

		if (((other->vmpidr & MPIDR_EL1_AFFINITY) ^ target) & ~0UL << 8 * level)
			continue;
		state = psci_power_state(other);
		if (state == AFFINITY_INFO_ON)
			return hypercall_return(vcpu, state);
		if (result != AFFINITY_INFO_ON_PENDING)
			result = state;
	}
	return hypercall_return(vcpu, result);
}
