// SPDX-License-Identifier: MIT
/*
 * Software-generated interrupts between vCPUs: each way to name who gets one, from each vCPU to each;
 * and none is lost, to vCPUs that compute and to vCPUs that sleep in WFI. IHI 0048 "GICD_SGIR",
 * IHI 0069 "ICC_SGI1R_EL1".
 */
#include "gic.h"
#include "probe.h"
#include "smp.h"

#define NOBODY_US 20

/* Written by the vCPU that takes the interrupt; a row is a cache line and more. */
static volatile u64 taken[SMP_CPU_MAX][16];
static volatile u64 sources[SMP_CPU_MAX][16]; /* GICv2: bits of who asked */
volatile u64 probe_rounds = 40; /* a longer run has another number here */
static u32 count;

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack(), self = smp_index(), intid = iar & 0x3ff;

	(void)frame;
	if (intid >= GIC_INTID_SPECIAL)
		return;
	if (intid == INTID_VTIMER)
		sysreg_write(cntv_ctl_el0, 0);
	if (intid < 16) {
		sources[self][intid] |= BIT(iar >> 10 & 7);
		taken[self][intid]++;
	}
	gic_eoi(iar);
	smp_wake();
}

static void open_interrupts(u64 argument)
{
	(void)argument;
	if (smp_index())
		gic_init_cpu();
	for (u32 id = 0; id < 16; id++)
		gic_enable(id);
	irq_enable();
}

static void forget(void)
{
	for (u32 cpu = 0; cpu < SMP_CPU_MAX; cpu++)
		for (u32 id = 0; id < 16; id++)
			taken[cpu][id] = sources[cpu][id] = 0;
	smp_wake();
}

/* vCPUs that have taken @intid, and those that have taken it more than once in bits 16 and up. */
static u64 who_took(u32 intid)
{
	u64 who = 0;

	for (u32 cpu = 0; cpu < count; cpu++) {
		who |= taken[cpu][intid] ? BIT(cpu) : 0;
		who |= taken[cpu][intid] > 1 ? BIT(cpu + 16) : 0;
	}
	return who;
}

static void wait_a_while(void)
{
	u64 end = counter() + sysreg_read(cntfrq_el0) / 1000000 * NOBODY_US;

	while (counter() < end)
		smp_let_pass();
}

/* What the sender does; the form of the target in the argument. */
enum form {
	TO_LIST,
	TO_OTHERS,
	TO_SELF,
};

static u32 form, intid, list;

static void send(u64 argument)
{
	(void)argument;
	if (form == TO_LIST)
		gic_send_sgi(intid, list);
	else if (form == TO_OTHERS)
		gic_send_sgi_others(intid);
	else
		gic_send_sgi_self(intid);
}

/* Let @sender send; true when exactly the vCPUs of @expected take it, once each, from the sender. */
static bool reaches(u32 sender, u64 expected)
{
	bool right = true;

	forget();
	if (sender)
		smp_call(sender, send, 0);
	else
		send(0);
	for (u32 cpu = 0; cpu < count; cpu++)
		if (expected >> cpu & 1)
			smp_wait_for(&taken[cpu][intid], 1);
	wait_a_while();
	for (u32 cpu = 0; cpu < count && gic_version() == 2; cpu++)
		if (expected >> cpu & 1)
			right &= sources[cpu][intid] == BIT(sender);
	return right && who_took(intid) == expected;
}

static void each_to_each(void)
{
	u64 wrong = 0;

	form = TO_LIST;
	for (u32 from = 0; from < count; from++)
		for (u32 to = 0; to < count; to++) {
			intid = random() % 16;
			list = 1U << to;
			wrong |= reaches(from, BIT(to)) ? 0 : BIT(4 * from + to);
		}
	report_equal("an SGI from each vCPU to each, itself too, arrives once and there alone"
		     " (bit 4 n + m: n to m)",
		     wrong, 0);
}

static void lists(void)
{
	u64 wrong = 0;

	form = TO_LIST;
	for (u32 set = 0; set < BIT(count); set++) {
		intid = random() % 16;
		list = set;
		wrong |= reaches(random() % count, set) ? 0 : BIT(set);
	}
	report_equal("each set of targets is reached, from any vCPU, and nobody else"
		     " (bit n: list n)",
		     wrong, 0);
	list = 1U << count | 2;
	intid = 5;
	report_equal("a vCPU that does not exist is no target", reaches(0, 2), 1);
}

static void other_forms(void)
{
	u64 wrong = 0, all = BIT(count) - 1;

	for (u32 from = 0; from < count; from++) {
		intid = random() % 16;
		form = TO_OTHERS;
		list = (u32)random() & 0xff;
		wrong |= reaches(from, all & ~BIT(from)) ? 0 : BIT(from);
		form = TO_SELF;
		wrong |= reaches(from, BIT(from)) ? 0 : BIT(from + 16);
	}
	report_equal("all but self, and self, from each vCPU (bit n: others; 16 + n: self)", wrong,
		     0);
}

