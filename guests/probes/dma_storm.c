// SPDX-License-Identifier: MIT
/*
 * All of the VM's edu devices at once write where they may not: more refused accesses than the SMMU
 * has room to tell of. What it does not tell of is charged to nobody, so it takes some storms until
 * the last device is cut off. To be packed with a neighbour.
 */
#include "edu.h"
#include "pci.h"
#include "probe.h"

#define DEVICES_MAX 16
#define BYTES 4088

static struct edu edus[DEVICES_MAX];

static u64 count_nonzero(u64 from, u64 bytes)
{
	u64 nonzero = 0;

	for (u64 at = from; at < from + bytes; at += 8)
		nonzero += read64(at) != 0;
	return nonzero;
}

static u32 open_all(void)
{
	u32 count = 0;

	for (u32 slot = pci_find(EDU_ID, 0); slot < PCI_SLOTS; slot = pci_find(EDU_ID, slot + 1))
		edus[count++] = edu_open(slot);
	return count;
}

static void transfer(u32 count, u64 source, u64 destination, u64 flags)
{
	for (u32 i = 0; i < count; i++)
		edu_start(&edus[i], source, destination, BYTES, flags);
	for (u32 i = 0; i < count; i++)
		edu_wait(&edus[i]);
}

void probe(void)
{
	u64 source = free_memory(), target = align_up(source, MIB(2));
	u32 count = open_all();

	report(count > 0, "the VM has devices", count, 1);
	for (u64 i = 0; i < BYTES; i += 8)
		write64(source + i, random() | 1);
	transfer(count, source, EDU_BUFFER, 0);
	transfer(count, EDU_BUFFER, target, EDU_DMA_TO_RAM);
	report_equal("they reach RAM", count_nonzero(target, BYTES), BYTES / 8);
	for (u32 i = 0; i < count; i++)
		transfer(count, EDU_BUFFER, ram_end() + MIB(1), EDU_DMA_TO_RAM);
	for (u64 i = 0; i < BYTES; i += 8)
		write64(target + i, 0);
	transfer(count, EDU_BUFFER, target, EDU_DMA_TO_RAM);
	report_equal("and after as many storms as there are devices nothing",
		     count_nonzero(target, BYTES), 0);
}
