/* SPDX-License-Identifier: MIT */
/* What the files of layer 2 share with each other. */
#ifndef STRATA_STAGE2_INTERNAL_H
#define STRATA_STAGE2_INTERNAL_H

#include "registry.h"
#include "stage2.h"
#include "vcpu.h"

/* ---- hyp_mmu.c ---- */

/** cpu_pa_range() - ID_AA64MMFR0_EL1.PARange, at most 5 (48 bits): the value of the PS fields */
unsigned cpu_pa_range(void);

/** hyp_mmu_init() - build EL2's page table: 0 or a negative errno */
int hyp_mmu_init(void);

/** hyp_mmu_init_cpu() - turn on the MMU of @cpu, which executes this */
int hyp_mmu_init_cpu(struct cpu *cpu);

/* ---- stage2.c ---- */

/**
 * cpu_forces_write_back() - whether guest memory is Normal write-back whatever the guest maps it as
 *
 * FEAT_S2FWB, which stage 2 uses where the CPU has it (HCR_EL2.FWB).
 */
bool cpu_forces_write_back(void);

/** stage2_forbids() - whether @ipa is mapped, but not for all of @prot */
bool stage2_forbids(struct vm *vm, ipa_t ipa, unsigned prot);

void stage2_vcpu_reset(struct vcpu *vcpu);
void stage2_vcpu_arrive(struct vcpu *vcpu);
void stage2_vcpu_save(struct vcpu *vcpu);

/* ---- abort.c ---- */

trap_handler_fn stage2_abort;

/* ---- mmio.c ---- */

/** mmio_create() - give @vm an instance of every device model, after reset: 0 or a negative errno */
int mmio_create(struct vm *vm);

/** mmio_destroy() - give back what mmio_create() took; also after its failure */
void mmio_destroy(struct vm *vm);

enum trap_result mmio_load(struct vcpu *vcpu, u64 esr, u64 offset,
			   const struct mmio_region *region);
enum trap_result mmio_store(struct vcpu *vcpu, u64 esr, u64 offset,
			    const struct mmio_region *region);

/* ---- guest_ram.c ---- */

/** guest_ram_contains() - whether @ipa is RAM of @vm */
static inline bool guest_ram_contains(const struct vm *vm, u64 ipa)
{
	return ipa - vm->ram_base < vm->ram_bytes;
}

/**
 * guest_ram_has_image() - whether new memory at [@ipa, @ipa + @bytes) starts with the pristine
 * image
 *
 * The range lies in one block; false where the image has nothing, or was forgotten.
 */
bool guest_ram_has_image(const struct vm *vm, u64 ipa, u64 bytes);

/** guest_ram_forget_image() - from now on memory of the block at @ipa starts as zero */
void guest_ram_forget_image(struct vm *vm, u64 ipa);

/**
 * guest_ram_populate() - back the page around @ipa, which is RAM of @vm, with memory
 *
 * Return: 0, also when the page is mapped already, or -ENOMEM.
 */
int guest_ram_populate(struct vm *vm, u64 ipa);

int guest_ram_populate_locked(struct vm *vm, u64 ipa);

/* struct guest_memory (kit/guest_memory.h) says what each does. */
int paged_create(struct vm *vm);
void paged_destroy(struct vm *vm);
void *paged_page(struct vm *vm, ipa_t address);

/* ---- guest_ram_release.c ---- */

bool paged_release(struct vm *vm);
hypercall_fn memory_release, memory_stats;

#endif
