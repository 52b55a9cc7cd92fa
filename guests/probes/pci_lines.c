// SPDX-License-Identifier: MIT
/*
 * Devices that share interrupt lines, with each other and with another VM's. Each interrupt that one
 * of them raises is taken here, once, and none of the others' is.
 */
#include "gic.h"
#include "pci.h"
#include "probe.h"

#ifndef ROUNDS
#define ROUNDS 1000
#endif
#define DEVICES_MAX 16

static struct device {
	u64 bar;
	u32 intid;
	u32 raised; /* what its interrupt status is to be; 0: nothing is expected */
	u32 taken;
} devices[DEVICES_MAX];
static u32 device_count, in_vain, wrong, expected, taken;

static void open_devices(void)
{
	for (u32 slot = 0; slot < PCI_SLOTS && device_count < DEVICES_MAX; slot++) {
		u64 config = pci_config(slot, 0);

		if (read32(config + PCI_ID) != EDU_ID)
			continue;
		devices[device_count++] =
			(struct device){.bar = pci_bar(config, 0), .intid = pci_intid(slot)};
		write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
		gic_set_edge(pci_intid(slot), false);
		gic_enable(pci_intid(slot));
	}
}

/* As drivers on a shared line do: each looks whether it was its device. */
static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack(), found = 0;

	(void)frame;
	if (iar == INTID_SPURIOUS)
		return;
	for (struct device *device = devices; device < devices + device_count; device++) {
		u32 status = device->intid == iar ? read32(device->bar + EDU_INTERRUPT_STATUS) : 0;

		if (!status)
			continue;
		found++;
		taken++;
		device->taken++;
		wrong += status != device->raised;
		device->raised = 0;
		write32(device->bar + EDU_ACKNOWLEDGE, status);
	}
	in_vain += !found;
	gic_eoi(iar);
}

/* Two that share a line, or not, one after the other: the second often while the first is handled. */
static void raise(void)
{
	for (u32 i = 0; i < 2; i++) {
		struct device *device = &devices[random() % device_count];

		if (*(volatile u32 *)&device->raised)
			continue;
		device->raised = (u32)random() | 1;
		expected++;
		write32(device->bar + EDU_RAISE, device->raised);
	}
	for (u32 i = 0; i < 100000 && *(volatile u32 *)&taken < expected; i++)
		cpu_relax();
}

void probe(void)
{
	u32 silent = 0;

	gic_init();
	irq_handler_set(handler);
	open_devices();
	report(device_count > 1, "there are devices", device_count, 2);
	irq_enable();
	for (u32 i = 0; i < ROUNDS && taken == expected; i++)
		raise();
	irq_disable();
	print("RESULT lines devices=%u taken=%u\n", device_count, taken);
	for (u32 i = 0; i < device_count; i++)
		silent += !devices[i].taken;
	report_equal("every interrupt that was raised is taken", taken, expected);
	report_equal("from the device that raised it", wrong, 0);
	report_equal("each of them did", silent, 0);
	report_equal("no interrupt comes that nobody here has raised", in_vain, 0);
}
