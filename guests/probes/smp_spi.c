// SPDX-License-Identifier: MIT
/*
 * Which vCPU takes an SPI: ITARGETSR (IHI 0048) or IROUTER (IHI 0069), changed while the interrupt is
 * idle, pending and active; and what the registers say about the VM's vCPUs. The SPIs are ones that no
 * device drives; ISPENDR makes them pending.
 */
#include "gic.h"
#include "probe.h"
#include "smp.h"

#define FIRST_SPI 64
#define QUIET_US 20

static volatile u64 taken[SMP_CPU_MAX];
static volatile u32 last_iar[SMP_CPU_MAX];
static volatile u64 keep_active[SMP_CPU_MAX]; /* the next one is not completed by the handler */
static u32 count;
/*
 * QEMU's own GICv2 pends an SPI at the targets that it has at that moment, takes it once for each of
 * them, and keeps targets that do not exist: there it is no model of IHI 0048.
 */
static bool exact;

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack(), self = smp_index();

	(void)frame;
	if ((iar & 0x3ff) >= GIC_INTID_SPECIAL)
		return;
	last_iar[self] = iar;
	if (!keep_active[self])
		gic_eoi(iar);
	asm volatile("dmb ish" ::: "memory");
	taken[self]++;
	smp_wake();
}

static void open_interrupts(u64 argument)
{
	(void)argument;
	if (smp_index())
		gic_init_cpu();
	irq_enable();
}

static void close_interrupts(u64 argument)
{
	(void)argument;
	irq_disable();
}

static void reopen_interrupts(u64 argument)
{
	(void)argument;
	irq_enable();
}

static void complete(u64 iar)
{
	keep_active[smp_index()] = 0;
	gic_eoi((u32)iar);
}

static void forget(void)
{
	for (u32 cpu = 0; cpu < SMP_CPU_MAX; cpu++)
		taken[cpu] = 0;
	smp_wake();
}

static void wait_a_while(void)
{
	u64 end = counter() + sysreg_read(cntfrq_el0) / 1000000 * QUIET_US;

	while (counter() < end)
		smp_let_pass();
}

static u32 random_spi(void)
{
	return FIRST_SPI + (u32)(random() % 128);
}

/* To the vCPUs of @set: one on GICv3. */
static void route(u32 spi, u64 set)
{
	if (gic_version() == 2)
		write8(GICD_BASE + GICD_ITARGETSR + spi, (u8)set);
	else
		write64(GICD_BASE + GICD_IROUTER + 8 * spi, (u64)__builtin_ctzl(set));
}

static u64 who_took(void)
{
	u64 who = 0;

	for (u32 cpu = 0; cpu < count; cpu++)
		who |= (taken[cpu] ? BIT(cpu) : 0) | (taken[cpu] > 1 ? BIT(cpu + 16) : 0);
	return who;
}

/* Pend @spi; true when exactly one vCPU of @set takes it, once. */
static bool reaches(u32 spi, u64 set)
{
	u64 who;

	forget();
	gic_set_pending(spi);
	for (u32 step = 0; smp_patient(step) && !who_took(); step++)
		smp_relax(step);
	wait_a_while();
	who = who_took();
	return who && !(who & (who - 1)) && !(who & ~set);
}

static void one_each(void)
{
	u64 wrong = 0;

	for (u32 round = 0; round < 4 * count; round++) {
		u32 spi = random_spi(), cpu = round % count;

		route(spi, BIT(cpu));
		gic_enable(spi);
		wrong |= reaches(spi, BIT(cpu)) ? 0 : BIT(round);
		gic_disable(spi);
	}
	report_equal("an SPI is taken by the vCPU that it is routed to, once (bit n: vCPU n mod 4)",
		     wrong, 0);
}

static void disabled_and_moved(void)
{
	u32 spi = random_spi();

	route(spi, BIT(1));
	gic_set_pending(spi);
	route(spi, BIT(2));
	forget();
	gic_enable(spi);
	smp_wait_for(&taken[2], 1);
	wait_a_while();
	report_equal("pending while disabled, then moved: taken where it is routed when enabled",
		     who_took(), BIT(2));
	gic_disable(spi);
}

/* Signalled to vCPU 1, which does not take it; then vCPU 2 is its target. */
static void moved_while_pending(void)
{
	u64 wrong = 0, stays = 0;

	for (u32 round = 0; round < 8; round++) {
		u32 spi = random_spi(), from = 1 + round % 2, to = 3 - from;

		route(spi, BIT(from));
		gic_enable(spi);
		smp_call(from, close_interrupts, 0);
		forget();
		gic_set_pending(spi);
		wait_a_while();
		stays |= who_took();
		route(spi, BIT(to));
		smp_wait_for(&taken[to], 1);
		smp_call(from, reopen_interrupts, 0);
		wait_a_while();
		wrong |= who_took() != BIT(to) ? BIT(round) : 0;
		gic_disable(spi);
	}
	report_equal("masked at its target it is taken by nobody", stays, 0);
	report_equal("pending and moved, it is taken by the new target alone (bit n: round n)",
		     wrong, 0);
}

