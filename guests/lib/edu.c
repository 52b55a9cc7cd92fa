// SPDX-License-Identifier: MIT
#include "edu.h"

#include "gic.h"
#include "pci.h"
#include "timer.h"

#define TRANSFER_US 101000

struct edu edu_open(u32 slot)
{
	struct edu edu = {0};

	slot = pci_find(EDU_ID, slot);
	if (slot == PCI_SLOTS)
		return edu;
	gic_init();
	gic_enable(INTID_VTIMER);
	edu.config = pci_config(slot, 0);
	edu.bar = pci_bar(edu.config, 0);
	write16(edu.config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return edu;
}

void edu_start(const struct edu *edu, u64 source, u64 destination, u64 bytes, u64 flags)
{
	write64(edu->bar + EDU_DMA_SOURCE, source);
	write64(edu->bar + EDU_DMA_DESTINATION, destination);
	write64(edu->bar + EDU_DMA_COUNT, bytes);
	dsb();
	write64(edu->bar + EDU_DMA_COMMAND, flags | EDU_DMA_START);
}

void edu_sleep_until(u64 count)
{
	u32 iar;

	timer_set_cval(TIMER_VIRTUAL, count);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	while (!(timer_ctl(TIMER_VIRTUAL) & TIMER_ISTATUS))
		asm volatile("wfi" ::: "memory");
	iar = gic_ack(); /* left pending it would end the next WFI at once */
	timer_set_ctl(TIMER_VIRTUAL, 0);
	gic_eoi(iar);
}

/* Not by looking again and again: at one instruction a nanosecond that is a hundred million looks. */
void edu_wait(const struct edu *edu)
{
	while (read64(edu->bar + EDU_DMA_COMMAND) & EDU_DMA_START)
		edu_sleep_until(counter() + ticks_from_us(TRANSFER_US));
	dsb();
}

void edu_read(const struct edu *edu, u64 address, u64 bytes)
{
	edu_start(edu, address, EDU_BUFFER, bytes, 0);
	edu_wait(edu);
}

void edu_write(const struct edu *edu, u64 address, u64 bytes)
{
	edu_start(edu, EDU_BUFFER, address, bytes, EDU_DMA_TO_RAM);
	edu_wait(edu);
}
