/* SPDX-License-Identifier: MIT */
/*
 * Drivers of a few lines for network cards that a VM owns: e1000e and virtio-net, polled. A frame that
 * they send is a broadcast of one word again and again.
 *
 * A card works in memory that the caller gives it, NIC_ROOM bytes from a page on: rings, frames to be
 * sent, and buffers, which the card gets back as soon as they were looked at. Intel 82574 datasheet,
 * "Legacy Receive Descriptor Format", "Legacy Transmit Descriptor Format"; VIRTIO 1.1, "Network
 * Device".
 */
#ifndef GUEST_NIC_H
#define GUEST_NIC_H

#include "lib/types.h"
#include "virtio.h"

#define NIC_ROOM 0x6000

/* Words that dma_frames and its neighbour know each other by */
#define FRAME_OF_NEIGHBOUR BIT(63)
#define FRAME_STOP BIT(62)

/**
 * struct nic - one function
 * @config: its configuration space; 0: there is none
 * @registers: e1000e: BAR 0
 * @sent, @received: frames, ever; @last: the word that the last received one has
 */
struct nic {
	u64 config;
	u64 registers;
	u64 room;
	u32 sent;
	u32 received;
	u64 last;
	struct virtio virtio;
	struct virtqueue incoming, outgoing;
};

/** e1000e_find(), virtio_net_find() - the first such function; it may use memory from now on */
struct nic e1000e_find(void);
struct nic virtio_net_find(void);

/** e1000e_is_reset(), virtio_net_is_reset() - whether it neither sends nor receives */
bool e1000e_is_reset(const struct nic *nic);
bool virtio_net_is_reset(const struct nic *nic);

/** e1000e_start(), virtio_net_start() - it receives; false: it does not */
bool e1000e_start(struct nic *nic, u64 room);
bool virtio_net_start(struct nic *nic, u64 room);

/** e1000e_send(), virtio_net_send() - begin to send a frame of @word; it may wait until later */
void e1000e_send(struct nic *nic, u64 word);
void virtio_net_send(struct nic *nic, u64 word);

/** e1000e_receive(), virtio_net_receive() - look for one more frame; whether there was one */
bool e1000e_receive(struct nic *nic);
bool virtio_net_receive(struct nic *nic);

/** virtio_net_is_idle() - whether all frames have been sent; an e1000e's have when the write returns */
bool virtio_net_is_idle(const struct nic *nic);

/* Shared by both drivers. */

#define NIC_ENTRIES 8 /* of a ring */
#define NIC_FRAME_BYTES 64
#define NIC_BUFFER_BYTES 2048
#define NIC_BUFFERS 0x2000 /* in the room */
#define NIC_FRAMES 0x1000

/** nic_buffer() - the receive buffer @number */
static inline u64 nic_buffer(const struct nic *nic, u32 number)
{
	return nic->room + NIC_BUFFERS + (u64)NIC_BUFFER_BYTES * (number % NIC_ENTRIES);
}

/** nic_frame() - a frame of @word, at where frame @number of those under way is to be */
u64 nic_frame(const struct nic *nic, u32 number, u64 word);

/** nic_clear() - zeroes in the whole room, and nothing sent or received */
void nic_clear(struct nic *nic, u64 room);

#endif
