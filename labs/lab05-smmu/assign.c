// SPDX-License-Identifier: MIT
/*
 * Devices that belong to a VM: found at start, handed over when the VM is created, taken back when it
 * ends, for a reset too.
 *
 * What a VM gets of a device:
 *	registers	its BARs, mapped at stage 2 as device memory where they are physically: EL2
 *			has placed them, the guest cannot move them (dev_pci.c)
 *	DMA		a stream of the SMMU that leads to the VM's RAM (smmu.h)
 *	interrupts	the line that it shares, by asking (irq_demux.c)
 * and of its configuration space what dev_pci.c shows.
 *
 * Taken back in this order, since an access that a device has begun is stopped by nothing but the
 * device: its own reset, bus mastering off, its stream; only then does the VM's memory go to others.
 * It never does if the device did not answer.
 *
 * Locks: vm->device_lock (the guest's access), vgic.lock or smmu.lock, pci_lock, deadline_lock.
 * Manual: PCI Local Bus 3.0, "Configuration Space Header".
 */
#include "bundle.h"
#include "el2_boot.h"
#include "exercise.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "mailbox.h"
#include "page_alloc.h"
#include "pci_device.h"
#include "smmu.h"

#define BARS_FROM (PLAT_PCI_MMIO_BASE + MIB(1))
#define SETTLE_LOOKS_PER_SECOND 1000

_Static_assert(VMM_PCI_MAX == BUNDLE_DEVICE_MAX, "a VM's devices");

struct pci_device pci_devices[PCI_DEVICE_MAX];
u32 pci_device_count;
struct spinlock pci_lock = SPINLOCK_INIT("pci");

static u32 first_device[VM_MAX]; /* index of each VM's first one; its others follow */
static u64 bars_free = BARS_FROM;

/* ---- found at start ---- */

