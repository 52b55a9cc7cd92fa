// SPDX-License-Identifier: MIT
/*
 * Stage-2 faults: the guest used an address at which stage 2 has nothing, or not that.
 *
 *	window of a device model, described by the syndrome	emulate
 *	window of constant memory, loaded from without one	map the page, try again
 *	RAM							bring memory in, try again
 *	anything else						the guest takes an external abort
 *
 * The last line is what a bus does with an address that nobody answers, and so the guest's bug
 * becomes the guest's exception. Owns no state. Manual: Arm ARM, "ISS encoding for an exception
 * from a Data Abort", "... from an Instruction Abort", "HPFAR_EL2".
 */
#include "el2_boot.h"
#include "exercise.h"
#include "lib/errno.h"
#include "mmio_decode.h"
#include "page_alloc.h"
#include "stage2_layer.h"
#include "tlb.h"

#define ESR_FSC_TYPE 0x3c
#define ESR_FSC_ADDRESS_SIZE 0x00
#define ESR_FSC_TRANSLATION 0x04
#define ESR_FSC_ACCESS_FLAG 0x08
#define ESR_FSC_PERMISSION 0x0c

#define HPFAR_EL2_FIPA_MASK (~15UL) /* bits from 4 on are those from 12 on of the address */
#define PAR_EL1_F BIT(0)

/** fault_page() - the page that HPFAR_EL2 names */
EXERCISE(2.6)
static inline u64 fault_page(u64 hpfar)
{
	TODO(2.6);
}

/**
 * fault_ipa() - the guest-physical address of a stage-2 fault
 *
 * HPFAR_EL2 has the page, FAR_EL2 the offset in it (both stages translate whole pages). On the walk
 * of the guest's own tables FAR_EL2 is about another address: the page is all there is.
 */
EXERCISE(2.6)
static u64 fault_ipa(const struct vcpu_exit *exit, u64 esr)
{
	TODO(2.6);
}

/**
 * find_window() - the window of @vm that @ipa lies in; one without device when there is none
 *
 * The array ends with a window that holds every address and has no device: no count is needed.
 */
EXERCISE(2.6)
static inline const struct device_window *find_window(const struct vm *vm, u64 ipa)
{
	TODO(2.6);
}

/**
 * translate_stage1() - let the CPU translate the guest's virtual address again
 *
 * HPFAR_EL2 is UNKNOWN for a permission fault that is not on a table walk. at_s1e1r() does the
 * guest's stage 1; PAR_EL1, which belongs to the guest, is kept.
 *
 * Return: 0 and *@ipa, or -EFAULT: the guest changed its tables meanwhile, and should try again.
 */
EXERCISE(2.6)
static int translate_stage1(u64 far, u64 *ipa)
{
	TODO(2.6);
}

/*
 * A load from a window of constant memory that no syndrome describes: with the page mapped the CPU
 * does it by itself.
 */
static enum trap_result map_constant(struct vcpu *vcpu, const struct device_window *window, u64 ipa)
{
	int error = stage2_map(vcpu->vm, IPA(align_down(ipa, PAGE_SIZE)),
			       virt_to_phys(window->device->page), PAGE_SIZE, PROT_READ);

	return !error || error == -EEXIST ? TRAP_RESUME : TRAP_REFLECT;
}

/*
 * Cache maintenance by address, which where no memory is has nothing to do. One that faults on the
 * walk to its address has not come so far, and an AT, which CM stands for as well, faults nowhere
 * else: both take the abort (Arm ARM, "Address translation instructions").
 */
static bool is_maintenance(u64 esr)
{
	return (esr & ESR_ABORT_CM) && !(esr & ESR_ABORT_S1PTW) &&
	       esr >> ESR_EC_SHIFT == ESR_EC_DABT_LOW;
}

/*
 * An access to a device that its model cannot serve. Without syndrome (load or store of a pair,
 * write-back, exclusive, SIMD, DC ZVA) one would have to decode guest memory, which another vCPU
 * may be changing. No driver accesses a device so. Instruction fetch and table walks do not either.
 *
 * Constant memory is another matter, since copying is done by such loads. Where a page of it is
 * mapped for them, a plain store faults by permission, and not where data_abort() looks for it.
 */
