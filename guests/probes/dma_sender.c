// SPDX-License-Identifier: MIT
/*
 * The neighbour of dma_frames: it has a card on the same wire, and sends a frame after each few
 * microseconds of its own, whoever listens, until it receives FRAME_STOP. Its memory is as it was then.
 */
#include "hypercall.h"
#include "nic.h"
#include "probe.h"
#include "timer.h"

#define PATTERN_BYTES 65536
#define BURSTS 5 /* between two frames */
#define FRAMES_MAX 10000000

static u64 pattern(u64 at)
{
	return at * 0x9e3779b97f4a7c15UL ^ seed_number();
}

static bool is_over(struct nic *card)
{
	while (e1000e_receive(card)) {
		if (card->last == FRAME_STOP)
			return true;
	}
	return false;
}

void probe(void)
{
	struct nic card = e1000e_find();
	u64 room = align_up(free_memory(), MIB(2)), base = room + NIC_ROOM, wrong = 0;

	for (u64 at = base; at < base + PATTERN_BYTES; at += 8)
		write64(at, pattern(at));
	report(e1000e_start(&card, room), "the card starts", 0, 0);
	while (!is_over(&card) && card.sent < FRAMES_MAX) {
		e1000e_send(&card, random() | FRAME_OF_NEIGHBOUR);
		for (u32 burst = 0; burst < BURSTS; burst++)
			spin_burst();
		hvc(STRATA_YIELD, 0, 0, 0);
	}
	for (u64 at = base; at < base + PATTERN_BYTES; at += 8)
		wrong += read64(at) != pattern(at);
	report_equal("this VM's memory kept its contents", wrong, 0);
}
