// SPDX-License-Identifier: MIT
#include "nic.h"
#include "cpu.h"

#define ETHERTYPE_EXPERIMENTAL 0xb588 /* 0x88b5 in network order */

void nic_clear(struct nic *nic, u64 room)
{
	for (u64 i = 0; i < NIC_ROOM; i += 8)
		write64(room + i, 0);
	nic->room = room;
	nic->sent = nic->received = 0;
}

/* Addresses and type are 14 bytes; what follows is aligned in the buffer of neither card. */
u64 nic_frame(const struct nic *nic, u32 number, u64 word)
{
	u64 at = nic->room + NIC_FRAMES + 0x80 * (number % NIC_ENTRIES) + 16;

	for (u64 i = 0; i < NIC_FRAME_BYTES; i += 8)
		write64(at + i, word);
	write64(at, 0x0002ffffffffffffUL);
	write32(at + 8, 0x02000000);
	write16(at + 12, ETHERTYPE_EXPERIMENTAL);
	return at;
}
