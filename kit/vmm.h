/* SPDX-License-Identifier: MIT */
/*
 * What a device model may use: guest memory, its interrupt line, its own state. Files named dev_*.c
 * include this header (an interrupt controller: vmm_irq.h) and kit/lib, nothing else, and so could
 * run unprivileged.
 *
 * A device answers in an MMIO region, a range of guest-physical addresses, with a read and a write
 * function. Accesses arrive already decoded, naturally aligned, 1, 2, 4 or 8 bytes wide, inside the
 * region, and with the VM's device lock held: two vCPUs never run one model at the same time.
 */
#ifndef STRATA_VMM_H
#define STRATA_VMM_H

#include "lib/guest_map.h"
#include "lib/types.h"

struct vm;
struct vcpu;

#define DEVICE_MAX 8

/**
 * struct device - a device model: device_NAME, with this name
 * @base, @size_bytes: its MMIO region, whole pages
 * @state_bytes: memory for the VM's instance, zeroed at creation (at most 2 MiB)
 * @gic_version: the model exists only on a machine with this GIC (2 or 3); 0: always
 * @region_bytes: size of the region in this VM, 0: it has no such device; NULL: @size_bytes
 * @reset: bring the instance to its state after power-on
 * @read: value of a load of @size bytes at @offset
 * @write: a store
 * @page: for a region that is constant memory: the contents of each page, aligned to its size.
 *	Loads that no syndrome describes work there, too; @read and @write agree with it
 * @input: bytes from the console wait to be taken with vmm_console_get(); NULL: takes none
 */
struct device {
	const char *name;
	u64 base;
	u64 size_bytes;
	u64 state_bytes;
	u32 gic_version;
	u64 (*region_bytes)(struct vm *vm);
	void (*reset)(struct vm *vm, void *state);
	u64 (*read)(struct vcpu *vcpu, void *state, u64 offset, unsigned size);
	void (*write)(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value);
	void (*input)(struct vm *vm, void *state);
	const void *page;
};

/** DEVICE() - every VM gets an instance of device_@device_name, which its dev_*.c defines */
#define DEVICE(device_name)                                                                        \
	extern const struct device device_##device_name;                                           \
	static const struct device *const device_entry_##device_name                               \
		__attribute__((section(".registry.device"), used)) = &device_##device_name

extern const struct device *const registry_devices[], *const registry_devices_end[];

/**
 * vmm_irq_line() - set the level of an interrupt line into the VM's interrupt controller
 *
 * Callable with the device lock held. Without a layer that has an interrupt controller it has no
 * effect.
 */
void vmm_irq_line(struct vm *vm, u32 intid, bool level);

/** vmm_console_put() - a byte that the guest wrote to its serial port */
void vmm_console_put(struct vm *vm, u8 byte);

/**
 * vmm_console_get() - take the next byte that was typed for the VM
 *
 * A model takes what it has room for, when @input tells it and whenever it gets room later. What
 * is not taken waits.
 *
 * Return: the byte, or -1 when nothing waits.
 */
int vmm_console_get(struct vm *vm);

/**
 * vmm_memory_read() - copy @bytes from guest memory at @address
 *
 * The VM's device_lock is held, as it is for a model: otherwise another vCPU might give the memory
 * back meanwhile.
 *
 * Return: 0, or -EFAULT when part of the range is not memory of the VM (nothing is copied then).
 */
int vmm_memory_read(struct vm *vm, ipa_t address, void *to, u64 bytes);

/** vmm_memory_write() - copy @bytes to guest memory; result as vmm_memory_read() */
int vmm_memory_write(struct vm *vm, ipa_t address, const void *from, u64 bytes);

/* ---- For the model of PCI configuration space (layer 5 implements it) ---- */

#define PCI_BAR_COUNT 6
#define VMM_PCI_MAX 16 /* functions that one VM can own */

/**
 * struct vmm_pci_function - a PCI function that a VM owns; constant while the VM runs
 * @address: on bus 0: device << 3 | function
 * @bar: its base address registers as EL2 has written them, 64-bit ones in two; 0: not implemented
 * @bar_mask: the address bits of each that could be written
 */
struct vmm_pci_function {
	u16 address;
	u32 bar[PCI_BAR_COUNT];
	u32 bar_mask[PCI_BAR_COUNT];
};

/** vmm_pci_count() - how many the VM owns; also before its devices are set up */
u32 vmm_pci_count(const struct vm *vm);

/** vmm_pci_function() - number @index of them, below vmm_pci_count() */
const struct vmm_pci_function *vmm_pci_function(const struct vm *vm, u32 index);

/** vmm_pci_read() - the aligned 32-bit register at @offset (below 256) of its configuration space */
u32 vmm_pci_read(const struct vm *vm, u32 index, u32 offset);

/**
 * vmm_pci_set_command() - the guest wants this command register
 *
 * EL2 grants of it what it allows: a device that may not, or not yet, be a bus master is none.
 */
void vmm_pci_set_command(struct vm *vm, u32 index, u16 command);

#endif
