// SPDX-License-Identifier: MIT
/*
 * A guest whose NVMe controller asks for an interrupt that nobody can take back any more: QEMU's keeps
 * its line up when it is disabled before a completion is acknowledged, and counts how often that was. The
 * guest leaves the controller enabled and resets itself, again and again. Its result is complete before
 * that. To be packed with a neighbour.
 */
#include "disk.h"
#include "hypercall.h"
#include "pci.h"
#include "probe.h"

#define NVME_CC 0x14
#define TIMES 8

void probe(void)
{
	struct disk nvme = nvme_find();
	u64 room = align_up(free_memory(), MIB(2));

	report(nvme_start(&nvme, room), "about to be reset for ever", 0, 0);
	for (u64 i = 1; i <= TIMES; i++) {
		write32(nvme.registers + NVME_CC, 0);
		nvme_start(&nvme, room + i * DISK_ROOM);
	}
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}
