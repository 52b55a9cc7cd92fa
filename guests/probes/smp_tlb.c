// SPDX-License-Identifier: MIT
/*
 * TLB maintenance of a guest reaches all its vCPUs: VAE1IS and VMALLE1IS after a page of stage 1 was
 * changed. And without IS: what a vCPU has removed from its TLB does not come back when it runs on
 * another CPU (HCR_EL2.FB, or an invalidation when a vCPU moves).
 */
#include "mmu.h"
#include "probe.h"
#include "smp.h"
#include "timer.h"

#define ROUNDS 24
#define LOCAL_ROUNDS 40
#define ATTRIBUTES (PTE_NORMAL | PTE_INNER_SHAREABLE | PTE_ACCESS)

static u32 count;
static u64 window; /* the page whose mapping changes */
static volatile u64 seen[SMP_CPU_MAX];

static void turn_on(u64 argument)
{
	(void)argument;
	mmu_enable_cpu();
}

static void look(u64 argument)
{
	seen[smp_index()] = read64(window + argument);
}

static void change(u64 page)
{
	mmu_map_page(window, page, ATTRIBUTES);
}

static u64 number_of(u64 page, u64 round)
{
	return page ^ round * 0x9e3779b97f4a7c15UL;
}

static void broadcast(void)
{
	u64 stale = 0, before = 0;

	for (u64 round = 0; round < ROUNDS; round++) {
		u64 first = window + 4096 * (1 + round % 7),
		    second = window + 4096 * (9 + round % 5);
		u64 offset = random() % 512 * 8;

		write64(first + offset, number_of(first, round));
		write64(second + offset, number_of(second, round));
		smp_call(round % count ? (u32)(round % count) : 1, change, first);
		smp_call_all(count, look, offset);
		for (u32 cpu = 0; cpu < count; cpu++)
			before |= seen[cpu] != number_of(first, round) ? BIT(cpu) : 0;
		if (round % count)
			smp_call((u32)(round % count), change, second);
		else
			change(second);
		smp_call_all(count, look, offset);
		for (u32 cpu = 0; cpu < count; cpu++)
			stale |= seen[cpu] != number_of(second, round) ? BIT(cpu) : 0;
	}
	report_equal("the page is mapped for all (bit n: vCPU n)", before, 0);
	report_equal("mapped elsewhere with TLBI VAAE1IS by any vCPU: all see the new page", stale,
		     0);
}

/*
 * A page of the vCPU's own, changed again and again with a TLBI for this CPU alone. In between the
 * vCPU gives its CPU away, computes, or sleeps, and may be elsewhere afterwards.
 */
static u64 stale_here[SMP_CPU_MAX], stale_later[SMP_CPU_MAX];

static void move_about(u64 number)
{
	u64 end = counter() + ticks_from_us(20 + number % 50);
	u32 iar;

	if (number & 64) {
		while (counter() < end)
			spin_burst();
		return;
	}
	timer_set_cval(TIMER_VIRTUAL, end);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	while (counter() < end)
		asm volatile("wfi" ::: "memory");
	timer_set_ctl(TIMER_VIRTUAL, 0);
	iar = gic_ack(); /* or it stays pending, and the next WFI does not sleep */
	if ((iar & 0x3ff) < GIC_INTID_SPECIAL)
		gic_eoi(iar);
}

static void change_here(u64 numbers)
{
	u32 self = smp_index();
	u64 own = window + 4096 * (32 + 4 * self);

	if (self)
		gic_init_cpu();
	gic_enable(INTID_VTIMER); /* it ends WFI; all stays masked */
	for (u64 round = 0; round < LOCAL_ROUNDS; round++) {
		u64 page = own + 4096 * (1 + round % 3);

		write64(page, number_of(page, round));
		mmu_map_page_here(own, page, ATTRIBUTES);
		stale_here[self] += read64(own) != number_of(page, round);
		move_about(numbers >> (8 * self) ^ round * 29);
		stale_later[self] += read64(own) != number_of(page, round);
	}
}

static void local(void)
{
	u64 here = 0, later = 0;

	gic_init();
	smp_call_all(count, change_here, random());
	for (u32 cpu = 0; cpu < count; cpu++) {
		here += stale_here[cpu];
		later += stale_later[cpu];
	}
	report_equal("mapped elsewhere with TLBI VAAE1 by the vCPU that uses it: it sees that",
		     here, 0);
	report_equal("and sees nothing older later, on whatever CPU", later, 0);
}

void probe(void)
{
	count = smp_start_all();
	window = align_up(free_memory(), 4096);
	mmu_enable();
	for (u32 cpu = 1; cpu < count; cpu++)
		smp_call(cpu, turn_on, 0);
	broadcast();
	local();
}
