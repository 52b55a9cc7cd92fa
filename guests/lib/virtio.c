// SPDX-License-Identifier: MIT
#include "virtio.h"
#include "pci.h"

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
#define QUEUE_NOTIFY_OFF 0x1e
#define QUEUE_DESC 0x20
#define QUEUE_DRIVER 0x28
#define QUEUE_DEVICE 0x30
#define STATUS_DRIVER 3
#define STATUS_FEATURES_OK 8
#define STATUS_DRIVER_OK 4
#define FEATURES_HIGH 3 /* VERSION_1, ACCESS_PLATFORM */

/* In a queue's memory */
#define AVAILABLE 0x100
#define USED 0x200

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

struct virtio virtio_find(u32 id)
{
	u32 slot = pci_find(id, 0);
	struct virtio device = {0};
	u64 at = 0;

	if (slot == PCI_SLOTS)
		return device;
	device.config = pci_config(slot, 0);
	device.common = structure(device.config, TYPE_COMMON, &at);
	device.notify = structure(device.config, TYPE_NOTIFY, &at);
	device.notify_multiplier = read32(at + 16);
	write16(device.config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return device;
}

bool virtio_is_reset(const struct virtio *device)
{
	return read8(device->common + DEVICE_STATUS) == 0;
}

void virtio_begin(const struct virtio *device)
{
	u64 at = device->common;

	write8(at + DEVICE_STATUS, 0);
	write8(at + DEVICE_STATUS, STATUS_DRIVER);
	write32(at + DRIVER_FEATURE_SELECT, 1);
	write32(at + DRIVER_FEATURE, FEATURES_HIGH);
	write8(at + DEVICE_STATUS, STATUS_DRIVER | STATUS_FEATURES_OK);
}

struct virtqueue virtio_queue(const struct virtio *device, u16 index, u64 where)
{
	u64 at = device->common;

	write16(at + QUEUE_SELECT, index);
	write16(at + QUEUE_SIZE, VIRTIO_ENTRIES);
	write32(at + QUEUE_DESC, (u32)where);
	write32(at + QUEUE_DRIVER, (u32)(where + AVAILABLE));
	write32(at + QUEUE_DEVICE, (u32)(where + USED));
	write16(at + QUEUE_ENABLE, 1);
	return (struct virtqueue){
		.at = where,
		.notify =
			device->notify + read16(at + QUEUE_NOTIFY_OFF) * device->notify_multiplier,
		.index = index,
	};
}

bool virtio_go(const struct virtio *device)
{
	u64 at = device->common + DEVICE_STATUS;

	write8(at, STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
	return read8(at) == (STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

void virtio_describe(const struct virtqueue *queue, u32 number, u64 address, u32 bytes, u32 flags)
{
	write64(queue->at + 16 * number, address);
	write64(queue->at + 16 * number + 8, bytes | (u64)flags << 32 | (u64)(number + 1) << 48);
}

void virtio_submit(struct virtqueue *queue, u32 head)
{
	write16(queue->at + AVAILABLE + 4 + 2 * (queue->submitted % VIRTIO_ENTRIES), (u16)head);
	dsb();
	queue->submitted++;
	write16(queue->at + AVAILABLE + 2, queue->submitted);
	dsb();
	write16(queue->notify, queue->index);
}

u16 virtio_completed(const struct virtqueue *queue)
{
	u16 index = read16(queue->at + USED + 2);

	dsb();
	return index;
}
