// SPDX-License-Identifier: MIT
/*
 * A device that asks for ever, and a handler that completes each interrupt and never makes the device
 * quiet. It says that it is about to begin, and once more when the first interrupt has come.
 */
#include "gic.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

static void on_interrupt(struct exception_frame *frame)
{
	irq_log_handler(frame);
	if (irq_log.count == 1)
		report(true, "is being flooded", 0, 0);
}

void probe(void)
{
	for (u32 slot = pci_find(EDU_ID, 0); slot < PCI_SLOTS; slot = pci_find(EDU_ID, slot + 1)) {
		u64 config = pci_config(slot, 0);

		gic_init();
		write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
		write32(pci_bar(config, 0) + EDU_RAISE, ~0U);
	}
	for (u32 line = 0; line < 4; line++)
		gic_enable(pci_intid(line));
	irq_handler_set(on_interrupt);
	report(true, "about to be flooded", 0, 0);
	irq_enable();
	for (;;)
		spin_burst();
}