/* Active at vCPU 1, pending again, and moved to vCPU 2: it waits until vCPU 1 is done with it. */
static void moved_while_active(void)
{
	u64 early = 0, wrong = 0, states = 0;

	for (u32 round = 0; round < 8; round++) {
		u32 spi = random_spi(), from = 1 + round % 2, to = 3 - from;

		gic_set_edge(spi, true);
		route(spi, BIT(from));
		gic_enable(spi);
		forget();
		keep_active[from] = 1;
		smp_wake();
		gic_set_pending(spi);
		smp_wait_for(&taken[from], 1);
		route(spi, BIT(to));
		gic_set_pending(spi);
		states |= (gic_is_active(spi) << 1 | gic_is_pending(spi)) ^ 3;
		wait_a_while();
		early |= who_took() != BIT(from) ? BIT(round) : 0;
		smp_call(from, complete, last_iar[from]);
		smp_wait_for(&taken[to], 1);
		wait_a_while();
		wrong |= who_took() != (BIT(from) | BIT(to)) ? BIT(round) : 0;
		states |= (gic_is_active(spi) << 1 | gic_is_pending(spi)) << 2;
		gic_disable(spi);
	}
	report_equal("active at one vCPU and pended again, it is active and pending", states & 3,
		     0);
	report_equal("and nobody takes it although it is routed elsewhere", early, 0);
	report_equal("until it was completed: then its new target does (bit n: round n)", wrong, 0);
	report_equal("and it is idle at the end", states >> 2, 0);
}

/* Many of them, moved about by one vCPU while the others take them. */

static void flood(void)
{
	u64 sum = 0, after = 0;

	forget();
	for (u32 round = 0; round < 64; round++) {
		u32 spi = FIRST_SPI + round;

		gic_set_edge(spi, true);
		gic_enable(spi);
		gic_set_pending(spi);
		for (u32 n = 0; n < 4; n++) {
			route(spi, BIT(random() % count));
			route(FIRST_SPI + (u32)(random() % (round + 1)), BIT(random() % count));
		}
	}
	for (u32 step = 0; step < 2000 && sum < 64; step++) {
		smp_relax(step);
		for (u32 cpu = sum = 0; cpu < count; cpu++)
			sum += taken[cpu];
	}
	wait_a_while();
	for (u32 cpu = sum = 0; cpu < count; cpu++)
		sum += taken[cpu];
	for (u32 spi = FIRST_SPI; spi < FIRST_SPI + 64; spi++) {
		after += gic_is_pending(spi) || gic_is_active(spi);
		gic_disable(spi);
	}
	report_equal("64 SPIs, routed anew all the time: each is taken once", sum, 64);
	report_equal("and none is left", after, 0);
}

static void nobody(void)
{
	u32 spi = random_spi();

	gic_enable(spi);
	forget();
	if (gic_version() == 2)
		write8(GICD_BASE + GICD_ITARGETSR + spi, 0);
	else
		write64(GICD_BASE + GICD_IROUTER + 8 * spi, count);
	gic_set_pending(spi);
	wait_a_while();
	report_equal("routed to nobody it stays pending", who_took() << 1 | gic_is_pending(spi), 1);
	route(spi, BIT(1));
	smp_wait_for(&taken[1], 1);
	wait_a_while();
	report_equal("and is taken when it gets a target", who_took(), BIT(1));
	gic_disable(spi);
}

/* GICv2: several targets; GICv3: any vCPU, where the distributor has 1 of N. */
static bool has_one_of_many(void)
{
	return gic_version() == 2 || !(read32(GICD_BASE + GICD_TYPER) & BIT(25)); /* No1N */
}

static void route_to_one_of(u32 spi, u64 set)
{
	if (gic_version() == 2)
		write8(GICD_BASE + GICD_ITARGETSR + spi, (u8)set);
	else
		write64(GICD_BASE + GICD_IROUTER + 8 * spi, GICD_IROUTER_MODE);
}

static void one_of_many(void)
{
	u64 wrong = 0, all = BIT(count) - 1;

	for (u32 round = 0; round < 16; round++) {
		u32 spi = random_spi();
		u64 set = gic_version() == 2 ? 1 + random() % all : all;

		route_to_one_of(spi, set);
		gic_enable(spi);
		wrong |= reaches(spi, set) ? 0 : BIT(round);
		gic_disable(spi);
	}
	report_equal("of several targets one takes it, and one alone (bit n: round n)", wrong, 0);
}

static void masked_everywhere(void)
{
	u32 spi = random_spi();
	u64 who;

	smp_call_all(count, close_interrupts, 0);
	forget();
	route_to_one_of(spi, BIT(count) - 1);
	gic_enable(spi);
	gic_set_pending(spi);
	wait_a_while();
	smp_call_all(count, reopen_interrupts, 0);
	wait_a_while();
	who = who_took();
	report(who && !(who & (who - 1)), "masked everywhere, then opened: one takes it", who, 1);
	gic_disable(spi);
}

