/* SPDX-License-Identifier: MIT */
/* What the payload as a VM of KVM and bench/peers/vmm.c agree on. */
#ifndef PAYLOAD_SHARED_H
#define PAYLOAD_SHARED_H

#define KVM_RAM 0x40000000UL
#define KVM_RAM_SIZE 0x01000000UL
#define KVM_SHARED_OFFSET 0x00800000UL /* struct kvm_shared in RAM */
#define KVM_TREE_OFFSET 0x00810000UL

#define KVM_BELLS 0x0a000000UL /* a store there is an exit to the VMM */
#define KVM_BELL_STAMP 0x00 /* out_at = the host's count */
#define KVM_BELL_YIELD 0x08 /* sched_yield() */
#define KVM_BELL_TOGETHER 0x10 /* wait until both VMs of the switch are here */
#define KVM_BELL_DEVICE 0x18 /* start the thread that is a device on the other CPU */
#define KVM_EVENT 0x0b000000UL /* an ioeventfd: the store ends in KVM */
#define KVM_INTID 40 /* the device's interrupt */

struct kvm_shared {
	unsigned long out_at; /* the VMM was told */
	unsigned long asked; /* by the guest, for an interrupt */
	unsigned long in_at; /* the device is about to raise it */
	unsigned long acknowledged; /* by the guest */
	unsigned long is_slow; /* let the vCPU fall asleep first */
};

#endif
