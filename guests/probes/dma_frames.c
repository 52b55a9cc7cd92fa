// SPDX-License-Identifier: MIT
/*
 * As dma_lives, with network cards: each life ends while frames are on their way out of one card and
 * into the other, and while a neighbour, dma_sender, sends to both whenever it runs. A frame is written
 * to buffers of the life that receives it, and to nothing else.
 *
 * Before its drivers start, a card is a bus master already, and frames come in: one that was not
 * stopped would write where the rings of the last life were.
 */
#include "hypercall.h"
#include "nic.h"
#include "pci.h"
#include "probe.h"

#define BURST 4
#define STOPS 64 /* the neighbour's card has room for some of them */
#define LOOKS 10000

volatile u64 lives = 3; /* the harness may set it */

static u64 edu;
static u32 wrong;

/* Registers of edu that mean nothing to it; the first one reads inverted, 0: nothing was written yet. */
static u32 lives_before(void)
{
	u32 noted = read32(edu + EDU_LIVENESS);

	return noted ? ~noted : 0;
}

static void check(bool is_right, const char *text)
{
	if (!is_right)
		report(false, text, lives_before(), 0);
	wrong += !is_right;
}

static bool is_zero(u64 from, u64 to)
{
	u64 all = 0;

	for (u64 at = from; at < to; at += 8)
		all |= read64(at);
	return all == 0;
}

static u64 open_notes(void)
{
	u64 config = pci_config(pci_find(EDU_ID, 0) % PCI_SLOTS, 0);

	write16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
	return pci_bar(config, 0);
}

/*
 * Wait for a frame whose word has this value under @mask, while the neighbour runs, and if @send is given
 * for one that this VM sends: again and again, since a wire may lose it.
 */
static bool arrives(struct nic *to, bool (*receive)(struct nic *), u64 mask, u64 word,
		    struct nic *from, void (*send)(struct nic *, u64))
{
	for (u32 i = 0; i < LOOKS; i++) {
		if (send)
			send(from, word);
		hvc(STRATA_YIELD, 0, 0, 0);
		while (receive(to)) {
			if ((to->last & mask) == word)
				return true;
		}
	}
	return false;
}

static void check_traffic(struct nic *card, struct nic *net, u64 word)
{
	const u64 other = FRAME_OF_NEIGHBOUR;

	check(arrives(card, e1000e_receive, ~0UL, word, net, virtio_net_send) &&
		      arrives(net, virtio_net_receive, ~0UL, word, card, e1000e_send),
	      "each card receives what the other sends");
	check(arrives(card, e1000e_receive, other, other, NULL, NULL) &&
		      arrives(net, virtio_net_receive, other, other, NULL, NULL),
	      "both receive what the neighbour sends");
}

void probe(void)
{
	struct nic card = e1000e_find(), net = virtio_net_find();
	u64 room = align_up(free_memory(), MIB(2)), behind = room + 2 * NIC_ROOM, under_way;
	u32 life, word;

	edu = open_notes();
	life = lives_before();
	word = 2 * life + 1;
	under_way = life ? read64(edu + EDU_DMA_SOURCE) : 0;
	check(is_zero(room, memory_end()), "memory is new");
	check(e1000e_is_reset(&card), "the e1000e is as new");
	check(virtio_net_is_reset(&net), "virtio-net is as new");
	check(virtio_net_start(&net, room), "virtio-net starts");
	for (u32 i = 0; i < BURST; i++)
		virtio_net_send(&net, word - 1);
	for (u32 i = 0; i < LOOKS && !virtio_net_is_idle(&net); i++)
		hvc(STRATA_YIELD, 0, 0, 0);
	check(is_zero(room + NIC_ROOM, memory_end()), "a card that was not started writes nothing");
	check(e1000e_start(&card, room + NIC_ROOM), "the e1000e starts");
	check_traffic(&card, &net, word);
	check(is_zero(behind, memory_end()), "nothing else is written to memory");
	for (u32 i = 0; i < BURST; i++) {
		e1000e_send(&card, word);
		virtio_net_send(&net, word);
	}
	under_way += !virtio_net_is_idle(&net);
	write64(edu + EDU_DMA_SOURCE, under_way);
	write32(edu + EDU_LIVENESS, life + 1);
	if (life + 1 < lives && !wrong)
		hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
	for (u32 i = 0; i < STOPS; i++) {
		e1000e_send(&card, FRAME_STOP);
		hvc(STRATA_YIELD, 0, 0, 0);
	}
	report_equal("every life found all as new, so that there was a next", life + 1, lives);
	report(under_way > 0, "lives ended while frames were on their way", under_way, lives);
}
