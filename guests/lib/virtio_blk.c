// SPDX-License-Identifier: MIT
#include "disk.h"
#include "virtio.h"

#define VIRTIO_BLK_ID 0x10421af4

/* In the room, behind the queue: header and status of the request */
#define HEADER VIRTIO_QUEUE_BYTES
#define STATUS (VIRTIO_QUEUE_BYTES + 0x80)

struct disk virtio_blk_find(void)
{
	struct virtio device = virtio_find(VIRTIO_BLK_ID);

	return (struct disk){.config = device.config, .virtio = device};
}

bool virtio_blk_is_reset(const struct disk *disk)
{
	return virtio_is_reset(&disk->virtio);
}

bool virtio_blk_start(struct disk *disk, u64 room)
{
	disk->room = room;
	for (u64 i = 0; i < DISK_ROOM; i += 8)
		write64(room + i, 0);
	virtio_begin(&disk->virtio);
	disk->queue = virtio_queue(&disk->virtio, 0, room);
	return virtio_go(&disk->virtio);
}

void virtio_blk_read(struct disk *disk, u64 sector, u64 address, u32 bytes)
{
	write64(disk->room + HEADER, 0);
	write64(disk->room + HEADER + 8, sector);
	virtio_describe(&disk->queue, 0, disk->room + HEADER, 16, VIRTIO_DESC_NEXT);
	virtio_describe(&disk->queue, 1, address, bytes, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE);
	virtio_describe(&disk->queue, 2, disk->room + STATUS, 1, VIRTIO_DESC_WRITE);
	virtio_submit(&disk->queue, 0);
}

bool virtio_blk_is_done(struct disk *disk)
{
	return virtio_completed(&disk->queue) == disk->queue.submitted;
}
