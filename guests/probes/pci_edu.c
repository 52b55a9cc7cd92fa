// SPDX-License-Identifier: MIT
/*
 * A VM with one edu device: its configuration space shows that device and nothing else, its registers
 * answer where its BAR says, and its interrupt comes, again after each EOI until it is acknowledged.
 */
#include "gic.h"
#include "pci.h"
#include "probe.h"

static u64 config, bar;
static u32 intid, taken, acknowledge_at;

static void walk(void)
{
	u32 present = 0, slot = pci_find(EDU_ID, 0);

	for (u32 at = 0; at < PCI_SLOTS * 8; at++)
		present += read32(pci_config(at / 8, at % 8)) != ~0U;
	report_equal("one function is there", present, 1);
	config = pci_config(slot % PCI_SLOTS, 0);
	intid = pci_intid(slot);
	report(slot < PCI_SLOTS, "an edu device", slot, 2);
	report_equal("two bytes", read16(config + 2), EDU_ID >> 16);
	report_equal("one byte", read8(config + 1), EDU_ID >> 8 & 0xff);
	report_equal("eight bytes are two registers", read64(config),
		     EDU_ID | (u64)read32(config + 4) << 32);
	report_equal("nothing of another slot", read64(pci_config(31, 7)), ~0UL);
	report_equal("no capability: it has MSI alone",
		     read8(config + PCI_CAPABILITY_FIRST) |
			     (read16(config + PCI_STATUS) & PCI_STATUS_CAPABILITIES),
		     0);
	report_equal("nothing where its capability is", read32(config + 0x40), 0);
	report_equal("nothing beyond 256 bytes", read32(config + 0x100), 0);
	report_equal("pin A", read8(config + PCI_INTERRUPT_PIN), 1);
}

static void bars(void)
{
	u32 placed = read32(config + PCI_BAR0);

	report(placed >= 0x10000000 && placed < 0x3eff0000, "its BAR has an address", placed,
	       0x10000000);
	write32(config + PCI_BAR0, ~0U);
	report_equal("it can be sized", read32(config + PCI_BAR0), 0xfff00000);
	write32(config + PCI_BAR0, placed);
	report_equal("and set again", read32(config + PCI_BAR0), placed);
	write32(config + PCI_BAR0, 0x40000000);
	report_equal("it cannot be moved", read32(config + PCI_BAR0), placed);
	write64(config + PCI_BAR0, 0x0800000009000000);
	report_equal("not by eight bytes either", read64(config + PCI_BAR0), placed);
	write8(config + PCI_BAR0 + 3, 0x09);
	report_equal("nor by one", read32(config + PCI_BAR0), placed);
	write32(config + 0x30, 0xfffff800);
	report_equal("no expansion ROM", read32(config + 0x30), 0);
	bar = pci_bar(config, 0);
	write16(config + PCI_COMMAND, 0xffff);
	report_equal("the command register has three bits", read16(config + PCI_COMMAND), 0x406);
	write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
	write8(config + PCI_INTERRUPT_LINE, 0x5a);
	report_equal("the interrupt line is a note", read8(config + PCI_INTERRUPT_LINE), 0x5a);
}

static void registers(void)
{
	u32 value = (u32)random();

	report_equal("its registers answer", read32(bar + EDU_VERSION), 0x010000ed);
	write32(bar + EDU_LIVENESS, value);
	report_equal("and work", read32(bar + EDU_LIVENESS), ~value);
	write16(config + PCI_COMMAND, 0);
	report_equal("not without memory space", read32(bar + EDU_VERSION), ~0U);
	write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
}

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	(void)frame;
	if (iar != intid)
		return;
	taken++;
	if (taken == acknowledge_at)
		write32(bar + EDU_ACKNOWLEDGE, read32(bar + EDU_INTERRUPT_STATUS));
	gic_eoi(iar);
}

static void wait_taken(u32 count)
{
	irq_enable();
	for (unsigned i = 0; i < 2000 && *(volatile u32 *)&taken < count; i++)
		cpu_relax();
	for (unsigned i = 0; i < 200; i++)
		cpu_relax();
	irq_disable();
}

static void interrupts(void)
{
	gic_init();
	irq_handler_set(handler);
	gic_set_edge(intid, false);
	gic_enable(intid);
	acknowledge_at = 1;
	write32(bar + EDU_RAISE, 1);
	report_equal("its interrupt is signalled", irq_wait_signalled(), 1);
	wait_taken(1);
	report_equal("taken once, when it is acknowledged in the handler", taken, 1);
	report_equal("afterwards it is idle", gic_is_pending(intid) << 1 | gic_is_active(intid), 0);
	taken = 0;
	write32(bar + EDU_RAISE, 1);
	wait_taken(1);
	report_equal("and comes again when it is raised again", taken, 1);
	taken = 0;
	acknowledge_at = 5;
	write32(bar + EDU_RAISE, 1);
	wait_taken(5);
	report_equal("taken after each EOI until it is acknowledged", taken, 5);
}

static void masked(void)
{
	write32(bar + EDU_RAISE, 1);
	report_equal("raised: signalled", irq_wait_signalled(), 1);
	report_equal("status shows it", read16(config + PCI_STATUS) & PCI_STATUS_INTX,
		     PCI_STATUS_INTX);
	write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	report_equal("INTx disabled: not signalled", irq_is_signalled(), 0);
	report_equal("status shows it still", read16(config + PCI_STATUS) & PCI_STATUS_INTX,
		     PCI_STATUS_INTX);
	write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
	report_equal("enabled: signalled again", irq_wait_signalled(), 1);
	write32(bar + EDU_ACKNOWLEDGE, 1);
	taken = 0;
	wait_taken(1);
	report(taken <= 1, "acknowledged outside of the handler: at most once more", taken, 1);
	taken = 0;
	wait_taken(0);
	report_equal("then no more", taken, 0);
}

void probe(void)
{
	walk();
	bars();
	registers();
	interrupts();
	masked();
}