static enum trap_result refuse_device(struct vcpu *vcpu, u64 esr, u64 ipa,
				      const struct device_window *window)
{
	bool is_data = esr >> ESR_EC_SHIFT == ESR_EC_DABT_LOW && !(esr & ESR_ABORT_S1PTW);
	struct vm *vm = vcpu->vm;

	if (is_maintenance(esr))
		return TRAP_SKIP_INSN;
	if (is_data && window->device->page && !(esr & ESR_DABT_WNR))
		return map_constant(vcpu, window, ipa);
	if (is_data && window->device->page && esr & ESR_DABT_ISV) {
		vcpu->exit.address = ipa;
		return mmio_store(vcpu, esr, ipa - window->base, window);
	}
	if (!vm->stage2.opaque_access_noted) {
		vm->stage2.opaque_access_noted = true;
		console_printf("%s: access to %s at PC 0x%lx that cannot be emulated (ESR 0x%lx): "
			       "external abort\n",
			       vm->name, window->device->name, vcpu->frame.pc, esr);
	}
	return TRAP_REFLECT;
}

/* What an abort with this syndrome wanted to do. */
static unsigned wanted_prot(u64 esr)
{
	if (esr & ESR_ABORT_S1PTW)
		return PROT_READ;
	if (esr >> ESR_EC_SHIFT == ESR_EC_IABT_LOW)
		return PROT_READ | PROT_EXEC;
	return esr & ESR_DABT_WNR && !(esr & ESR_ABORT_CM) ? PROT_WRITE : PROT_READ;
}

/*
 * A page of RAM that is mapped but does not allow the access. Another CPU may have changed that
 * since: then the guest tries again.
 */
static enum trap_result refuse_permission(struct vcpu *vcpu, u64 esr, u64 ipa)
{
	struct stage2 *s2 = &vcpu->vm->stage2;
	unsigned wanted = wanted_prot(esr);
	struct pgtable_leaf leaf;
	int error;

	spin_lock(&s2->lock);
	error = pgtable_lookup(&s2->table, ipa, &leaf);
	spin_unlock(&s2->lock);
	return !error && (leaf.prot & wanted) != wanted ? TRAP_REFLECT : TRAP_RESUME;
}

/**
 * touch_ram() - the guest used a page of its RAM that is not there yet
 *
 * guest_ram_populate(). A VM for which there is no memory is stopped, with "no memory" in the reason.
 */
EXERCISE(2.6)
static enum trap_result touch_ram(struct vcpu *vcpu, u64 ipa)
{
	TODO(2.6);
}

/**
 * handle_fault() - a stage-2 fault of any kind that is not a plain access to a device
 *
 * Counts in exit.count. Stage 2 raises address size, translation, access flag and permission
 * faults; anything else (external aborts, TLB conflicts, ...): TRAP_REFLECT.
 * The address is fault_ipa()'s, for a permission fault off a table walk translate_stage1()'s; if
 * that fails, TRAP_RESUME. A device window: refuse_device(). RAM: refuse_permission(), or
 * touch_ram() for the other kinds. Elsewhere cache maintenance (is_maintenance()) is skipped and
 * everything else is TRAP_REFLECT.
 */
EXERCISE(2.6)
static enum trap_result handle_fault(struct vcpu *vcpu, u64 esr)
{
	TODO(2.6);
}

/**
 * data_abort() - a data abort from the guest: EC 0x24
 *
 * Keep FAR_EL2 and HPFAR_EL2 in vcpu->exit. The common case first: a translation fault with a valid
 * instruction syndrome, which is never on a table walk, in a device window: exit.address, then
 * mmio_load() or mmio_store(). Everything else is handle_fault()'s.
 */
EXERCISE(2.6)
static enum trap_result data_abort(struct vcpu *vcpu, u64 esr)
{
	TODO(2.6);
}

/**
 * instruction_abort() - the guest fetched an instruction where it cannot: EC 0x20
 *
 * As data_abort(), without the common case: nobody executes a device's registers.
 */
EXERCISE(2.6)
static enum trap_result instruction_abort(struct vcpu *vcpu, u64 esr)
{
	TODO(2.6);
}

TRAP_HANDLER(ESR_EC_DABT_LOW, data_abort);
TRAP_HANDLER(ESR_EC_IABT_LOW, instruction_abort);
