// SPDX-License-Identifier: MIT
/*
 * Random stores of every width to configuration space and to the device's registers. Afterwards the
 * device is still there, where it was, and works.
 */
#include "gic.h"
#include "pci.h"
#include "probe.h"

#ifndef ROUNDS
#define ROUNDS 5000
#endif

static void store(u64 address, u64 size_log2, u64 value)
{
	switch (size_log2) {
	case 0:
		write8(address, (u8)value);
		break;
	case 1:
		write16(address, (u16)value);
		break;
	case 2:
		write32(address, (u32)value);
		break;
	default:
		write64(address, value);
	}
}

static u64 random_place(u64 config)
{
	switch (random() % 4) {
	case 0:
		return PCI_ECAM + (random() & 0xfffff);
	case 1:
		return config + (random() & 0xfff);
	default:
		return config + (random() & 0x3f);
	}
}

void probe(void)
{
	u64 config = pci_config(pci_find(EDU_ID, 0), 0), bar = pci_bar(config, 0);
	u32 value = (u32)random(), lost = 0;

	gic_init();
	for (u32 i = 0; i < ROUNDS; i++) {
		u64 size_log2 = random() % 4, size = BIT(size_log2);
		u64 address = align_down(random_place(config), size);

		store(address, size_log2, random() % 4 ? random() : ~0UL);
		lost += read32(config + PCI_ID) != EDU_ID;
		if (random() % 8 == 0)
			write32(bar + (random() % 2 ? EDU_RAISE : EDU_ACKNOWLEDGE), (u32)random());
	}
	report_equal("the device keeps its place", lost, 0);
	write32(config + PCI_BAR0, (u32)bar);
	report_equal("its BAR is where it was", pci_bar(config, 0), bar);
	write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
	write32(bar + EDU_LIVENESS, value);
	report_equal("its registers work", read32(bar + EDU_LIVENESS), ~value);
	write32(bar + EDU_ACKNOWLEDGE, ~0U);
	gic_enable(pci_intid(pci_find(EDU_ID, 0)));
	write32(bar + EDU_RAISE, 1);
	report_equal("its interrupt comes", irq_wait_signalled(), 1);
}
