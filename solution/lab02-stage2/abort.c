// SPDX-License-Identifier: MIT
/*
 * Stage-2 faults: the guest used an address that its stage 2 does not map, or not for this access.
 *
 *	a device's region, the syndrome describes the access	emulate it: mmio.c
 *	a region of constant memory, any other load		map the page, try again
 *	RAM							bring memory in, try again
 *	anything else						the guest takes an external abort
 *
 * An external abort is the answer of a bus on which nobody has the address. So the guest's bug
 * becomes the guest's exception, and EL2 goes on. This file owns no state. Manual: Arm ARM, "ISS
 * encoding for an exception from a Data Abort", "... from an Instruction Abort", "HPFAR_EL2".
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/errno.h"
#include "mmio_decode.h"
#include "page_alloc.h"
#include "tlb.h"

/**
 * Exercise 2.6: fault_ipa() - the guest-physical address of a stage-2 fault
 *
 * FIPA in HPFAR_EL2 has the page, FAR_EL2 the offset in the page: each stage translates whole
 * pages. When the fault is on the walk of the guest's own tables (S1PTW), FAR_EL2 is the address
 * that the walk was for: the page, offset 0, is all that is known of the descriptor's address.
 */
EXERCISE(2.6)
static u64 fault_ipa(u64 esr, u64 far, u64 hpfar)
{
	u64 page = (hpfar & HPFAR_EL2_FIPA_MASK) << 8;

	return esr & ESR_ABORT_S1PTW ? page : page | (far & 0xfff);
}

/** Exercise 2.6: find_region() - the MMIO region of @vm that @ipa lies in, or NULL */
EXERCISE(2.6)
static const struct mmio_region *find_region(const struct vm *vm, u64 ipa)
{
	const struct mmio_region *region = vm->stage2.regions;
	const struct mmio_region *end = region + vm->stage2.region_count;

	for (; region < end; region++)
		if (ipa - region->base < region->bytes)
			return region;
	return NULL;
}

/**
 * Exercise 2.6: translate_stage1() - let the CPU translate the guest's virtual address @far again
 *
 * For a permission fault that is not on a table walk: HPFAR_EL2 is UNKNOWN then. at_s1e1r() does
 * the guest's stage 1 and leaves the result in PAR_EL1: F says that there is no translation, bits
 * 47 to 12 are those of the IPA. PAR_EL1 belongs to the guest: it is the same before and after.
 *
 * Return: 0 and *@ipa, or -EFAULT: another vCPU changed the guest's tables meanwhile.
 */
EXERCISE(2.6)
static int translate_stage1(u64 far, u64 *ipa)
{
	u64 kept = read_sysreg(par_el1), par;

	at_s1e1r(far);
	par = read_sysreg(par_el1);
	write_sysreg(par_el1, kept);
	if (par & PAR_EL1_F)
		return -EFAULT;
	*ipa = (bits_get(par, 47, 12) << 12) | (far & 0xfff);
	return 0;
}

/*
 * Cache maintenance by address: where no memory is, it has nothing to do. If it faults on the walk
 * to its address it has not come so far and takes the abort. So does an AT, for which CM is set as
 * well and which faults nowhere else (Arm ARM, "Address translation instructions").
 */
static bool is_maintenance(u64 esr)
{
	return (esr & ESR_ABORT_CM) && !(esr & ESR_ABORT_S1PTW) && esr_ec(esr) == ESR_EC_DABT_LOW;
}

static bool is_load(u64 esr)
{
	return esr_ec(esr) == ESR_EC_DABT_LOW && !(esr & (ESR_ABORT_S1PTW | ESR_DABT_WNR));
}

/* With the page mapped, the CPU does the load by itself. */
static enum trap_result map_constant(struct vcpu *vcpu, const void *page)
{
	int error = stage2_map(vcpu->vm, IPA(align_down(vcpu->exit.address, PAGE_SIZE)),
			       virt_to_phys(page), PAGE_SIZE, PROT_READ);

	return !error || error == -EEXIST ? TRAP_RESUME : TRAP_REFLECT;
}

/*
 * An access to a device that no syndrome describes: load or store of a pair, with write-back,
 * exclusive, SIMD, DC ZVA; an instruction fetch; a table walk. To emulate it, EL2 would have to
 * decode guest memory, which another vCPU may be changing. No driver accesses a device so: the
 * guest takes an abort, and the first one is told on the console. Memory is copied by such loads,
 * so they work where the region is constant memory.
 */
