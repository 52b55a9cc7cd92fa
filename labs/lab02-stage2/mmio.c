// SPDX-License-Identifier: MIT
/*
 * Emulated devices: from the syndrome of a data abort to a register of a device model and back.
 *
 * A VM has an instance of each model that its machine has. stage2.regions says where each answers;
 * it does not change while the VM runs and needs no lock. The models run under vm->device_lock, one
 * access at a time. Lock order: device_lock, then what the models call: vgic.lock, the console's,
 * stage2.lock.
 */
#include "mmio_decode.h"

#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/errno.h"
#include "mailbox.h"
#include "page_alloc.h"

/* ---- instances ---- */

static int region_create(struct vm *vm, const struct device *device)
{
	struct stage2 *s2 = &vm->stage2;
	struct mmio_region *region = &s2->regions[s2->region_count];
	u64 bytes = device->region_bytes ? device->region_bytes(vm) : device->size_bytes;
	pa_t state;

	spin_assert_held(&vm->device_lock);
	if (!bytes)
		return 0;
	assert(is_aligned(device->base | bytes, PAGE_SIZE));
	if (s2->region_count == DEVICE_MAX)
		return -ENOSPC;
	state = page_alloc_zeroed(page_order_for(device->state_bytes));
	if (!pa_is_valid(state))
		return -ENOMEM;
	s2->region_count++;
	*region = (struct mmio_region){
		.base = device->base,
		.bytes = bytes,
		.device = device,
		.state = phys_to_virt(state),
	};
	if (device->reset)
		device->reset(vm, region->state);
	return 0;
}

int mmio_create(struct vm *vm)
{
	unsigned gic = gic_version();
	int error = 0;

	spin_lock(&vm->device_lock);
	vm->stage2.region_count = 0;
	vm->stage2.opaque_access_noted = false;
	/* From the end: there is the interrupt controller, which guests use most (layer 3). */
	for (const struct device *const *at = registry_devices_end; at-- > registry_devices;) {
		if (!error && (!(*at)->gic_version || (*at)->gic_version == gic))
			error = region_create(vm, *at);
	}
	spin_unlock(&vm->device_lock);
	return error;
}

void mmio_destroy(struct vm *vm)
{
	struct stage2 *s2 = &vm->stage2;

	spin_lock(&vm->device_lock);
	while (s2->region_count > 0) {
		const struct mmio_region *region = &s2->regions[--s2->region_count];

		page_free(virt_to_phys(region->state), page_order_for(region->device->state_bytes));
	}
	spin_unlock(&vm->device_lock);
}

/* ---- an access ---- */

/*
 * An access that no device takes: the guest sees an alignment fault, as its own translation would
 * have raised had it mapped the region as Device memory.
 */
static enum trap_result mmio_refuse(struct vcpu *vcpu, u64 esr)
{
	u64 from_el0 = (vcpu->frame.pstate & SPSR_M_MASK) == SPSR_EL0T;
	u64 ec = from_el0 ? ESR_EC_DABT_LOW : ESR_EC_DABT_CUR;

	write_sysreg(far_el1, vcpu->exit.far);
	inject_exception(vcpu,
			 ec << ESR_EC_SHIFT | (esr & (ESR_IL | ESR_DABT_WNR)) | ESR_FSC_ALIGNMENT);
	return TRAP_RESUME;
}

/* Which end of a datum comes first in the guest's memory (Arm ARM, "Mixed-endian support"). */
static inline bool data_is_big_endian(const struct vcpu *vcpu)
{
	u64 pstate = vcpu->frame.pstate, sctlr = read_sysreg(sctlr_el1);

	if (pstate & SPSR_AARCH32)
		return pstate & SPSR_E;
	return (pstate & SPSR_M_MASK) == SPSR_EL0T ? sctlr & SCTLR_E0E : sctlr & SCTLR_EE;
}

/**
 * mmio_bus_order() - between the guest's register and the device's, which is little-endian
 * @value: the lowest mmio_size() bytes count
 *
 * The vCPU is loaded. Return: @value, or those bytes in reverse order if the guest's data are
 * big-endian.
 */
static inline u64 mmio_bus_order(const struct vcpu *vcpu, u64 esr, u64 value)
{
	return data_is_big_endian(vcpu) ? mmio_reverse(esr, value) : value;
}

/**
 * Exercise 2.7: mmio_load() - let a device model serve the guest's load at @offset of @region
 *
 * An access that is not mmio_is_aligned() is refused by mmio_refuse(). Otherwise the model's read()
 * gives the value, called with the VM's device lock held. On the bus the value may be the other way
 * round: first mmio_bus_order(), then mmio_load_value(). The result goes to exit.value and to the
 * register mmio_register(), where number 31 swallows it; the size to exit.size. The guest goes on
 * behind the instruction: TRAP_SKIP_INSN.
 */
EXERCISE(2.7)
enum trap_result mmio_load(struct vcpu *vcpu, u64 esr, u64 offset, const struct mmio_region *region)
{
	TODO(2.7);
}

/**
 * Exercise 2.7: mmio_store() - let a device model serve the guest's store at @offset of @region
 *
 * As mmio_load(). The model's write() and exit.value get the register's mmio_store_value() in
 * mmio_bus_order(); register 31 is zero.
 */
EXERCISE(2.7)
enum trap_result mmio_store(struct vcpu *vcpu, u64 esr, u64 offset,
			    const struct mmio_region *region)
{
	TODO(2.7);
}

/* ---- what device models use ---- */

void vmm_irq_line(struct vm *vm, u32 intid, bool level)
{
	if (hook_irq_line)
		hook_irq_line(vm, intid, level);
}

int vmm_console_get(struct vm *vm)
{
	return console_vm_get(vm);
}

void vmm_console_put(struct vm *vm, u8 byte)
{
	console_vm_put(vm, (char)byte);
}
