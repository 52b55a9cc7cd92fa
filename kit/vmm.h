/* SPDX-License-Identifier: MIT */
/*
 * What a device model may use: guest memory, its interrupt line, its own state. Files named
 * dev_*.c include this header and kit/lib, nothing else, and so could run unprivileged.
 *
 * A device is a window of guest-physical addresses with a read and a write function. Accesses
 * arrive already decoded, naturally aligned, 1, 2, 4 or 8 bytes wide, inside the window, and with
 * the VM's device lock held: two vCPUs never run one model at the same time.
 */
#ifndef STRATA_VMM_H
#define STRATA_VMM_H

#include "lib/types.h"

struct vm;
struct vcpu;

#define DEVICE_MAX 8

/**
 * struct device - a device model
 * @base, @size_bytes: its window; the size may depend on the VM through @window_bytes
 * @state_bytes: memory for the VM's instance, zeroed at creation (at most 2 MiB)
 * @gic_version: only on a machine with this GIC (2 or 3); 0 = always
 * @window_bytes: size of the window in this VM, NULL = @size_bytes
 * @reset: bring the instance to its state after power-on
 * @read: value of a load of @size bytes at @offset
 * @write: a store
 * @receive: a byte from the console for this VM, or NULL
 */
struct device {
	const char *name;
	u64 base;
	u64 size_bytes;
	u64 state_bytes;
	u32 gic_version;
	u64 (*window_bytes)(struct vm *vm);
	void (*reset)(struct vm *vm, void *state);
	u64 (*read)(struct vcpu *vcpu, void *state, u64 offset, unsigned size);
	void (*write)(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value);
	void (*receive)(struct vm *vm, void *state, u8 byte);
};

/** DEVICE() - add a device model to every VM: DEVICE(pl011, .base = ..., .read = ...) */
#define DEVICE(device_name, ...)                                                                   \
	static const struct device device_##device_name                                            \
		__attribute__((section(".registry.device"), used)) = {.name = #device_name,        \
								      __VA_ARGS__}

extern const struct device registry_devices[], registry_devices_end[];

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
 * vmm_memory_read() - copy @bytes from guest memory at @address
 *
 * Return: 0, or -EFAULT when part of the range is not memory of the VM (nothing is copied then).
 */
int vmm_memory_read(struct vm *vm, ipa_t address, void *to, u64 bytes);

/** vmm_memory_write() - copy @bytes to guest memory; result as vmm_memory_read() */
int vmm_memory_write(struct vm *vm, ipa_t address, const void *from, u64 bytes);

#endif
