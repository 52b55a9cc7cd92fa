// SPDX-License-Identifier: MIT
/*
 * Layer 2: address spaces. This page has all that the layer claims.
 *
 *	pgtable*.c		the one walker: read a table, change it, what its leaves look like
 *	hyp_mmu.c		EL2's own map
 *	stage2.c		a VM's map, and the TLB entries made of it
 *	abort.c			an access that stage 2 refused
 *	mmio.c			emulated devices; dev_*.c: the models
 *	guest_ram.c		memory comes to a VM; guest_ram_release.c: and goes back
 */
#include "el2_boot.h"
#include "guest_memory.h"
#include "internal.h"
#include "vmm.h"

LAYER(2, stage2, .init = hyp_mmu_init, .init_cpu = hyp_mmu_init_cpu, .vm_create = mmio_create,
      .vm_destroy = mmio_destroy);
VCPU_HOOKS(2, .reset = stage2_vcpu_reset, .load = stage2_vcpu_arrive, .save = stage2_vcpu_save);

/* A VM's RAM is its stage 2: that is created and destroyed with it. */
GUEST_MEMORY(2, .name = "paged", .create = paged_create, .release = paged_release,
	     .destroy = paged_destroy, .page = paged_page);

TRAP_HANDLER(ESR_EC_DABT_LOW, stage2_abort);
TRAP_HANDLER(ESR_EC_IABT_LOW, stage2_abort);

HYPERCALL(STRATA_MEMORY_RELEASE, memory_release);
HYPERCALL(STRATA_MEMORY_STATS, memory_stats);

DEVICE(flash);
DEVICE(pl011);
DEVICE(virtio_mmio);
