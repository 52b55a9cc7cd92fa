// SPDX-License-Identifier: MIT
/*
 * The calls that every image serves: versions, power, giving way, and a console for guests without
 * a UART.
 *
 * Manual: SMC Calling Convention (DEN 0028), Power State Coordination Interface (DEN 0022).
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"

#define SMCCC_VERSION_1_2 0x10002
#define PSCI_VERSION_1_1 0x10001

enum trap_result smccc_version(struct vcpu *vcpu)
{
	return hypercall_return(vcpu, SMCCC_VERSION_1_2);
}

/**
 * Exercise 1.6: smccc_arch_features() - whether the function in W1 exists
 *
 * SMCCC_SUCCESS for the two calls of this range that do, SMCCC_VERSION and SMCCC_ARCH_FEATURES;
 * else SMCCC_NOT_SUPPORTED. hypercall_return() hands a result to the guest.
 */
EXERCISE(1.6)
enum trap_result smccc_arch_features(struct vcpu *vcpu)
{
	TODO(1.6);
}

enum trap_result psci_version(struct vcpu *vcpu)
{
	return hypercall_return(vcpu, PSCI_VERSION_1_1);
}

/**
 * Exercise 1.6: psci_features() - whether the function in W1 is implemented (DEN 0022,
 * "PSCI_FEATURES")
 *
 * SMCCC_SUCCESS for SMCCC_VERSION and for a PSCI function, if a linked layer serves it
 * (hypercall_is_registered()); else SMCCC_NOT_SUPPORTED. PSCI has the fast calls of the standard
 * secure service, which is owner 4 in bits [29:24], with numbers up to 0x1f, in 32 and 64 bits.
 */
EXERCISE(1.6)
enum trap_result psci_features(struct vcpu *vcpu)
{
	TODO(1.6);
}

enum trap_result psci_system_off(struct vcpu *vcpu)
{
	vm_stop(vcpu->vm, VM_POWERED_OFF, "powered off");
	return TRAP_RESUME;
}

enum trap_result psci_system_reset(struct vcpu *vcpu)
{
	vm_request_reset(vcpu->vm);
	return TRAP_RESUME;
}

/* The hypervisor's UUID in W0 to W3 (DEN 0028, "Vendor specific hypervisor service"). */
enum trap_result strata_uid(struct vcpu *vcpu)
{
	static const u32 uuid[4] = {0x53c1a9e2, 0x4d7e6b1f, 0x9a3d42b8, 0x71f00c65};

	for (unsigned i = 0; i < 4; i++)
		vcpu->frame.x[i] = uuid[i];
	return TRAP_RESUME;
}

/**
 * Exercise 1.8: strata_yield() - let the next runnable vCPU of this CPU run
 *
 * Ask for the switch, which is made before the next entry: vcpu_make_request() with REQ_RESCHEDULE.
 * The call returns SMCCC_SUCCESS, when this vCPU runs again.
 */
EXERCISE(1.8)
enum trap_result strata_yield(struct vcpu *vcpu)
{
	if (vcpu->cpu->runnable_count > 0)
		TODO(1.8);
	return hypercall_return(vcpu, SMCCC_SUCCESS); /* nobody else could run */
}

enum trap_result strata_console_putc(struct vcpu *vcpu)
{
	console_vm_put(vcpu->vm, (char)vcpu->frame.x[1]);
	return hypercall_return(vcpu, SMCCC_SUCCESS);
}

enum trap_result strata_vm_info(struct vcpu *vcpu)
{
	vcpu->frame.x[1] = vcpu->vm->index | (u64)vcpu->index << 32;
	vcpu->frame.x[2] = vcpu->vm->ram_base;
	vcpu->frame.x[3] = vcpu->vm->ram_bytes;
	return hypercall_return(vcpu, SMCCC_SUCCESS);
}
