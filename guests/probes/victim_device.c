// SPDX-License-Identifier: MIT
/*
 * The neighbour of a VM that is hostile with its devices. It has a device of its own, on a line that the
 * other's devices share: each round its transfers arrive, its interrupt comes once, its memory is as it
 * was, and it has its share of the CPU.
 */
#include "edu.h"
#include "exception.h"
#include "gic.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

#define BYTES 256
#define WINDOW_US 200
#define GAP_US 20
#define PATTERN_BYTES 65536

volatile u64 rounds = 20; /* the harness may set it */

static struct edu edu;
static u32 taken, in_vain;
static u64 away, computed;

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack(), status;

	if (iar == INTID_SPURIOUS)
		return;
	status = read32(edu.bar + EDU_INTERRUPT_STATUS);
	in_vain += !status;
	taken += status != 0;
	write32(edu.bar + EDU_ACKNOWLEDGE, status);
	gic_eoi(iar);
}

static u64 pattern(u64 at)
{
	return at * 0x9e3779b97f4a7c15UL ^ seed_number();
}

static u64 wrong_words(u64 at)
{
	u64 wrong = 0;

	for (u64 i = 0; i < PATTERN_BYTES; i += 8)
		wrong += read64(at + i) != pattern(at + i);
	return wrong;
}

static u64 transfer(u64 source, u64 target)
{
	u64 first = random() | 1, wrong = 0;

	for (u64 i = 0; i < BYTES; i += 8) {
		write64(source + i, first + i);
		write64(target + i, 0);
	}
	edu_read(&edu, source, BYTES);
	edu_write(&edu, target, BYTES);
	for (u64 i = 0; i < BYTES; i += 8)
		wrong += read64(target + i) != first + i;
	return wrong;
}

static void compute(void)
{
	u64 start = counter(), last = start, now = start;

	while (now - start < ticks_from_us(WINDOW_US)) {
		spin_burst();
		now = counter();
		if (now - last > ticks_from_us(GAP_US))
			away += now - last;
		last = now;
	}
	computed += now - start;
}

void probe(void)
{
	u64 base = free_memory(), source = align_up(base + PATTERN_BYTES, MIB(2)), wrong = 0,
	    lost = 0;

	edu = edu_open(0);
	irq_handler_set(handler);
	gic_enable(pci_intid((u32)(edu.config >> 15 & 31)));
	for (u64 i = 0; i < PATTERN_BYTES; i += 8)
		write64(base + i, pattern(base + i));
	for (u64 i = 0; i < rounds; i++) {
		u32 before = taken;

		lost += transfer(source, source + MIB(1));
		wrong += wrong_words(base);
		write32(edu.bar + EDU_RAISE, 1);
		irq_enable();
		for (u32 look = 0; look < 1000 && *(volatile u32 *)&taken == before; look++)
			cpu_relax();
		irq_disable();
		lost += taken != before + 1;
		compute();
	}
	report_equal("this VM's memory kept its contents", wrong, 0);
	report_equal("its transfers arrive, and its interrupts, each once", lost, 0);
	report_equal("no interrupt comes that its device did not raise", in_vain, 0);
	report(100 - away * 100 / computed >= 35, "share of the CPU in percent",
	       100 - away * 100 / computed, 50);
}
