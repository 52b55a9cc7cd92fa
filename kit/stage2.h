/* SPDX-License-Identifier: MIT */
/* Contract of layer 2: a VM's intermediate physical address space. */
#ifndef STRATA_STAGE2_H
#define STRATA_STAGE2_H

#include "lib/types.h"
#include "pgtable.h"
#include "spinlock.h"

struct vm;
struct vcpu;

/**
 * struct stage2 - the second stage of translation of one VM
 * @lock: protects @table and the accounting; taken after no other lock
 * @vtcr, @vttbr: register values while a vCPU of the VM is loaded
 * @resident_bytes: guest RAM that is backed by memory now (demand paging)
 */
struct stage2 {
	struct spinlock lock;
	struct pgtable table;
	u64 vtcr;
	u64 vttbr;
	u64 resident_bytes;
};

/**
 * stage2_map() - let the guest reach @bytes of memory or of a device at @ipa
 *
 * Return: as pgtable_map().
 */
int stage2_map(struct vm *vm, ipa_t ipa, pa_t pa, u64 bytes, unsigned prot);

/** stage2_unmap() - take the range away; the guest faults on it when the call returns */
int stage2_unmap(struct vm *vm, ipa_t ipa, u64 bytes);

#endif
