// SPDX-License-Identifier: MIT
#include "nic.h"
#include "virtio.h"

#define VIRTIO_NET_ID 0x10411af4

/* In the room */
#define INCOMING 0
#define OUTGOING VIRTIO_QUEUE_BYTES
#define HEADER 0xc00 /* of what is sent: all zero */
#define HEADER_BYTES 12

struct nic virtio_net_find(void)
{
	struct virtio device = virtio_find(VIRTIO_NET_ID);

	return (struct nic){.config = device.config, .virtio = device};
}

bool virtio_net_is_reset(const struct nic *nic)
{
	return virtio_is_reset(&nic->virtio);
}

static void give_buffer(struct nic *nic, u32 number)
{
	virtio_describe(&nic->incoming, number, nic_buffer(nic, number), NIC_BUFFER_BYTES,
			VIRTIO_DESC_WRITE);
	virtio_submit(&nic->incoming, number);
}

bool virtio_net_start(struct nic *nic, u64 room)
{
	bool works;

	nic_clear(nic, room);
	virtio_begin(&nic->virtio);
	nic->incoming = virtio_queue(&nic->virtio, 0, room + INCOMING);
	nic->outgoing = virtio_queue(&nic->virtio, 1, room + OUTGOING);
	works = virtio_go(&nic->virtio);
	for (u32 i = 0; i < NIC_ENTRIES; i++)
		give_buffer(nic, i);
	return works;
}

void virtio_net_send(struct nic *nic, u64 word)
{
	u32 head = 2 * (nic->sent % NIC_ENTRIES);

	virtio_describe(&nic->outgoing, head, nic->room + HEADER, HEADER_BYTES, VIRTIO_DESC_NEXT);
	virtio_describe(&nic->outgoing, head + 1, nic_frame(nic, nic->sent, word), NIC_FRAME_BYTES,
			0);
	nic->sent++;
	virtio_submit(&nic->outgoing, head);
}

/* Frames take the buffers in their order. */
bool virtio_net_receive(struct nic *nic)
{
	u32 number = nic->received % NIC_ENTRIES;

	if (virtio_completed(&nic->incoming) == (u16)nic->received)
		return false;
	nic->last = read32(nic_buffer(nic, number) + HEADER_BYTES + 16) |
		    (u64)read32(nic_buffer(nic, number) + HEADER_BYTES + 20) << 32;
	nic->received++;
	give_buffer(nic, number);
	return true;
}

bool virtio_net_is_idle(const struct nic *nic)
{
	return virtio_completed(&nic->outgoing) == nic->outgoing.submitted;
}
