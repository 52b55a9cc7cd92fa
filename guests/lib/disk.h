/* SPDX-License-Identifier: MIT */
/*
 * Drivers of a few lines for disks that a VM owns: virtio-blk and NVMe, polled, one request at a time.
 *
 * A disk works in memory that the caller gives it, DISK_ROOM bytes from a page on. VIRTIO 1.1, "Virtio
 * Over PCI Bus", "Block Device"; NVM Express 1.4, "Controller Architecture".
 */
#ifndef GUEST_DISK_H
#define GUEST_DISK_H

#include "lib/types.h"
#include "virtio.h"

#define DISK_ROOM 0x4000
#define DISK_SECTOR 512

/**
 * struct disk - one function
 * @config: its configuration space; 0: there is none
 * @registers: NVMe: BAR 0
 * @room: memory for queues
 * @submitted, @completed: NVMe: requests of the I/O queue
 */
struct disk {
	u64 config;
	u64 registers;
	u64 room;
	u32 submitted;
	u32 completed;
	struct virtio virtio;
	struct virtqueue queue;
};

/** virtio_blk_find(), nvme_find() - the first such function of the VM; it may use memory from now on */
struct disk virtio_blk_find(void);
struct disk nvme_find(void);

/** virtio_blk_is_reset(), nvme_is_reset() - whether the device is as after power-on */
bool virtio_blk_is_reset(const struct disk *disk);
bool nvme_is_reset(const struct disk *disk);

/** virtio_blk_start(), nvme_start() - from reset to the first request; false when the device refuses */
bool virtio_blk_start(struct disk *disk, u64 room);
bool nvme_start(struct disk *disk, u64 room);

/** virtio_blk_read(), nvme_read() - begin to read @bytes (4096 at most) at @sector to @address */
void virtio_blk_read(struct disk *disk, u64 sector, u64 address, u32 bytes);
void nvme_read(struct disk *disk, u64 sector, u64 address, u32 bytes);

/** nvme_has_begun() - wait until the controller works at the request; false: it does not; once a start */
bool nvme_has_begun(struct disk *disk);

/** virtio_blk_is_done(), nvme_is_done() - whether the last request is complete; NVMe: and acknowledged */
bool virtio_blk_is_done(struct disk *disk);
bool nvme_is_done(struct disk *disk);

#endif