static enum trap_result opaque_access(struct vcpu *vcpu, u64 esr, const struct device *device)
{
	struct vm *vm = vcpu->vm;

	if (is_maintenance(esr))
		return TRAP_SKIP_INSN;
	if (device->page && is_load(esr))
		return map_constant(vcpu, device->page);
	if (!__atomic_exchange_n(&vm->stage2.opaque_access_noted, true, __ATOMIC_RELAXED)) {
		console_printf("%s: access to %s at PC 0x%lx that cannot be emulated (ESR 0x%lx): "
			       "external abort\n",
			       vm->name, device->name, vcpu->frame.pc, esr);
	}
	return TRAP_REFLECT;
}

/* The permissions that the access needs. */
static unsigned wanted_prot(u64 esr)
{
	if (esr & ESR_ABORT_S1PTW)
		return PROT_READ;
	if (esr_ec(esr) == ESR_EC_IABT_LOW)
		return PROT_READ | PROT_EXEC;
	return esr & ESR_DABT_WNR && !(esr & ESR_ABORT_CM) ? PROT_WRITE : PROT_READ;
}

/* The guest tries again where another CPU has allowed the access meanwhile. */
static enum trap_result refuse_permission(struct vcpu *vcpu, u64 esr)
{
	bool forbidden = stage2_forbids(vcpu->vm, IPA(vcpu->exit.address), wanted_prot(esr));

	return forbidden ? TRAP_REFLECT : TRAP_RESUME;
}

/**
 * Exercise 2.6: touch_ram() - the guest used a page of its RAM, at exit.address, that is not mapped
 *
 * guest_ram_populate(), and the guest tries again (TRAP_RESUME). If there is no memory, stop the VM
 * by vm_stop() with VM_STOPPED and "no memory" in the reason; it will not try again.
 */
EXERCISE(2.6)
static enum trap_result touch_ram(struct vcpu *vcpu)
{
	if (guest_ram_populate(vcpu->vm, vcpu->exit.address))
		vm_stop(vcpu->vm, VM_STOPPED, "no memory for the page at 0x%lx",
			vcpu->exit.address);
	return TRAP_RESUME;
}

/**
 * Exercise 2.6: stage2_abort() - a data abort (EC 0x24) or instruction abort (0x20) of the guest
 *
 * Keep FAR_EL2 and HPFAR_EL2 in exit.far and exit.hpfar of @vcpu. Faults of stage 2 are of the
 * types address size, translation, access flag and permission; anything else (external aborts, TLB
 * conflicts, ...): TRAP_REFLECT.
 *
 * The address is that of fault_ipa(); for a permission fault that is not on a table walk, that of
 * translate_stage1(), and if this fails TRAP_RESUME: the guest tries again. Keep the address in
 * exit.address. What is there?
 *
 * - An MMIO region: hand over to mmio_load() or mmio_store() if the syndrome describes the access
 *   (ISV), else to opaque_access().
 * - RAM: for a permission fault refuse_permission(), for any other touch_ram().
 * - Nothing: cache maintenance (is_maintenance()) has nothing to do and is skipped. All else:
 *   TRAP_REFLECT.
 */
EXERCISE(2.6)
enum trap_result stage2_abort(struct vcpu *vcpu, u64 esr)
{
	u64 type = esr & ESR_FSC_TYPE, far = read_sysreg(far_el2), hpfar = read_sysreg(hpfar_el2);
	u64 ipa = fault_ipa(esr, far, hpfar);
	const struct mmio_region *region;

	vcpu->exit.far = far;
	vcpu->exit.hpfar = hpfar;
	if (type > ESR_FSC_PERMISSION)
		return TRAP_REFLECT;
	if (type == ESR_FSC_PERMISSION && !(esr & ESR_ABORT_S1PTW) && translate_stage1(far, &ipa))
		return TRAP_RESUME;

	vcpu->exit.address = ipa;
	region = find_region(vcpu->vm, ipa);
	if (region && !(esr & ESR_DABT_ISV))
		return opaque_access(vcpu, esr, region->device);
	if (region)
		return esr & ESR_DABT_WNR ? mmio_store(vcpu, esr, ipa - region->base, region)
					  : mmio_load(vcpu, esr, ipa - region->base, region);
	if (guest_ram_contains(vcpu->vm, ipa))
		return type == ESR_FSC_PERMISSION ? refuse_permission(vcpu, esr) : touch_ram(vcpu);
	return is_maintenance(esr) ? TRAP_SKIP_INSN : TRAP_REFLECT;
}
