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

#include "lib/guest_map.h"
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
 * @page: for a window that is constant memory: what each page of it reads as, aligned to its size.
 *	Loads that no syndrome describes work there, too; @read and @write agree with it
 * @input: bytes from the console wait to be taken with vmm_console_get(); NULL: takes none
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
	void (*input)(struct vm *vm, void *state);
	const void *page;
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
 * Return: 0, or -EFAULT when part of the range is not memory of the VM (nothing is copied then).
 */
int vmm_memory_read(struct vm *vm, ipa_t address, void *to, u64 bytes);

/** vmm_memory_write() - copy @bytes to guest memory; result as vmm_memory_read() */
int vmm_memory_write(struct vm *vm, ipa_t address, const void *from, u64 bytes);

/* ---- For the models of the interrupt controller (layer 3 implements it) ---- */

/* What there is to know of an interrupt, and how many bits a register gives to it. */
enum irq_field {
	IRQ_GROUP, /* 1 bit: Group 1 */
	IRQ_ENABLED, /* 1 */
	IRQ_PENDING, /* 1 */
	IRQ_ACTIVE, /* 1 */
	IRQ_CONFIG, /* 2: bit 1 = edge-triggered */
	IRQ_PRIORITY, /* 8 */
	IRQ_TARGETS, /* 8: GICv2, bit per CPU interface */
	IRQ_SOURCES, /* 8: GICv2 SGIs, bit per requester */
	IRQ_ROUTE, /* 64: GICv3, affinity */
};

enum irq_bank_style {
	BANK_PLAIN, /* a write replaces the fields */
	BANK_SET, /* a write sets the fields that it has ones in */
	BANK_CLEAR, /* ... clears them */
};

/**
 * struct irq_bank - registers that hold one field of every interrupt, INTID 0 first
 * @field: enum irq_field; @style: enum irq_bank_style
 * @base: offset of the first register
 * @first, @end: interrupts below @first and from @end on read as zero and ignore writes
 */
struct irq_bank {
	u8 field;
	u8 style;
	u16 base;
	u16 first;
	u16 end;
};

/**
 * vmm_irq_bank_read() - read @size bytes at @offset of a bank
 * @vcpu: whose SGIs and PPIs INTIDs 0-31 are
 *
 * It may let go of the device lock and take it again: a model keeps nothing over this call.
 */
u64 vmm_irq_bank_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size);

/** vmm_irq_bank_write() - write @size bytes at @offset of a bank */
void vmm_irq_bank_write(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
			u64 value);

/** vmm_irq_send() - the GICv2 SGI @intid (0-15) from @from becomes pending at @to */
void vmm_irq_send(struct vcpu *to, struct vcpu *from, u32 intid);

/** vmm_irq_deactivate() - what @vcpu's write of @intid to GICC_DIR does; any @intid is harmless */
void vmm_irq_deactivate(struct vcpu *vcpu, u32 intid);

/** vmm_irq_groups() - the group enables of GICD_CTLR: bit 0 Group 0, bit 1 Group 1 */
u32 vmm_irq_groups(struct vcpu *vcpu);

/** vmm_irq_set_groups() - replace them; pending interrupts of an enabled group go out at once */
void vmm_irq_set_groups(struct vcpu *vcpu, u32 groups);

/** vmm_vcpu_count() - number of vCPUs */
u32 vmm_vcpu_count(const struct vm *vm);

/** vmm_vcpu() - vCPU @index of the VM that @vcpu belongs to, NULL when there is none */
struct vcpu *vmm_vcpu(struct vcpu *vcpu, u32 index);

/** vmm_vcpu_index() - position of @vcpu in its VM; Aff0 of its MPIDR */
u32 vmm_vcpu_index(const struct vcpu *vcpu);

/** vmm_vm() - the VM of @vcpu */
struct vm *vmm_vm(struct vcpu *vcpu);

#endif
