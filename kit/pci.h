/* SPDX-License-Identifier: MIT */
/* Configuration space of the PCI root bus. There is no firmware: nobody has assigned a BAR yet. */
#ifndef STRATA_PCI_H
#define STRATA_PCI_H

#include "lib/types.h"

/* PCI Local Bus 3.0, "Configuration Space Header" */
#define PCI_ID 0x00
#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY (1 << 1)
#define PCI_BAR0 0x10

/**
 * pci_find() - look for a function 0 on bus 0
 *
 * Return: the physical address of its configuration space, an invalid pa (all ones) when the bus
 * has no such device.
 */
pa_t pci_find(u16 vendor, u16 device);

/** pci_read() - the aligned 32-bit register at @offset of a configuration space */
u32 pci_read(pa_t config, u32 offset);

/** pci_write() - write it */
void pci_write(pa_t config, u32 offset, u32 value);

#endif
