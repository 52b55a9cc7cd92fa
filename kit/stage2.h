/* SPDX-License-Identifier: MIT */
/* Contract of layer 2: a VM's intermediate physical address space. */
#ifndef STRATA_STAGE2_H
#define STRATA_STAGE2_H

#include "lib/types.h"
#include "pgtable.h"
#include "platform/qemu_virt.h"
#include "spinlock.h"
#include "vmm.h"

struct vm;
struct vcpu;

/**
 * struct mmio_region - an instance of a device model in a VM
 * @base, @bytes: guest-physical range whose accesses are emulated
 * @state: memory of the instance
 */
struct mmio_region {
	u64 base;
	u64 bytes;
	const struct device *device;
	void *state;
};

/* EL2's own: there is no stage 2 under it. As vm->vmid: the VM has none. */
#define VMID_NONE 0

/**
 * struct stage2 - the second stage of translation of one VM
 * @lock: protects @table, the accounting and @released_blocks; taken after no other lock but the
 *	VM's device lock, only the page allocator's nests inside
 * @vtcr, @vttbr: register values while a vCPU of the VM is loaded; @vttbr has the VMID, or VMID_NONE:
 *	vmid_lock protects it, and it may be read without
 * @resident_bytes: guest RAM that is backed by memory now (demand paging)
 * @emptied_bytes: of a VM that has ended: RAM from its beginning on that has been given back
 * @released_blocks: bitmap, one bit per 2 MiB of RAM: the guest gave memory there back, and what is
 *	not resident reads as zero, no longer as the pristine image
 * @last_vcpu: which vCPU of the VM each CPU loaded last; only that CPU looks at its own
 * @regions: the VM's devices, @region_count of them; constant once the VM runs
 * @is_pinned: its RAM is a device's, too: none of it may go while the VM lives, nor afterwards as
 *	long as this is set: the device may still write there
 * @opaque_access_noted: the console was told of an access that no syndrome describes
 */
struct stage2 {
	struct spinlock lock;
	struct pgtable table;
	u64 vtcr;
	u64 vttbr;
	u64 resident_bytes;
	u64 emptied_bytes;
	u64 *released_blocks;
	const struct vcpu *last_vcpu[PLAT_CPU_MAX];
	unsigned region_count;
	bool is_pinned;
	bool opaque_access_noted;
	struct mmio_region regions[DEVICE_MAX];
};

/**
 * vmid_lock - protects vm->vmid and stage2.vttbr of every VM: which VM has which VMID
 *
 * While it is held no VMID changes hands. It nests in stage2.lock; nothing nests in it.
 */
extern struct spinlock vmid_lock;

/**
 * stage2_set_vmid() - from now on @vm has @vmid, or VMID_NONE; vmid_lock is held
 *
 * No TLB holds translations of another VM under @vmid.
 */
void stage2_set_vmid(struct vm *vm, u32 vmid);

/**
 * stage2_create() - an empty address space for @vm, whose vmid, ram_base and ram_bytes are set
 *
 * Its input size is the smallest that holds the devices and RAM.
 *
 * Return: 0, -ENOMEM, or -ERANGE when the CPU's physical addresses are too short for RAM.
 */
int stage2_create(struct vm *vm);

/**
 * stage2_destroy() - free the tables; nothing of the VMID stays in a TLB
 *
 * No vCPU of @vm is loaded. Guest RAM has been unmapped; other mappings are forgotten.
 */
void stage2_destroy(struct vm *vm);

/**
 * stage2_map() - let the guest reach @bytes of memory or of a device at @ipa
 *
 * Return: as pgtable_map().
 */
int stage2_map(struct vm *vm, ipa_t ipa, pa_t pa, u64 bytes, unsigned prot);

/** stage2_unmap() - take the range away; the guest faults on it when the call returns */
int stage2_unmap(struct vm *vm, ipa_t ipa, u64 bytes);

/** stage2_protect() - allow the guest no more than @prot in what is mapped there */
int stage2_protect(struct vm *vm, ipa_t ipa, u64 bytes, unsigned prot);

#endif
