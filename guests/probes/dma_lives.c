// SPDX-License-Identifier: MIT
/*
 * A VM that lives again and again: each life finds its devices and its memory as new, begins a request
 * on each disk and ends while both are under way. The last life ends the probe.
 *
 * Nothing in the VM outlives a reset. Two registers of its edu device do, which mean nothing to that:
 * they hold how many lives there were, and how many ended with both disks at work. Whoever packs the
 * probe slows the disks down, from their first request on.
 */
#include "disk.h"
#include "hypercall.h"
#include "pci.h"
#include "probe.h"

#define E1000E_ID 0x10d38086
#define E1000E_RCTL 0x100
#define E1000E_TCTL 0x400
#define E1000E_RDBAL 0x2800
#define E1000E_RDLEN 0x2808
#define E1000E_RDT 0x2818
#define CTL_ENABLE 2

#define ROOM DISK_ROOM
#define BYTES 4096

volatile u64 lives = 3; /* the harness may set it */

static u64 edu;
static u32 wrong;

/* What was written to that register reads inverted, 0: nothing was yet. */
static u32 lives_before(void)
{
	u32 noted = read32(edu + EDU_LIVENESS);

	return noted ? ~noted : 0;
}

static void check(bool is_right, const char *text)
{
	if (!is_right)
		report(false, text, lives_before(), 0);
	wrong += !is_right;
}

static bool is_zero(u64 from, u64 to)
{
	u64 all = 0;

	for (u64 at = from; at < to; at += 8)
		all |= read64(at);
	return all == 0;
}

static u64 open(u32 id)
{
	u32 slot = pci_find(id, 0);
	u64 config = pci_config(slot % PCI_SLOTS, 0);

	if (slot == PCI_SLOTS)
		return 0;
	write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return pci_bar(config, 0);
}

/* A card that may write to memory whenever something comes in. */
static void start_card(u64 room)
{
	u64 bar = open(E1000E_ID);

	check(!((read32(bar + E1000E_RCTL) | read32(bar + E1000E_TCTL)) & CTL_ENABLE),
	      "the card is as new");
	for (u64 i = 0; i < 16; i++)
		write64(room + 16 * i, room + 0x800 + 0x100 * i);
	write32(bar + E1000E_RDBAL, (u32)room);
	write32(bar + E1000E_RDLEN, 256);
	write32(bar + E1000E_RDT, 15);
	write32(bar + E1000E_RCTL, CTL_ENABLE);
	check(read32(bar + E1000E_RCTL) & CTL_ENABLE, "the card receives");
}

void probe(void)
{
	struct disk blk = virtio_blk_find(), nvme = nvme_find();
	u64 room = align_up(free_memory(), MIB(2)), targets = room + 3 * ROOM, under_way;
	u32 life;

	edu = open(EDU_ID);
	life = lives_before();
	under_way = life ? read64(edu + EDU_DMA_SOURCE) : 0;
	check(is_zero(room, memory_end()), "memory is new");
	check(virtio_blk_is_reset(&blk), "virtio-blk is as new");
	check(nvme_is_reset(&nvme), "NVMe is as new");
	check(!(read16(nvme.config + PCI_STATUS) & PCI_STATUS_INTX), "its line is quiet");
	check(virtio_blk_start(&blk, room), "virtio-blk starts");
	check(nvme_start(&nvme, room + ROOM), "NVMe starts");
	start_card(room + 2 * ROOM);
	virtio_blk_read(&blk, 0, targets, BYTES);
	nvme_read(&nvme, 0, targets + BYTES, BYTES);
	check(nvme_has_begun(&nvme), "NVMe has begun");
	under_way += !virtio_blk_is_done(&blk) && !nvme_is_done(&nvme);
	check(is_zero(targets + 2 * BYTES, memory_end()), "nothing else is written to memory");
	write64(edu + EDU_DMA_SOURCE, under_way);
	write32(edu + EDU_LIVENESS, life + 1);
	if (life + 1 < lives && !wrong)
		hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
	report_equal("every life found all as new, so that there was a next", life + 1, lives);
	report_equal("each ended while both disks were at work", under_way, lives);
}