static u64 took_over;

static void end_probe(u64 spi)
{
	report_equal("its target goes off: the other one takes it", took_over, BIT(1));
	report_equal("and it is idle then", gic_is_active((u32)spi) << 1 | gic_is_pending((u32)spi),
		     0);
	probe_finish();
}

/* On vCPU 1, while vCPU 0 goes off. Reports are vCPU 0's: it is switched on again. */
static void take_over(u64 spi)
{
	for (u32 step = 0; smp_patient(step) && smp_affinity(0) != AFFINITY_INFO_OFF; step++)
		smp_relax(step);
	smp_wait_for(&taken[1], 1);
	wait_a_while();
	took_over = who_took();
	smp_on(0);
	smp_post(0, end_probe, spi);
}

/* Of two targets, or of all, the first has it, which is vCPU 0. It does not take it, and goes off. */
static void target_goes_off(void)
{
	u32 spi = random_spi();

	irq_disable();
	forget();
	route_to_one_of(spi, BIT(0) | BIT(1));
	gic_enable(spi);
	gic_set_pending(spi);
	wait_a_while();
	report_equal("masked at the first of its targets it waits there", who_took(), 0);
	smp_post(1, take_over, spi);
	psci(PSCI_CPU_OFF, 0, 0, 0);
}

static void target_registers(void)
{
	u64 own = 0, others = 0;
	u32 typer = read32(GICD_BASE + GICD_TYPER);

	if (gic_version() == 3)
		return;
	report_equal("GICD_TYPER.CPUNumber", typer >> GICD_TYPER_CPUS_SHIFT & 7, count - 1);
	for (u32 n = 0; n < 32; n++)
		own |= read8(GICD_BASE + GICD_ITARGETSR + n) ^ 1;
	report_equal("ITARGETSR of SGIs and PPIs reads as the reader alone", own, 0);
	for (u32 set = 0; set < 256; set++) {
		write8(GICD_BASE + GICD_ITARGETSR + FIRST_SPI, (u8)set);
		others |= read8(GICD_BASE + GICD_ITARGETSR + FIRST_SPI) ^ (set & (BIT(count) - 1));
	}
	if (exact)
		report_equal("ITARGETSR keeps the vCPUs that there are, and no other bit", others,
			     0);
}

static volatile u64 seen;

static void read_own_target(u64 argument)
{
	seen = argument;
	seen = read32(GICD_BASE + GICD_ITARGETSR + 28);
}

static void own_targets(void)
{
	u64 wrong = 0;

	for (u32 cpu = 1; cpu < count && gic_version() == 2; cpu++) {
		smp_call(cpu, read_own_target, 0);
		wrong |= seen ^ (0x01010101UL << cpu);
	}
	if (gic_version() == 2)
		report_equal("and as another vCPU for that one", wrong, 0);
}

static void redistributors(void)
{
	u64 wrong = 0;

	if (gic_version() == 2)
		return;
	for (u32 cpu = 0; cpu < count; cpu++) {
		u64 typer = read64(GICR_BASE + cpu * GUEST_GICR_STRIDE + GICR_TYPER);

		wrong |= typer >> 32 != cpu || (typer >> 8 & 0xffff) != cpu ? BIT(cpu) : 0;
		wrong |=
			(typer & GICR_TYPER_LAST ? 1 : 0) != (cpu + 1 == count) ? BIT(cpu + 16) : 0;
	}
	report_equal("GICR_TYPER of each: affinity, number, and which is the last", wrong, 0);
	/* The private interrupts of each are its own. */
	for (u32 cpu = 0; cpu < count; cpu++) {
		u64 base = GICR_SGI_BASE + cpu * GUEST_GICR_STRIDE;

		write32(base + GICD_ICENABLER, ~0u);
		write32(base + GICD_ISENABLER, 1u << (20 + cpu));
	}
	for (u32 cpu = 0; cpu < count; cpu++) {
		u64 base = GICR_SGI_BASE + cpu * GUEST_GICR_STRIDE;
		u32 enabled = read32(base + GICD_ISENABLER);

		wrong |= enabled >> 16 != 1u << (4 + cpu) ? BIT(cpu) : 0;
		write32(base + GICD_ICENABLER, ~0u);
	}
	report_equal("each redistributor has registers of its own, which all vCPUs reach", wrong,
		     0);
}

void probe(void)
{
	gic_init();
	irq_handler_set(handler);
	count = smp_start_all();
	exact = guest.hypervisor || gic_version() == 3;
	target_registers();
	own_targets();
	redistributors();
	smp_call_all(count, open_interrupts, 0);
	one_each();
	if (!exact)
		return;
	disabled_and_moved();
	moved_while_pending();
	moved_while_active();
	if (has_one_of_many()) {
		one_of_many();
		masked_everywhere();
	}
	nobody();
	flood();
	if (has_one_of_many())
		target_goes_off(); /* does not come back */
}
