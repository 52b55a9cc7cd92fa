// SPDX-License-Identifier: MIT
/*
 * Time on several vCPUs: one counter for all, and on each vCPU timers of its own, whose interrupts
 * come to it alone, in time, computing and in WFI.
 */
#include "probe.h"
#include "smp.h"
#include "timer.h"

#define ROUNDS 6
#define LATE_US 20000
#define PATIENCE 2000 /* steps of 4 us */

static u32 count;
static volatile u64 fired[SMP_CPU_MAX][2];
static u64 early[SMP_CPU_MAX], latest[SMP_CPU_MAX], lost[SMP_CPU_MAX];
static volatile u64 finished[SMP_CPU_MAX];

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack(), self = smp_index(), intid = iar & 0x3ff;

	(void)frame;
	if (intid == INTID_VTIMER)
		timer_set_ctl(TIMER_VIRTUAL, 0);
	else if (intid == INTID_PTIMER)
		timer_set_ctl(TIMER_PHYSICAL, 0);
	if (intid < GIC_INTID_SPECIAL) {
		fired[self][intid == INTID_PTIMER]++;
		gic_eoi(iar);
	}
}

static void open_interrupts(u64 argument)
{
	(void)argument;
	if (smp_index())
		gic_init_cpu();
	timer_set_ctl(TIMER_VIRTUAL, 0);
	timer_set_ctl(TIMER_PHYSICAL, 0);
	gic_enable(INTID_VTIMER);
	gic_enable(INTID_PTIMER);
	irq_enable();
}

static bool wait_fired(u32 self, enum timer timer, u64 before, bool in_wfi)
{
	for (u32 step = 0; step < PATIENCE; step++) {
		if (fired[self][timer] != before)
			return true;
		if (!in_wfi) {
			smp_let_pass();
			continue;
		}
		irq_disable();
		if (fired[self][timer] == before)
			asm volatile("wfi" ::: "memory");
		irq_enable();
		isb();
	}
	return false;
}

/* random() has one state; each vCPU gets numbers of its own from its index. */
static u64 delay_us(u32 self, u64 round)
{
	return 50 + (seed_number() >> (8 * self) ^ round * 37) % 900;
}

static void own_timers(u32 self, bool in_wfi)
{
	early[self] = latest[self] = lost[self] = 0;
	for (u64 round = 0; round < ROUNDS; round++) {
		enum timer timer = round % 2 ? TIMER_PHYSICAL : TIMER_VIRTUAL;
		u64 before = fired[self][timer];
		u64 deadline = timer_count(timer) + ticks_from_us(delay_us(self, round)), now;

		timer_set_cval(timer, deadline);
		timer_set_ctl(timer, TIMER_ENABLE);
		if (!wait_fired(self, timer, before, in_wfi)) {
			lost[self]++;
			timer_set_ctl(timer, 0);
			return;
		}
		now = timer_count(timer);
		early[self] += now < deadline;
		if (now - deadline > latest[self] && now > deadline)
			latest[self] = now - deadline;
	}
}

/* Who has come to its end lets the time pass that the others take. */
static void timers(u64 in_wfi)
{
	u32 self = smp_index();

	own_timers(self, in_wfi);
	finished[self]++;
	for (u32 cpu = 0; cpu < count; cpu++)
		for (u32 step = 0; finished[cpu] < finished[self] && step < PATIENCE; step++)
			smp_let_pass();
}

static void all_at_once(bool in_wfi)
{
	u64 sum_early = 0, sum_lost = 0, worst = 0, number = 0;

	for (u32 cpu = 0; cpu < count; cpu++)
		fired[cpu][0] = fired[cpu][1] = 0;
	smp_call_all(count, timers, in_wfi);
	for (u32 cpu = 0; cpu < count; cpu++) {
		sum_early += early[cpu];
		sum_lost += lost[cpu];
		worst = latest[cpu] > worst ? latest[cpu] : worst;
		number += fired[cpu][0] + fired[cpu][1];
	}
	if (in_wfi) {
		report_equal("each vCPU sleeps on its own timer: none is lost", sum_lost, 0);
		report_equal("none comes early", sum_early, 0);
		report(worst < ticks_from_us(LATE_US), "nor much too late", worst, 0);
		report_equal("and none comes twice, or to another vCPU", number, ROUNDS * count);
	} else {
		report_equal("each vCPU computes with its own timer set: none is lost", sum_lost,
			     0);
		report_equal("none comes early", sum_early, 0);
		report(worst < ticks_from_us(LATE_US), "nor much too late", worst, 0);
		report_equal("and none comes twice, or to another vCPU", number, ROUNDS * count);
	}
}

/* A vCPU that is handed a count reads no older one. */
static volatile u64 passed, passed_physical, backwards;

static void read_counter(u64 argument)
{
	u64 now = counter(), physical = counter_physical();

	backwards += now < passed || physical < passed_physical;
	passed = now;
	passed_physical = physical + argument;
}

static void one_counter(void)
{
	for (u32 round = 0; round < 32; round++)
		smp_call(1 + round % (count - 1), read_counter, 0);
	read_counter(0);
	report_equal("the counter of all vCPUs is one: handed on, it never runs backwards",
		     backwards, 0);
}

/* One vCPU's registers do not show on another. */
static volatile u64 shown[2];

static void arm_far(u64 argument)
{
	timer_set_cval(TIMER_VIRTUAL, argument);
	timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
	timer_set_cval(TIMER_PHYSICAL, argument + 1);
	timer_set_ctl(TIMER_PHYSICAL, TIMER_ENABLE);
}

static void show(u64 argument)
{
	(void)argument;
	shown[0] = timer_cval(TIMER_VIRTUAL);
	shown[1] = timer_cval(TIMER_PHYSICAL);
	timer_set_ctl(TIMER_VIRTUAL, 0);
	timer_set_ctl(TIMER_PHYSICAL, 0);
}

static void separate(void)
{
	u64 wrong = 0, base = counter() + ticks_from_us(1000000000);

	for (u32 cpu = 1; cpu < count; cpu++)
		smp_call(cpu, arm_far, base + 2 * cpu);
	arm_far(base);
	for (u32 cpu = 1; cpu < count; cpu++) {
		smp_call(cpu, show, 0);
		wrong |=
			shown[0] != base + 2 * cpu || shown[1] != base + 2 * cpu + 1 ? BIT(cpu) : 0;
	}
	show(0);
	wrong |= shown[0] != base || shown[1] != base + 1 ? 1 : 0;
	report_equal("each vCPU has deadlines of its own (bit n: vCPU n)", wrong, 0);
}

void probe(void)
{
	gic_init();
	irq_handler_set(handler);
	count = smp_start_all();
	smp_call_all(count, open_interrupts, 0);
	separate();
	one_counter();
	all_at_once(false);
	all_at_once(true);
}
