// SPDX-License-Identifier: MIT
/*
 * Emulated devices: from the syndrome of a data abort to a register of a device model and back.
 *
 * A VM has an instance of each model that its machine has; where it answers is in
 * stage2.windows, which does not change while the VM runs and needs no lock. The models themselves
 * run under vm->device_lock, one access at a time. Lock order: device_lock, then what the models
 * call: vgic.lock, the console's, stage2.lock.
 *
 * This is the shortest way that there is from a guest to its interrupt controller and back. It is
 * kept short.
 */
#include "mmio_decode.h"

#include "el2_boot.h"
#include "exercise.h"
#include "lib/errno.h"
#include "mailbox.h"
#include "page_alloc.h"
#include "stage2_layer.h"

/* ---- instances ---- */

static u64 window_bytes(const struct device *device, struct vm *vm)
{
	return device->window_bytes ? device->window_bytes(vm) : device->size_bytes;
}

/*
 * Ascending from the interrupt controller on, which is used most and found first; what lies below
 * it comes last.
 */
#define FIRST_WINDOW 0x08000000UL

static void window_insert(struct stage2 *s2, struct device_window window)
{
	unsigned i = s2->window_count++;

	for (; i > 0 && s2->windows[i - 1].base - FIRST_WINDOW > window.base - FIRST_WINDOW; i--)
		s2->windows[i] = s2->windows[i - 1];
	s2->windows[i] = window;
}

static void windows_clear(struct stage2 *s2)
{
	s2->window_count = 0;
	for (unsigned i = 0; i <= DEVICE_MAX; i++)
		s2->windows[i] = (struct device_window){.base = 0, .bytes = ~0UL};
}

static int device_create(struct vm *vm, const struct device *device, unsigned index)
{
	u64 bytes = window_bytes(device, vm);
	pa_t state = page_alloc_zeroed(page_order_for(device->state_bytes));

	assert(is_aligned(device->base | bytes, PAGE_SIZE));
	if (!pa_is_valid(state))
		return -ENOMEM;
	vm->device_state[index] = phys_to_virt(state);
	if (device->reset)
		device->reset(vm, vm->device_state[index]);
	window_insert(&vm->stage2, (struct device_window){
					   .base = device->base,
					   .bytes = bytes,
					   .device = device,
					   .state = vm->device_state[index],
				   });
	return 0;
}

int mmio_create(struct vm *vm)
{
	/* As gic_version() of layer 3, which may not be linked. */
	unsigned gic = bits_get(read_sysreg(id_aa64pfr0_el1), 27, 24) ? 3 : 2;
	unsigned count = (unsigned)(registry_devices_end - registry_devices);
	int error = count <= DEVICE_MAX ? 0 : -ENOSPC;

	spin_lock(&vm->device_lock);
	windows_clear(&vm->stage2);
	vm->stage2.opaque_access_noted = false;
	for (unsigned i = 0; i < count && !error; i++) {
		const struct device *device = &registry_devices[i];

		if (!device->gic_version || device->gic_version == gic)
			error = device_create(vm, device, i);
	}
	spin_unlock(&vm->device_lock);
	return error;
}

void mmio_destroy(struct vm *vm)
{
	unsigned count = (unsigned)(registry_devices_end - registry_devices);

	spin_lock(&vm->device_lock);
	windows_clear(&vm->stage2);
	for (unsigned i = 0; i < count && i < DEVICE_MAX; i++) {
		if (vm->device_state[i])
			page_free(virt_to_phys(vm->device_state[i]),
				  page_order_for(registry_devices[i].state_bytes));
		vm->device_state[i] = NULL;
	}
	spin_unlock(&vm->device_lock);
}

/* ---- an access ---- */

/*
 * An access that no device takes: the guest sees an alignment fault, which is what its own
 * translation would have raised had it mapped the window as Device memory.
 */
static __attribute__((noinline)) enum trap_result mmio_refuse(struct vcpu *vcpu, u64 esr)
{
	u64 from_el0 = (vcpu->frame.pstate & SPSR_M_MASK) == SPSR_EL0T;
	u64 ec = from_el0 ? ESR_EC_DABT_LOW : ESR_EC_DABT_CUR;

	write_sysreg(far_el1, vcpu->exit.far);
	inject_exception(vcpu,
			 ec << ESR_EC_SHIFT | (esr & (ESR_IL | ESR_DABT_WNR)) | ESR_FSC_ALIGNMENT);
	return TRAP_RESUME;
}

/*
 * The guest goes on behind the access, as trap_skip_instruction() has it; for A64, where that is
 * always 4 bytes, done on the spot.
 */
