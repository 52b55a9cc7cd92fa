// SPDX-License-Identifier: MIT
/*
 * A VM resets itself while its device asks for an interrupt. In its next life the line is quiet, also
 * when the device is enabled, until the device asks again.
 */
#include "gic.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

#define MARK_US 10000

static u64 config, bar;
static u32 intid;

static void open_device(void)
{
	u32 slot = pci_find(EDU_ID, 0);

	config = pci_config(slot % PCI_SLOTS, 0);
	bar = pci_bar(config, 0);
	intid = pci_intid(slot);
	gic_init();
	gic_enable(intid);
	write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
}

static void first_life(void)
{
	open_device();
	write32(bar + EDU_RAISE, 1);
	irq_wait_signalled();
	while (counter_physical() < ticks_from_us(MARK_US))
		spin_burst();
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}

static void second_life(void)
{
	u32 slot = pci_find(EDU_ID, 0);

	report_equal("the command register is empty",
		     read16(pci_config(slot % PCI_SLOTS, 0) + PCI_COMMAND), 0);
	open_device();
	report_equal("the device asks for nothing", read32(bar + EDU_INTERRUPT_STATUS), 0);
	report_equal("no interrupt is left over", irq_wait_signalled(), 0);
	report_equal("none is pending", gic_is_pending(intid), 0);
	write32(bar + EDU_RAISE, 1);
	report_equal("a new one is signalled", irq_wait_signalled(), 1);
}

void probe(void)
{
	if (counter_physical() < ticks_from_us(MARK_US))
		first_life();
	else
		second_life();
}
