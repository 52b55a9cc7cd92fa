/* SPDX-License-Identifier: MIT */
/* What the files of layer 2 share with each other. */
#ifndef STRATA_STAGE2_LAYER_H
#define STRATA_STAGE2_LAYER_H

#include "registry.h"
#include "stage2.h"

/**
 * cpu_pa_range() - ID_AA64MMFR0_EL1.PARange, at most 5 (48 bits); the PS fields take it as it is
 */
unsigned cpu_pa_range(void);

/**
 * cpu_forces_write_back() - whether guest memory is Normal write-back whatever the guest maps it as
 *
 * FEAT_S2FWB, which stage 2 uses where the CPU has it (HCR_EL2.FWB).
 */
bool cpu_forces_write_back(void);

/** hyp_mmu_init() - build EL2's page table; layer 2's init */
int hyp_mmu_init(void);

/** hyp_mmu_init_cpu() - turn on this CPU's MMU with it */
int hyp_mmu_init_cpu(struct cpu *cpu);

/** guest_ram_contains() - whether @ipa is RAM of @vm */
bool guest_ram_contains(const struct vm *vm, u64 ipa);

/**
 * guest_ram_populate() - back the page around @ipa, which is RAM of @vm, with memory
 *
 * Return: 0, also when somebody else was faster, or -ENOMEM.
 */
int guest_ram_populate(struct vm *vm, u64 ipa);

/** mmio_create() - an instance of every device model for @vm: its state, reset, and its window */
int mmio_create(struct vm *vm);

/** mmio_destroy() - give back what mmio_create() took; also after its failure */
void mmio_destroy(struct vm *vm);

/**
 * mmio_load() - let a device model serve the guest's load
 * @esr: of the data abort, with a valid instruction syndrome (ISV)
 * @offset: in @window
 *
 * Return: TRAP_RESUME or TRAP_SKIP_INSN: the guest goes on behind the access, or takes a fault.
 */
enum trap_result mmio_load(struct vcpu *vcpu, u64 esr, u64 offset,
			   const struct device_window *window);

/** mmio_store() - let a device model serve the guest's store; as mmio_load() */
enum trap_result mmio_store(struct vcpu *vcpu, u64 esr, u64 offset,
			    const struct device_window *window);

#endif