/* Nobody has told a device to do anything yet. That stays so, and none may interrupt. */
static void quieten_bus(void)
{
	for (u32 address = 0; address < PCI_FUNCTION_COUNT; address++) {
		if (pci_read(pci_config(address), PCI_ID) != PCI_NO_DEVICE)
			pci_write(pci_config(address), PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	}
}

/*
 * The line of an INTx pin (1 to 4) of a device on bus 0. So that they are shared evenly they are
 * crossed from slot to slot, as between a bus and the one above it.
 */
static u32 intx_intid(u32 address, u32 pin)
{
	return pin ? PLAT_PCI_LINE0_INTID + (address / 8 + pin - 1) % 4 : 0;
}

/* Why a device cannot be assigned, in words that follow its address; NULL: it can. */
static const char *device_problem(struct pci_device *device)
{
	pa_t config = device->config;
	const char *problem = NULL;
	int error;

	if (pci_read(config, PCI_ID) == PCI_NO_DEVICE)
		return "is not there";
	if (PCI_HEADER_TYPE(pci_read(config, PCI_HEADER)) ||
	    pci_read(config, PCI_CLASS) >> PCI_CLASS_BASE_SHIFT == PCI_CLASS_BRIDGE)
		return "is a bridge";
	device->model = pci_model_of(config);
	if (!device->model)
		return "is of a kind that nobody here knows how to stop";
	error = pci_place_bars(config, &device->function, &bars_free);
	if (error)
		return error == -EINVAL ? "has registers that share their page with others'"
					: "has more registers than there is room for";
	if (device->model->problem) {
		pci_write(config, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
		problem = device->model->problem(device);
		pci_write(config, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	}
	return problem;
}

static void settle_expired(struct deadline *deadline)
{
	struct pci_device *device = container_of(deadline, struct pci_device, settle);

	spin_lock(&pci_lock);
	pci_grant(device);
	spin_unlock(&pci_lock);
}

static void find_device(const struct bundle_vm *config, u32 owner, u16 address)
{
	struct pci_device *device = &pci_devices[pci_device_count++];
	const char *problem;

	assert(pci_device_count <= PCI_DEVICE_MAX);
	device->function.address = address;
	device->config = pci_config(address);
	device->owner = owner;
	deadline_init(&device->settle, settle_expired);
	problem = device_problem(device);
	if (problem)
		config_error("%s: its device 00:%02x.%u (ID %04x:%04x) %s", config->name,
			     address / 8, address % 8, pci_read(device->config, PCI_ID) & 0xffff,
			     pci_read(device->config, PCI_ID) >> 16, problem);
	device->intid =
		intx_intid(address, PCI_INTERRUPT_PIN(pci_read(device->config, PCI_INTERRUPT)));
}

int assign_init(void)
{
	const struct bundle_header *bundle = phys_to_virt(PA(PLAT_BUNDLE_BASE));
	const struct bundle_vm *configs = bundle_vms(bundle);

	quieten_bus();
	for (u32 owner = 0; owner < bundle->vm_count; owner++) {
		first_device[owner] = pci_device_count;
		for (u32 i = 0; i < configs[owner].device_count; i++)
			find_device(&configs[owner], owner, configs[owner].devices[i]);
	}
	return 0;
}

/* ---- the command register ---- */

/*
 * Whether a device that cannot be reset has come to its end. Only at its registers does one see that;
 * until it has it is no bus master, and what it still does goes nowhere.
 */
static bool has_settled(struct pci_device *device)
{
	if (device->is_settling) {
		pci_write(device->config, PCI_COMMAND,
			  PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
		device->is_settling = device->model->is_busy(device);
	}
	return !device->is_settling;
}

/**
 * Exercise 5.7: pci_grant() - write PCI_COMMAND of @device
 *
 * While no VM uses it: PCI_COMMAND_INTX_DISABLE alone. While one does: device->command, which is what
 * the guest wants, with INTx disabled besides if it is held. A guest that wants a bus master gets none
 * if the device is_cut_off, and none until has_settled(): deadline_arm() of device->settle in
 * 1/SETTLE_LOOKS_PER_SECOND of a second looks again.
 */
EXERCISE(5.7)
void pci_grant(struct pci_device *device)
{
	TODO(5.7);
}

void device_cut_off(u32 stream)
{
	spin_lock(&pci_lock);
	for_each_pci_device(device)
	{
		if (device->function.address != stream)
			continue;
		device->is_cut_off = true;
		pci_grant(device);
	}
	spin_unlock(&pci_lock);
}

/* ---- handed over, and taken back ---- */

/**
 * Exercise 5.7: map_bars() - let the guest reach the memory BARs of @device where they are
 *
 * Each at stage 2, one to one, readable and writable as device memory. One that is not implemented has
 * no address; the upper half of a 64-bit BAR, which has none here, neither.
 *
 * Return: 0, or stage2_map()'s error.
 */
EXERCISE(5.7)
static int map_bars(struct vm *vm, const struct pci_device *device)
{
	TODO(5.7);
}

/**
 * Exercise 5.7: device_attach() - hand @device over to @vm
 *
 * One that is_broken: -EBUSY. Then map_bars(); smmu_attach_stream(); vgic_watch_spi() of its line, if
 * it has one, with intx_resample(); and under pci_lock device->vm, an empty command register, neither
 * held nor cut off, and pci_grant(). With a model that has is_busy() it is_settling: it may be busy for
 * its last owner.
 *
 * Return: 0, or the first error.
 */
EXERCISE(5.7)
static int device_attach(struct vm *vm, struct pci_device *device)
{
	TODO(5.7);
}

/**
 * Exercise 5.4: device_detach() - take @device back from @vm, whose vCPUs run no more
 *
 * First it is held, and its command has memory space, for the reset, and bus mastering as the guest
 * left it, so that it can end what it began. Then in the order of the head of this file: its model's
 * reset(); device->vm = NULL; smmu_detach_stream(). struct pci_device changes under pci_lock, with
 * pci_grant() each time; device->settle is cancelled when nobody can arm it any more. A device whose
 * reset() fails is_broken, and the console says so.
 */
EXERCISE(5.4)
static void device_detach(struct vm *vm, struct pci_device *device)
{
	TODO(5.4);
}

int assign_vm_create(struct vm *vm)
{
	struct pci_device *first = &pci_devices[first_device[vm->index]];
	int error;

	if (!vm->config->device_count)
		return 0;
	error = smmu_create_space(vm);
	for (u32 i = 0; i < vm->config->device_count && !error; i++)
		error = device_attach(vm, &first[i]);
	return error;
}

void assign_vm_destroy(struct vm *vm)
{
	struct pci_device *first = &pci_devices[first_device[vm->index]];
	bool may_write = false;

	if (!vm->config->device_count)
		return;
	for (u32 i = 0; i < vm->config->device_count; i++) {
		if (!first[i].vm)
			continue;
		device_detach(vm, &first[i]);
		may_write |= first[i].is_broken;
	}
	smmu_destroy_space(vm);
	if (may_write) {
		vm->stage2.is_pinned = true;
		console_printf("%s: its %lu MiB of memory are nobody's any more\n", vm->name,
			       vm->ram_bytes >> 20);
	}
}

/* ---- what dev_pci.c uses ---- */

u32 vmm_pci_count(const struct vm *vm)
{
	return vm->config->device_count;
}

const struct vmm_pci_function *vmm_pci_function(const struct vm *vm, u32 index)
{
	return &pci_devices[first_device[vm->index] + index].function;
}

u32 vmm_pci_read(const struct vm *vm, u32 index, u32 offset)
{
	return pci_read(pci_devices[first_device[vm->index] + index].config, offset);
}

/* When bit 10 changes the guest takes its own line down, or finds it up again. */
void vmm_pci_set_command(struct vm *vm, u32 index, u16 command)
{
	struct pci_device *device = &pci_devices[first_device[vm->index] + index];
	bool line_changes;

	spin_lock(&pci_lock);
	line_changes = (device->command ^ command) & PCI_COMMAND_INTX_DISABLE;
	device->command = command;
	pci_grant(device);
	spin_unlock(&pci_lock);
	if (line_changes && device->intid)
		vgic_resample_spi(vm, device->intid);
}
