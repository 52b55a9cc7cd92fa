// SPDX-License-Identifier: MIT
/*
 * A storm that ends: each of the VM's edu devices goes where it may not, and asks for an interrupt that
 * nobody makes it take back.
 */
#include "edu.h"
#include "gic.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

#define LIFE 135000000UL /* ticks: longer than bench_work takes beside it */
#define BYTES 4088

static u64 start, taken;

static void end(void)
{
	print("RESULT storm taken=%lu\n", taken);
	probe_finish();
}

/* Never made quiet, the device interrupts again after each completion, and the guest does no more. */
static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	(void)frame;
	gic_eoi(iar);
	taken++;
	if (counter_physical() - start > LIFE)
		end();
}

void probe(void)
{
	start = counter_physical();
	report(true, "it begins", 0, 0);
	for (u32 slot = pci_find(EDU_ID, 0); slot < PCI_SLOTS; slot = pci_find(EDU_ID, slot + 1)) {
		struct edu edu = edu_open(slot);

		edu_start(&edu, EDU_BUFFER, ram_end() + MIB(1), BYTES, EDU_DMA_TO_RAM);
		write32(edu.bar + EDU_RAISE, 1);
	}
	irq_handler_set(handler); /* behind edu_open(), which sets another */
	for (u32 line = 0; line < 4; line++) {
		gic_set_edge(pci_intid(line), false);
		gic_enable(pci_intid(line));
	}
	irq_enable();
	while (counter_physical() - start < LIFE)
		cpu_relax();
	end();
}
