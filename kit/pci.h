/* SPDX-License-Identifier: MIT */
/*
 * Configuration space of the PCI root bus. There is no firmware: nobody has assigned a BAR yet, and
 * the buses behind bridges have no numbers.
 */
#ifndef STRATA_PCI_H
#define STRATA_PCI_H

#include "lib/types.h"
#include "vmm.h"

/* PCI Local Bus 3.0, "Configuration Space Header": 32-bit registers, and fields of them */
#define PCI_ID 0x00
#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY (1U << 1)
#define PCI_COMMAND_MASTER (1U << 2)
#define PCI_COMMAND_INTX_DISABLE (1U << 10)
#define PCI_STATUS_INTX (1U << 19)
#define PCI_STATUS_CAPABILITIES (1U << 20)
#define PCI_CLASS 0x08
#define PCI_CLASS_BASE_SHIFT 24
#define PCI_CLASS_BRIDGE 0x06
#define PCI_HEADER 0x0c
#define PCI_HEADER_TYPE(header) ((header) >> 16 & 0x7f)
#define PCI_BAR0 0x10
#define PCI_BAR_IO (1U << 0)
#define PCI_BAR_TYPE_MASK 6U
#define PCI_BAR_64 4U
#define PCI_BAR_ADDRESS (~15U)
#define PCI_CAPABILITY_FIRST 0x34
#define PCI_INTERRUPT 0x3c
#define PCI_INTERRUPT_PIN(interrupt) ((interrupt) >> 8 & 0xff)

#define PCI_CAPABILITY_VENDOR 0x09

#define PCI_FUNCTION_COUNT 256 /* of a bus */
#define PCI_NO_DEVICE (~0U) /* what PCI_ID reads as then */

/** pci_config() - configuration space of a function of bus 0: @address is device << 3 | function */
pa_t pci_config(u32 address);

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

/**
 * pci_capability() - look for a capability
 * @at: where the last one was found, 0 to begin
 *
 * Return: its offset, or 0: there is none behind @at.
 */
u32 pci_capability(pa_t config, u8 id, u32 at);

/**
 * pci_place_bars() - give the memory BARs of a function addresses
 * @function: its bar and bar_mask are filled in
 * @free: physical address from which on the window for BARs is free; moved on
 *
 * A 64-bit BAR goes into the 32-bit window, too. I/O BARs get no address: nobody may use them.
 *
 * Return: 0; -EINVAL for a BAR that shares its page with something else; -ENOSPC.
 */
int pci_place_bars(pa_t config, struct vmm_pci_function *function, u64 *free);

#endif
