// SPDX-License-Identifier: MIT
/*
 * The calls about CPUs that PSCI makes mandatory, as a machine with one CPU answers them. Layers
 * that let vCPUs wait, or start more of them, answer better: layer.c claims these as fallbacks.
 *
 * Manual: Power State Coordination Interface (DEN 0022), "CPU_SUSPEND" to "AFFINITY_INFO",
 * "MIGRATE_INFO_TYPE".
 */
#include "el2_boot.h"
#include "internal.h"

#define AFFINITY_LEVEL_MAX 3
#define AFFINITY_INFO_ON 0
#define NO_TRUSTED_OS_TO_MIGRATE 2

/* Arguments of the 32-bit form of a call are W registers. */
static u64 psci_argument(const struct vcpu *vcpu, unsigned number)
{
	u64 value = vcpu->frame.x[number];

	return vcpu->frame.x[0] & SMCCC_64BIT ? value : (u32)value;
}

/* Whether @target names the caller, or at a higher affinity @level a group with the caller. */
static bool names_caller(const struct vcpu *vcpu, u64 target, u64 level)
{
	u64 difference = target ^ (vcpu->vmpidr & MPIDR_EL1_AFFINITY);

	return !(difference & ~0UL << 8 * level);
}

/*
 * W1 is the power state. A standby that ends at once is allowed ("CPU_SUSPEND"). Others may have the
 * CPU meanwhile.
 */
enum trap_result one_cpu_suspend(struct vcpu *vcpu)
{
	if ((u32)vcpu->frame.x[1] & PSCI_POWER_STATE_NONE)
		return hypercall_return(vcpu, PSCI_INVALID_PARAMETERS);
	vcpu_make_request(vcpu, REQ_RESCHEDULE);
	return hypercall_return(vcpu, SMCCC_SUCCESS);
}

/* Nobody is left who could turn the only CPU on again: the machine is off. */
enum trap_result one_cpu_off(struct vcpu *vcpu)
{
	vm_stop(vcpu->vm, VM_POWERED_OFF, "powered off: its only CPU is off");
	return TRAP_RESUME;
}

enum trap_result one_cpu_on(struct vcpu *vcpu)
{
	bool is_on = names_caller(vcpu, psci_argument(vcpu, 1), 0);

	return hypercall_return(vcpu, is_on ? PSCI_ALREADY_ON : PSCI_INVALID_PARAMETERS);
}

enum trap_result one_cpu_affinity_info(struct vcpu *vcpu)
{
	u64 level = psci_argument(vcpu, 2);
	bool is_on =
		level <= AFFINITY_LEVEL_MAX && names_caller(vcpu, psci_argument(vcpu, 1), level);

	return hypercall_return(vcpu, is_on ? AFFINITY_INFO_ON : PSCI_INVALID_PARAMETERS);
}

enum trap_result one_cpu_migrate_info_type(struct vcpu *vcpu)
{
	return hypercall_return(vcpu, NO_TRUSTED_OS_TO_MIGRATE);
}
