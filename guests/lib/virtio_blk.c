// SPDX-License-Identifier: MIT
#include "disk.h"
#include "pci.h"

#define VIRTIO_BLK_ID 0x10421af4
#define CAPABILITY_VENDOR 9
#define TYPE_COMMON 1
#define TYPE_NOTIFY 2

/* Common configuration structure */
#define DRIVER_FEATURE_SELECT 0x08
#define DRIVER_FEATURE 0x0c
#define DEVICE_STATUS 0x14
#define QUEUE_SELECT 0x16
#define QUEUE_SIZE 0x18
#define QUEUE_ENABLE 0x1c
#define QUEUE_DESC 0x20
#define QUEUE_DRIVER 0x28
#define QUEUE_DEVICE 0x30
#define STATUS_DRIVER 3
#define STATUS_FEATURES_OK 8
#define STATUS_DRIVER_OK 4
#define FEATURES_HIGH 3 /* VERSION_1, ACCESS_PLATFORM */

#define ENTRIES 16
/* In the room: descriptors, rings, header and status of the request */
#define AVAILABLE 0x100
#define USED 0x200
#define HEADER 0x400
#define STATUS 0x480
#define DESC_NEXT 1
#define DESC_WRITE 2

/* Where a structure of this type is; @at: of its capability */
static u64 structure(u64 config, u32 type, u64 *at)
{
	for (u32 next = read8(config + PCI_CAPABILITY_FIRST); next;
	     next = read8(config + next + 1)) {
		if (read8(config + next) != CAPABILITY_VENDOR || read8(config + next + 3) != type)
			continue;
		*at = config + next;
		return pci_bar(config, read8(config + next + 4)) + read32(config + next + 8);
	}
	return 0;
}

struct disk virtio_blk_find(void)
{
	u32 slot = pci_find(VIRTIO_BLK_ID, 0);
	struct disk disk = {0};
	u64 at = 0;

	if (slot == PCI_SLOTS)
		return disk;
	disk.config = pci_config(slot, 0);
	disk.registers = structure(disk.config, TYPE_COMMON, &at);
	disk.notify = structure(disk.config, TYPE_NOTIFY, &at);
	write16(disk.config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return disk;
}

bool virtio_blk_is_reset(const struct disk *disk)
{
	return read8(disk->registers + DEVICE_STATUS) == 0;
}

bool virtio_blk_start(struct disk *disk, u64 room)
{
	u64 at = disk->registers;

	disk->room = room;
	disk->submitted = disk->completed = 0;
	for (u64 i = 0; i < DISK_ROOM; i += 8)
		write64(room + i, 0);
	write8(at + DEVICE_STATUS, 0);
	write8(at + DEVICE_STATUS, STATUS_DRIVER);
	write32(at + DRIVER_FEATURE_SELECT, 1);
	write32(at + DRIVER_FEATURE, FEATURES_HIGH);
	write8(at + DEVICE_STATUS, STATUS_DRIVER | STATUS_FEATURES_OK);
	write16(at + QUEUE_SELECT, 0);
	write16(at + QUEUE_SIZE, ENTRIES);
	write32(at + QUEUE_DESC, (u32)room);
	write32(at + QUEUE_DRIVER, (u32)(room + AVAILABLE));
	write32(at + QUEUE_DEVICE, (u32)(room + USED));
	write16(at + QUEUE_ENABLE, 1);
	write8(at + DEVICE_STATUS, STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
	return read8(at + DEVICE_STATUS) == (STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

static void describe(struct disk *disk, u32 number, u64 address, u32 bytes, u32 flags)
{
	write64(disk->room + 16 * number, address);
	write64(disk->room + 16 * number + 8, bytes | (u64)flags << 32 | (u64)(number + 1) << 48);
}

void virtio_blk_read(struct disk *disk, u64 sector, u64 address, u32 bytes)
{
	write64(disk->room + HEADER, 0);
	write64(disk->room + HEADER + 8, sector);
	describe(disk, 0, disk->room + HEADER, 16, DESC_NEXT);
	describe(disk, 1, address, bytes, DESC_NEXT | DESC_WRITE);
	describe(disk, 2, disk->room + STATUS, 1, DESC_WRITE);
	dsb();
	disk->submitted++;
	write16(disk->room + AVAILABLE + 2, (u16)disk->submitted);
	dsb();
	write16(disk->notify, 0);
}

bool virtio_blk_is_done(struct disk *disk)
{
	disk->completed = read16(disk->room + USED + 2);
	dsb();
	return disk->completed == disk->submitted;
}
