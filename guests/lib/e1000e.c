// SPDX-License-Identifier: MIT
#include "nic.h"
#include "pci.h"

#define E1000E_ID 0x10d38086

#define RCTL 0x100
#define RCTL_BROADCAST (1U << 15)
#define TCTL 0x400
#define CTL_ENABLE 2
#define RDBAL 0x2800
#define RDLEN 0x2808
#define RDH 0x2810
#define RDT 0x2818
#define TDBAL 0x3800
#define TDLEN 0x3808
#define TDH 0x3810
#define TDT 0x3818

#define RX_RING 0x000
#define TX_RING 0x100
#define DESC_DONE 1
#define TX_END_OF_PACKET (1U << 24)
#define TX_INSERT_FCS (1U << 25)
#define TX_REPORT (1U << 27)

struct nic e1000e_find(void)
{
	u32 slot = pci_find(E1000E_ID, 0);
	struct nic nic = {0};

	if (slot == PCI_SLOTS)
		return nic;
	nic.config = pci_config(slot, 0);
	nic.registers = pci_bar(nic.config, 0);
	write16(nic.config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return nic;
}

bool e1000e_is_reset(const struct nic *nic)
{
	return !((read32(nic->registers + RCTL) | read32(nic->registers + TCTL)) & CTL_ENABLE);
}

bool e1000e_start(struct nic *nic, u64 room)
{
	u64 at = nic->registers;

	nic_clear(nic, room);
	for (u32 i = 0; i < NIC_ENTRIES; i++)
		write64(room + RX_RING + 16 * i, nic_buffer(nic, i));
	dsb();
	write32(at + RDBAL, (u32)(room + RX_RING));
	write32(at + RDLEN, 16 * NIC_ENTRIES);
	write32(at + TDBAL, (u32)(room + TX_RING));
	write32(at + TDLEN, 16 * NIC_ENTRIES);
	write32(at + RDH, 0);
	write32(at + RDT, NIC_ENTRIES - 1);
	write32(at + TDH, 0);
	write32(at + TDT, 0);
	write32(at + TCTL, CTL_ENABLE);
	write32(at + RCTL, CTL_ENABLE | RCTL_BROADCAST);
	return read32(at + RCTL) & CTL_ENABLE;
}

void e1000e_send(struct nic *nic, u64 word)
{
	u64 at = nic->room + TX_RING + 16 * (nic->sent % NIC_ENTRIES);

	write64(at, nic_frame(nic, nic->sent, word));
	write64(at + 8, NIC_FRAME_BYTES | TX_END_OF_PACKET | TX_INSERT_FCS | TX_REPORT);
	dsb();
	nic->sent++;
	write32(nic->registers + TDT, nic->sent % NIC_ENTRIES);
}

/* The buffer becomes the last of those that the card has. */
bool e1000e_receive(struct nic *nic)
{
	u32 number = nic->received % NIC_ENTRIES;
	u64 at = nic->room + RX_RING + 16 * number;

	if (!(read32(at + 12) & DESC_DONE))
		return false;
	dsb();
	nic->last = read64(nic_buffer(nic, number) + 16);
	write64(at, nic_buffer(nic, number));
	write64(at + 8, 0);
	dsb();
	nic->received++;
	write32(nic->registers + RDT, number);
	return true;
}
