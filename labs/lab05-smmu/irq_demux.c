// SPDX-License-Identifier: MIT
/*
 * Four interrupt lines for all PCI devices: whose interrupt is it?
 *
 * A line is up while any device on it wants something; the interrupt controller knows no more. So EL2
 * asks each device on the line (status bit 3). The owner of one that says yes gets the line of the
 * same number in its own interrupt controller raised, and only its drivers can make the device quiet
 * again. Until they have, the device would keep the physical line up and EL2 busy, and its neighbours
 * on the line from being heard. The line cannot be masked for the same reason. The device can: bit 10
 * of its command register takes its INTx off the line and leaves its status bit as it is.
 *
 *	line up		ask; hold (bit 10) those that say yes; raise the owners' lines
 *	guest's EOI	ask the guest's devices again: the level of its line is up while one says
 *			yes. Those that say no are let go
 *
 * So a device that is never made quiet costs its owner an interrupt after each of his EOIs, and
 * nobody else anything. The guest's own bit 10 comes on top: held or not, a device whose guest
 * disabled INTx does not count.
 *
 * The vGIC asks with its lock held: pci_lock nests inside vgic.lock, and is not held where a line is
 * raised. A line falls by a resample alone, so that none is lost between asking and telling.
 * Manual: PCI Local Bus 3.0, "Device Control" (Interrupt Disable), "Device Status" (Interrupt Status).
 */
#include "el2_boot.h"
#include "exercise.h"
#include "lib/bits.h"
#include "pci_device.h"

_Static_assert(VM_MAX <= 64, "a set of VMs is a word");

/**
 * Exercise 5.6: intx_sample() - whether @device asks for an interrupt; pci_lock is held
 *
 * It does if PCI_STATUS_INTX is set in the hardware's status, beside PCI_COMMAND, unless its guest has
 * disabled INTx in device->command. One that asks is held (device->is_held), one that does not is let
 * go; pci_grant() if that changes something.
 */
EXERCISE(5.6)
static bool intx_sample(struct pci_device *device)
{
	TODO(5.6);
}

/**
 * Exercise 5.6: intx_interrupt() - line @intid is up
 *
 * Ask each device on it that a VM uses and that is not held: one that is held is not the reason. Count
 * in interrupt_count who says yes. Then, without pci_lock, raise line @intid of each of their VMs by
 * vgic_set_line(). Always IRQ_HANDLED: the line has fallen.
 */
EXERCISE(5.6)
enum irq_result intx_interrupt(struct cpu *cpu, u32 intid)
{
	TODO(5.6);
}

/**
 * Exercise 5.6: intx_resample() - the level of line @intid as @vm is to see it: up while one of its
 * devices on it asks
 *
 * Each of them is asked, held or not: those that have become quiet are let go. Under pci_lock.
 */
EXERCISE(5.6)
bool intx_resample(struct vm *vm, u32 intid)
{
	NOT_YET(5.6);
	return false; /* no line was raised yet */
}