static inline enum trap_result mmio_finish(struct vcpu *vcpu)
{
	u64 pstate = vcpu->frame.pstate;

	if (__builtin_expect(pstate & SPSR_AARCH32, 0))
		return TRAP_SKIP_INSN;
	vcpu->frame.pc += 4;
	vcpu->frame.pstate = pstate & ~(SPSR_SS | SPSR_BTYPE);
	return TRAP_RESUME;
}

/**
 * mmio_bus_order() - between what the guest's register has and what a device's has
 * @value: the lowest mmio_size() bytes count
 *
 * A device is little-endian. Which end of a datum comes first in memory is the guest's choice:
 * SCTLR_EL1.EE at EL1, E0E at EL0, PSTATE.E in AArch32 (Arm ARM, "Mixed-endian support").
 * Return: @value, or those bytes in reverse order if the guest's data are big-endian. The vCPU is
 * loaded.
 */
static u64 mmio_bus_order(const struct vcpu *vcpu, u64 esr, u64 value)
{
	u64 pstate = vcpu->frame.pstate;
	u64 big = (pstate & SPSR_M_MASK) == SPSR_EL0T ? SCTLR_E0E : SCTLR_EE;
	bool reverse = pstate & SPSR_AARCH32 ? pstate & SPSR_E : read_sysreg(sctlr_el1) & big;

	return reverse ? mmio_reverse(esr, value) : value;
}

/* Whether mmio_bus_order() must be asked. Nearly all loads pay no more for it than this. */
static inline bool mmio_is_unusual(const struct vcpu *vcpu)
{
	return __builtin_expect(read_sysreg(sctlr_el1) & (SCTLR_EE | SCTLR_E0E), 0) ||
	       __builtin_expect(vcpu->frame.pstate & SPSR_AARCH32, 0);
}

EXERCISE_PRIVATE(2.7)
static inline enum trap_result mmio_deliver(struct vcpu *vcpu, u64 esr, u64 value)
{
	value = mmio_load_value(esr, value);
	vcpu->exit.value = value;
	if (mmio_register(esr) != MMIO_REGISTER_ZERO)
		vcpu->frame.x[mmio_register(esr)] = value;
	return mmio_finish(vcpu);
}

EXERCISE_PRIVATE(2.7)
static __attribute__((noinline)) enum trap_result mmio_deliver_unusual(struct vcpu *vcpu, u64 esr,
								       u64 value)
{
	return mmio_deliver(vcpu, esr, mmio_bus_order(vcpu, esr, value));
}

/**
 * mmio_load() - let a device model serve the guest's load
 *
 * An access that is not mmio_is_aligned() is refused with mmio_refuse(). Otherwise: note
 * vcpu->exit.size, call the model's read() with the VM's device lock held, pass what it says
 * through mmio_bus_order() and then mmio_load_value() to exit.value and to the register
 * mmio_register(); number 31 swallows it. The result is mmio_finish()'s.
 */
EXERCISE(2.7)
enum trap_result mmio_load(struct vcpu *vcpu, u64 esr, u64 offset,
			   const struct device_window *window)
{
	struct spinlock *lock = &vcpu->vm->device_lock;
	u64 size = mmio_size(esr), value;

	if (!mmio_is_aligned(esr, offset))
		return mmio_refuse(vcpu, esr);
	vcpu->exit.size = size;
	spin_lock(lock);
	value = window->device->read(vcpu, window->state, offset, (unsigned)size);
	spin_unlock(lock);
	esr = vcpu->exit.esr; /* cheaper than keeping it over the call */
	if (mmio_is_unusual(vcpu))
		return mmio_deliver_unusual(vcpu, esr, value);
	return mmio_deliver(vcpu, esr, value);
}

/**
 * mmio_store() - let a device model serve the guest's store
 *
 * As mmio_load(). The model's write() gets mmio_store_value() of the register in mmio_bus_order(),
 * as does exit.value; register 31 is zero.
 */
EXERCISE(2.7)
enum trap_result mmio_store(struct vcpu *vcpu, u64 esr, u64 offset,
			    const struct device_window *window)
{
	struct spinlock *lock = &vcpu->vm->device_lock;
	unsigned reg = mmio_register(esr);
	u64 size = mmio_size(esr);
	u64 value = reg == MMIO_REGISTER_ZERO ? 0 : vcpu->frame.x[reg];

	if (!mmio_is_aligned(esr, offset))
		return mmio_refuse(vcpu, esr);
	value = mmio_bus_order(vcpu, esr, mmio_store_value(esr, value));
	vcpu->exit.size = size;
	vcpu->exit.value = value;
	spin_lock(lock);
	window->device->write(vcpu, window->state, offset, (unsigned)size, value);
	spin_unlock(lock);
	return mmio_finish(vcpu);
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