static void affinities(void)
{
	u64 fields[] = {1UL << ICC_SGI1R_EL1_AFF1_SHIFT, 1UL << ICC_SGI1R_EL1_AFF2_SHIFT,
			1UL << ICC_SGI1R_EL1_AFF3_SHIFT, 1UL << ICC_SGI1R_EL1_RS_SHIFT};
	/* QEMU's own redistributors ignore RS. */
	u32 fields_count = guest.hypervisor ? ARRAY_SIZE(fields) : ARRAY_SIZE(fields) - 1;

	forget();
	for (u32 i = 0; i < fields_count; i++) {
		sysreg_write(icc_sgi1r_el1, fields[i] | 4UL << ICC_SGI1R_EL1_INTID_SHIFT | 0xffff);
		isb();
	}
	wait_a_while();
	report_equal("other clusters, and Aff0 from 16 on, are nobody", who_took(4), 0);
	forget();
	sysreg_write(icc_sgi1r_el1, ICC_SGI1R_EL1_IRM | 1UL << ICC_SGI1R_EL1_AFF1_SHIFT |
					    4UL << ICC_SGI1R_EL1_INTID_SHIFT);
	isb();
	for (u32 cpu = 1; cpu < count; cpu++)
		smp_wait_for(&taken[cpu][4], 1);
	wait_a_while();
	report_equal("IRM = 1: all but the sender, whatever affinity is named", who_took(4),
		     BIT(count) - 2);
}

/* GICv2: the same SGI from two vCPUs is two interrupts, each of which tells its sender. */
static volatile u64 holding, may_take;

static void hold_off(u64 argument)
{
	irq_disable();
	holding = argument;
	smp_wake();
	smp_wait_for(&may_take, argument);
	irq_enable();
}

static void two_senders(void)
{
	static u64 round;

	forget();
	round++;
	form = TO_LIST;
	list = 2;
	intid = 9;
	smp_post(1, hold_off, round);
	smp_wait_for(&holding, round);
	send(0);
	smp_call(2, send, 0);
	send(0);
	may_take = round;
	smp_wake();
	smp_wait(1);
	smp_wait_for(&taken[1][9], gic_version() == 2 ? 2 : 1);
	wait_a_while();
	if (gic_version() == 2) {
		report_equal("one SGI from two vCPUs: taken once for each", taken[1][9], 2);
		report_equal("and each tells its sender", sources[1][9], 5);
	} else {
		report_equal("an SGI that is pending already is the same, whoever sends it",
			     taken[1][9], 1);
	}
}

static void disabled_there(u64 enable)
{
	if (enable)
		gic_enable(8);
	else
		gic_disable(8);
}

static void enabled_later(void)
{
	if (gic_version() == 2) /* leaves open whether SGIs can be disabled */
		return;
	form = TO_LIST;
	list = 6;
	intid = 8;
	smp_call(1, disabled_there, 0);
	report_equal("disabled at one vCPU, it is taken by the other alone", reaches(0, 4), 1);
	smp_call(1, disabled_there, 1);
	report_equal("and by the first when it is enabled there", smp_wait_for(&taken[1][8], 1), 1);
}

/*
 * None is lost: each vCPU sends to all in turn, and waits for each until it was taken; the others do
 * the same. An SGI's number is its sender's, so each pair has a counter of its own.
 */
static volatile u64 missing[SMP_CPU_MAX];
static u64 sleeps;

static bool wait_taken(u32 to, u32 id, u64 value)
{
	for (u32 step = 0; smp_patient(step); step++) {
		if (taken[to][id] >= value)
			return true;
		if (!sleeps) {
			smp_relax(step);
			continue;
		}
		/* WFI: what it waits for, or an SGI of somebody else, ends it; the timer in any case. */
		irq_disable();
		sysreg_write(cntv_tval_el0, sysreg_read(cntfrq_el0) / 20000);
		sysreg_write(cntv_ctl_el0, 1);
		if (taken[to][id] < value)
			asm volatile("wfi" ::: "memory");
		irq_enable();
		isb();
		sysreg_write(cntv_ctl_el0, 0);
	}
	return false;
}

static void hammer(u64 argument)
{
	u32 self = smp_index();
	u64 lost = 0;

	(void)argument;
	for (u64 round = 1; round <= probe_rounds && !lost; round++)
		for (u32 n = 0; n < count; n++) {
			u32 to = (u32)(self + n) % count;

			gic_send_sgi(self, 1U << to);
			lost += !wait_taken(to, self, round);
		}
	missing[self] = lost;
}

static void none_is_lost(bool in_wfi)
{
	u64 lost = 0, number = 0, expected = probe_rounds * count * count;

	forget();
	sleeps = in_wfi;
	smp_wake();
	smp_call_all(count, hammer, 0);
	for (u32 cpu = 0; cpu < count; cpu++)
		lost += missing[cpu];
	for (u32 to = 0; to < count; to++)
		for (u32 from = 0; from < count; from++)
			number += taken[to][from];
	if (in_wfi) {
		report_equal("all send to all and sleep in WFI meanwhile: none is lost", lost, 0);
		report_equal("and each is taken once", number, expected);
	} else {
		report_equal("all send to all and compute meanwhile: none is lost", lost, 0);
		report_equal("and each is taken once", number, expected);
	}
}

static void timer_too(u64 argument)
{
	(void)argument;
	gic_enable(INTID_VTIMER); /* it ends a WFI that nobody else ends; masked, it is not taken */
}

void probe(void)
{
	gic_init();
	irq_handler_set(handler);
	count = smp_start_all();
	smp_call_all(count, open_interrupts, 0);
	each_to_each();
	lists();
	other_forms();
	if (gic_version() == 3)
		affinities();
	two_senders();
	enabled_later();
	none_is_lost(false);
	smp_call_all(count, timer_too, 0);
	none_is_lost(true);
}
