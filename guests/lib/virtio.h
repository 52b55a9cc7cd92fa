/* SPDX-License-Identifier: MIT */
/*
 * A modern virtio device behind PCI, as far as polled drivers of a few lines need it. VIRTIO 1.1,
 * "Virtio Over PCI Bus", "Split Virtqueues".
 */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "cpu.h"
#include "lib/types.h"

#define VIRTIO_ENTRIES 16 /* of a queue */
#define VIRTIO_QUEUE_BYTES 0x400

#define VIRTIO_DESC_NEXT 1
#define VIRTIO_DESC_WRITE 2

/** struct virtio - @common: its common configuration structure; @notify: where queues are kicked */
struct virtio {
	u64 config;
	u64 common;
	u64 notify;
	u32 notify_multiplier;
};

/** struct virtqueue - in VIRTIO_QUEUE_BYTES at @at: descriptors and both rings; @notify: its kick */
struct virtqueue {
	u64 at;
	u64 notify;
	u16 index;
	u16 submitted;
};

/** virtio_find() - the first function with this ID; it may use memory from now on; config 0: none */
struct virtio virtio_find(u32 id);

/** virtio_is_reset() - whether the device is as after power-on */
bool virtio_is_reset(const struct virtio *device);

/** virtio_begin() - reset, and the features that everybody needs; its queues come next */
void virtio_begin(const struct virtio *device);

/** virtio_queue() - queue @index in zeroed memory at @at */
struct virtqueue virtio_queue(const struct virtio *device, u16 index, u64 at);

/** virtio_go() - it works from now on; false: it does not */
bool virtio_go(const struct virtio *device);

/** virtio_describe() - descriptor @number; with VIRTIO_DESC_NEXT the next one goes on */
void virtio_describe(const struct virtqueue *queue, u32 number, u64 address, u32 bytes, u32 flags);

/** virtio_submit() - give the device the chain that begins at descriptor @head */
void virtio_submit(struct virtqueue *queue, u32 head);

/** virtio_completed() - how many chains the device has given back, ever; modulo 2^16 */
u16 virtio_completed(const struct virtqueue *queue);

#endif
