/* SPDX-License-Identifier: MIT */
/*
 * Inside layer 5: the PCI functions that VMs own.
 *
 * The bundle says which. They are found, checked and given BARs once, at start; from then on the list
 * is constant and each entry belongs to its VM, in all lives of that.
 */
#ifndef STRATA_PCI_DEVICE_H
#define STRATA_PCI_DEVICE_H

#include "lib/types.h"
#include "pci.h"
#include "registry.h"
#include "vmm.h"
#include "vtimer.h"

struct pci_device;

/**
 * struct pci_model - what EL2 knows of a kind of device: how to be sure that it leaves memory alone
 * @offset, @mask, @value: it is of this kind if that register of its configuration space, masked, is so
 * @problem: why this one cannot be assigned, NULL: it can; it answers at its BARs. No function: it can
 * @reset: stop everything that it was told to do; nothing of that reaches memory once this returns
 * @is_busy: for a device that cannot be reset: whether it still does something
 */
struct pci_model {
	const char *name;
	u32 offset, mask, value;
	const char *(*problem)(const struct pci_device *device);
	int (*reset)(const struct pci_device *device);
	bool (*is_busy)(const struct pci_device *device);
};

/**
 * struct pci_device - a function that a VM owns
 * @owner: index of that VM
 * @intid: of its INTx line, physical and virtual, which it shares with others; 0: it has no pin
 * @vm: the VM while it may use the device, else NULL
 * @command: PCI_COMMAND as the guest wants it
 * @is_held: its INTx is masked until the guest has completed the interrupt
 * @is_cut_off: it went where it may not too often: no bus master in this life of its VM
 * @is_settling: it was busy when its last owner left: no bus master until it is idle
 * @is_broken: it did not answer its reset: nobody gets it any more
 * @settle: when to look again
 * @interrupt_count: how often it raised its line
 *
 * pci_lock protects what follows after @intid, and PCI_COMMAND of the hardware.
 */
struct pci_device {
	struct vmm_pci_function function;
	pa_t config;
	const struct pci_model *model;
	u32 owner;
	u32 intid;
	struct vm *vm;
	u16 command;
	bool is_held;
	bool is_cut_off;
	bool is_settling;
	bool is_broken;
	struct deadline settle;
	u64 interrupt_count;
};

#define PCI_DEVICE_MAX 64

extern struct pci_device pci_devices[PCI_DEVICE_MAX];
extern u32 pci_device_count;
extern struct spinlock pci_lock;

#define for_each_pci_device(device)                                                                \
	for (struct pci_device *device = pci_devices, *device##_end = device + pci_device_count;   \
	     device < device##_end; device++)

/** pci_register() - physical address of the register at @offset of BAR @bar, which is placed */
static inline u64 pci_register(const struct pci_device *device, unsigned bar, u64 offset)
{
	return (device->function.bar[bar] & PCI_BAR_ADDRESS) + offset;
}

/** pci_model_of() - the model of a function, NULL when it is of none that is known */
const struct pci_model *pci_model_of(pa_t config);

/** pci_grant() - write PCI_COMMAND: what the guest wants of it and may have; pci_lock is held */
void pci_grant(struct pci_device *device);

/** assign_init() - find and check the devices that the bundle names; what is wrong is a config_error() */
int assign_init(void);

/** assign_vm_create() - let @vm use its devices; 0 or a negative errno */
int assign_vm_create(struct vm *vm);

/** assign_vm_destroy() - take them back; also of a VM that got only some of them */
void assign_vm_destroy(struct vm *vm);

/** intx_interrupt() - handler of the four lines */
enum irq_result intx_interrupt(struct cpu *cpu, u32 intid);

/** intx_resample() - the level of line @intid in @vm now: head of irq_demux.c; vgic.lock is held */
bool intx_resample(struct vm *vm, u32 intid);

#endif
