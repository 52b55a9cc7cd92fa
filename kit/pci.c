// SPDX-License-Identifier: MIT
/*
 * The root bus through its ECAM window: 32 KiB a device, 4 KiB a function (PCI Express Base
 * Specification, "PCI Express Enhanced Configuration Access Mechanism"). Where no device is, the
 * vendor reads as all ones. EL2 reaches the window of bus 0 with the MMU off and on.
 */
#include "pci.h"

#include "page_alloc.h"
#include "platform/qemu_virt.h"
#include "sysreg.h"

#define PCI_DEVICE_COUNT 32
#define ECAM_DEVICE_STRIDE 0x8000

u32 pci_read(pa_t config, u32 offset)
{
	return mmio_read32(config.pa + offset);
}

void pci_write(pa_t config, u32 offset, u32 value)
{
	mmio_write32(config.pa + offset, value);
}

pa_t pci_find(u16 vendor, u16 device)
{
	u32 wanted = (u32)device << 16 | vendor;

	for (u32 slot = 0; slot < PCI_DEVICE_COUNT; slot++) {
		pa_t config = PA(PLAT_PCI_ECAM_BASE + slot * ECAM_DEVICE_STRIDE);

		if (pci_read(config, PCI_ID) == wanted)
			return config;
	}
	return PA(PAGE_NONE);
}
