/* SPDX-License-Identifier: MIT */
/* PCI as a VM that owns a device finds it, and QEMU's edu device (its registers: docs/specs/edu). */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include "cpu.h"

#define PCI_ECAM 0x4010000000UL
#define PCI_SLOTS 32
#define PCI_ID 0x00
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06
#define PCI_BAR0 0x10
#define PCI_CAPABILITY_FIRST 0x34
#define PCI_INTERRUPT_LINE 0x3c
#define PCI_INTERRUPT_PIN 0x3d
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_MASTER 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS_INTX 0x0008
#define PCI_STATUS_CAPABILITIES 0x0010

#define EDU_ID 0x11e81234
#define EDU_VERSION 0x00
#define EDU_LIVENESS 0x04
#define EDU_INTERRUPT_STATUS 0x24
#define EDU_RAISE 0x60
#define EDU_ACKNOWLEDGE 0x64
#define EDU_DMA_SOURCE 0x80
#define EDU_DMA_DESTINATION 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_START 1
#define EDU_DMA_TO_RAM 2
#define EDU_DMA_INTERRUPT 4
#define EDU_BUFFER 0x40000

/** pci_config() - configuration space of a function of bus 0 */
static inline u64 pci_config(u32 slot, u32 function)
{
	return PCI_ECAM + slot * 0x8000UL + function * 0x1000UL;
}

/** pci_find() - slot of the first function 0 with this ID from @slot on, PCI_SLOTS if there is none */
static inline u32 pci_find(u32 id, u32 slot)
{
	while (slot < PCI_SLOTS && read32(pci_config(slot, 0) + PCI_ID) != id)
		slot++;
	return slot;
}

/** pci_intid() - of pin A of a slot */
static inline u32 pci_intid(u32 slot)
{
	return 35 + slot % 4;
}

/** pci_bar() - address in a 32-bit base address register */
static inline u64 pci_bar(u64 config, u32 bar)
{
	return read32(config + PCI_BAR0 + 4 * bar) & ~15U;
}

#endif
