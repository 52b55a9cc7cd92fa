// SPDX-License-Identifier: MIT
/*
 * The hardware's virtual interface serves acknowledge and completion: neither may cost an exit. The
 * counter tells, which under the deterministic clock ticks once an instruction.
 */
#include "gic.h"
#include "probe.h"

#define ROUNDS 64
#define EDGE 40

/* Never cheap when nothing was there to be acknowledged. */
static u64 cheapest_cycle(void)
{
	u64 best = ~0UL;

	for (unsigned i = 0; i < ROUNDS; i++) {
		gic_set_pending(EDGE);
		irq_wait_signalled();
		u64 start = counter();
		u32 iar = gic_ack();
		gic_eoi(iar);
		u64 ticks = counter() - start;

		if (iar != EDGE)
			return ~0UL;
		best = ticks < best ? ticks : best;
	}
	return best;
}

static u64 cheapest_exit(void)
{
	u64 best = ~0UL;

	for (unsigned i = 0; i < ROUNDS; i++) {
		u64 start = counter();
		read32(GICD_BASE + GICD_IIDR);
		u64 ticks = counter() - start;
		best = ticks < best ? ticks : best;
	}
	return best;
}

void probe(void)
{
	u64 cycle, exit;

	gic_init();
	gic_set_edge(EDGE, true);
	gic_enable(EDGE);
	cycle = cheapest_cycle();
	exit = cheapest_exit();
	report(cycle < exit, "acknowledge and EOI together cost less than one trapped access",
	       cycle, exit);
}
