// SPDX-License-Identifier: MIT
#include "disk.h"
#include "pci.h"

#define NVME_ID 0x00101b36

#define CC 0x14
#define CC_EN 1
#define CC_ENTRY_SIZES (6 << 16 | 4 << 20) /* 64 and 16 bytes */
#define CSTS 0x1c
#define CSTS_RDY 1
#define AQA 0x24
#define ASQ 0x28
#define ACQ 0x30
#define DOORBELL 0x1000 /* two of each queue: tail of submissions, head of completions */

#define ENTRIES 16
/* In the room: admin queues, I/O queues */
#define SUBMISSIONS(queue) (0x2000 * (queue))
#define COMPLETIONS(queue) (0x2000 * (queue) + 0x1000)

#define CREATE_SQ 0x01
#define CREATE_CQ 0x05
#define GET_FEATURES 0x0a
#define FEATURE_QUEUES 7
#define READ 0x02
#define LOOKS 1000000

struct disk nvme_find(void)
{
	u32 slot = pci_find(NVME_ID, 0);
	struct disk disk = {0};

	if (slot == PCI_SLOTS)
		return disk;
	disk.config = pci_config(slot, 0);
	disk.registers = pci_bar(disk.config, 0);
	write16(disk.config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return disk;
}

bool nvme_is_reset(const struct disk *disk)
{
	return !(read32(disk->registers + CC) & CC_EN) &&
	       !(read32(disk->registers + CSTS) & CSTS_RDY);
}

/* Command number @number (from 0) of a queue, which has not more than one at a time. */
static void submit(struct disk *disk, u32 queue, u32 number, u32 opcode, u64 address,
		   const u32 words[3])
{
	u64 at = disk->room + SUBMISSIONS(queue) + 64 * (number % ENTRIES);

	write32(at, opcode | number << 16);
	write32(at + 4, queue); /* the only namespace, of a command that has one */
	write64(at + 24, address);
	write64(at + 32, 0);
	for (u32 i = 0; i < 3; i++)
		write32(at + 40 + 4 * i, words[i]);
	dsb();
	write32(disk->registers + DOORBELL + 8 * queue, (number + 1) % ENTRIES);
}

/* The phase bit is inverted with each round. */
static bool is_there(const struct disk *disk, u32 queue, u32 number)
{
	u64 at = disk->room + COMPLETIONS(queue) + 16 * (number % ENTRIES);
	bool is_odd = number / ENTRIES % 2;

	return (read32(at + 12) >> 16 & 1) != is_odd;
}

static void acknowledge(const struct disk *disk, u32 queue, u32 number)
{
	dsb();
	write32(disk->registers + DOORBELL + 8 * queue + 4, (number + 1) % ENTRIES);
}

static bool admin(struct disk *disk, u32 number, u32 opcode, u64 address, u32 first, u32 second)
{
	const u32 words[3] = {first, second, 0};

	submit(disk, 0, number, opcode, address, words);
	for (u32 i = 0; i < LOOKS && !is_there(disk, 0, number); i++)
		cpu_relax();
	return is_there(disk, 0, number) &&
	       !(read32(disk->room + COMPLETIONS(0) + 16 * number + 12) >> 17);
}

/* The second admin command is not acknowledged: its interrupt stays up. */
bool nvme_start(struct disk *disk, u64 room)
{
	u64 at = disk->registers;
	bool works;

	disk->room = room;
	disk->submitted = disk->completed = 0;
	for (u64 i = 0; i < DISK_ROOM; i += 8)
		write64(room + i, 0);
	write32(at + AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	write64(at + ASQ, room + SUBMISSIONS(0));
	write64(at + ACQ, room + COMPLETIONS(0));
	write32(at + CC, CC_EN | CC_ENTRY_SIZES);
	for (u32 i = 0; i < LOOKS && !(read32(at + CSTS) & CSTS_RDY); i++)
		cpu_relax();
	works = admin(disk, 0, CREATE_CQ, room + COMPLETIONS(1), (ENTRIES - 1) << 16 | 1, 3);
	acknowledge(disk, 0, 0);
	works &= !(read16(disk->config + PCI_STATUS) & PCI_STATUS_INTX);
	return admin(disk, 1, CREATE_SQ, room + SUBMISSIONS(1), (ENTRIES - 1) << 16 | 1,
		     1 << 16 | 1) &&
	       works;
}

void nvme_read(struct disk *disk, u64 sector, u64 address, u32 bytes)
{
	const u32 words[3] = {(u32)sector, 0, bytes / DISK_SECTOR - 1};

	submit(disk, 1, disk->submitted++, READ, address, words);
}

/* The controller looks at its doorbells later: what it is asked afterwards it has answered by then. */
bool nvme_has_begun(struct disk *disk)
{
	return admin(disk, 2, GET_FEATURES, 0, FEATURE_QUEUES, 0);
}

bool nvme_is_done(struct disk *disk)
{
	if (disk->completed < disk->submitted && is_there(disk, 1, disk->completed)) {
		acknowledge(disk, 1, disk->completed);
		disk->completed++;
	}
	return disk->completed == disk->submitted;
}
