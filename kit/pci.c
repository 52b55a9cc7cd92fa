// SPDX-License-Identifier: MIT
/*
 * The root bus through its ECAM window: 32 KiB a device, 4 KiB a function (PCI Express Base
 * Specification, "PCI Express Enhanced Configuration Access Mechanism"). Where no device is, the
 * vendor reads as all ones. EL2 reaches the window of bus 0 with the MMU off and on.
 */
#include "pci.h"

#include "lib/bits.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "platform/qemu_virt.h"
#include "sysreg.h"

#define ECAM_FUNCTION_SHIFT 12
#define CAPABILITIES_MAX 48 /* as many as fit behind the header: a chain that is longer is a loop */

pa_t pci_config(u32 address)
{
	return PA(PLAT_PCI_ECAM_BASE + ((u64)address << ECAM_FUNCTION_SHIFT));
}

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

	for (u32 address = 0; address < PCI_FUNCTION_COUNT; address += 8) {
		if (pci_read(pci_config(address), PCI_ID) == wanted)
			return pci_config(address);
	}
	return PA(PAGE_NONE);
}

u32 pci_capability(pa_t config, u8 id, u32 at)
{
	u32 next = at ? pci_read(config, at) >> 8 : pci_read(config, PCI_CAPABILITY_FIRST);

	if (!(pci_read(config, PCI_COMMAND) & PCI_STATUS_CAPABILITIES))
		return 0;
	for (unsigned i = 0; i < CAPABILITIES_MAX && (next & 0xfc); i++) {
		u32 head = pci_read(config, next & 0xfc);

		if ((head & 0xff) == id)
			return next & 0xfc;
		next = head >> 8;
	}
	return 0;
}

/*
 * Place the BAR at @offset, whose bits that can be written are in @mask. The sum cannot wrap: the
 * window ends below 4 GiB.
 */
static int place(pa_t config, u32 offset, u64 mask, u64 *free)
{
	u64 size = ~mask + 1, base = align_up(*free, size);

	if (size < PAGE_SIZE)
		return -EINVAL;
	if (size > PLAT_PCI_MMIO_SIZE || base + size > PLAT_PCI_MMIO_BASE + PLAT_PCI_MMIO_SIZE)
		return -ENOSPC;
	pci_write(config, offset, (u32)base);
	*free = base + size;
	return 0;
}

/* The bits of the 32-bit register that keep what is written. */
static u32 writable(pa_t config, u32 offset)
{
	u32 value;

	pci_write(config, offset, ~0U);
	value = pci_read(config, offset);
	pci_write(config, offset, 0);
	return value;
}

int pci_place_bars(pa_t config, struct vmm_pci_function *function, u64 *free)
{
	int error = 0;

	for (unsigned i = 0; i < PCI_BAR_COUNT && !error; i++) {
		u32 offset = PCI_BAR0 + 4 * i;
		u32 low = writable(config, offset), high = ~0U;
		bool is_64_bit = (low & (PCI_BAR_IO | PCI_BAR_TYPE_MASK)) == PCI_BAR_64;

		if (!low || low & PCI_BAR_IO)
			continue;
		if (is_64_bit)
			high = writable(config, offset + 4);
		error = place(config, offset, (u64)high << 32 | (low & PCI_BAR_ADDRESS), free);
		function->bar[i] = pci_read(config, offset);
		function->bar_mask[i] = low & PCI_BAR_ADDRESS;
		if (is_64_bit)
			function->bar_mask[++i] = high;
	}
	return error;
}
