// SPDX-License-Identifier: MIT
/*
 * A vCPU that is moved from CPU to CPU keeps what is its own: general, SIMD and system registers, a
 * timer that is running, interrupts that are pending or active, its masks; and an interrupt that is
 * sent to it while it moves arrives. To be packed with more vCPUs than the machine has CPUs: each
 * sleeps and computes by turns of its own, so that they are moved all the time.
 *
 * Without a hypervisor nothing moves, and it must pass as well.
 */
#include "gic.h"
#include "probe.h"
#include "registers.h"
#include "smp.h"
#include "timer.h"

volatile u64 probe_rounds = 40; /* a longer run has another number here */
static u32 count;
static volatile u64 taken[SMP_CPU_MAX][16], timer_fired[SMP_CPU_MAX], stray[SMP_CPU_MAX];
static u64 lost[SMP_CPU_MAX], early[SMP_CPU_MAX], changed[SMP_CPU_MAX], unmasked[SMP_CPU_MAX];

static void handler(struct exception_frame *frame)
{
	u32 iar = gic_ack(), self = smp_index(), intid = iar & 0x3ff;

	(void)frame;
	if (intid == INTID_VTIMER) {
		timer_fired[self]++;
		stray[self] += !(timer_ctl(TIMER_VIRTUAL) & TIMER_ISTATUS);
		timer_set_ctl(TIMER_VIRTUAL, 0);
	}
	if (intid < 16)
		taken[self][intid]++;
	if (intid < GIC_INTID_SPECIAL)
		gic_eoi(iar);
}

static u64 mix(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
	return z ^ (z >> 27);
}

/* Four SIMD registers hold @value and its followers while the vCPU does something else. */
static void simd_set(u64 value)
{
	asm volatile("fmov	d8, %0\n"
		     "fmov	d9, %1\n"
		     "fmov	d10, %2\n"
		     "mov	v8.d[1], %3\n"
		     "mov	v31.d[0], %1\n"
		     "mov	v31.d[1], %0\n"
		     :
		     : "r"(value), "r"(value + 1), "r"(value + 2), "r"(value + 3)
		     : "v8", "v9", "v10", "v31");
}

static bool simd_holds(u64 value)
{
	u64 a, b, c, d, e, f;

	asm volatile("fmov	%0, d8\n"
		     "fmov	%1, d9\n"
		     "fmov	%2, d10\n"
		     "mov	%3, v8.d[1]\n"
		     "mov	%4, v31.d[0]\n"
		     "mov	%5, v31.d[1]\n"
		     : "=r"(a), "=r"(b), "=r"(c), "=r"(d), "=r"(e), "=r"(f));
	return a == value && b == value + 1 && c == value + 2 && d == value + 3 && e == value + 1 &&
	       f == value;
}

/* A sleep by timer, a stretch of work, or a yield: what makes a scheduler move vCPUs. */
static void pass_time(u32 self, u64 number)
{
	u64 fired = timer_fired[self], deadline;

	switch (number % 3) {
	case 0:
		vm_yield();
		return;
	case 1:
		spin_ticks(ticks_from_us(20 + number % 64));
		return;
	default:
		deadline = counter() + ticks_from_us(30 + number % 200);
		timer_set_cval(TIMER_VIRTUAL, deadline);
		timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
		for (u32 step = 0; timer_fired[self] == fired; step++) {
			if (step > 2000 && smp_patience) {
				lost[self]++;
				return;
			}
			irq_disable();
			if (timer_fired[self] == fired)
				asm volatile("wfi" ::: "memory");
			irq_enable();
			isb();
		}
		early[self] += counter() < deadline;
	}
}

static void open_interrupts(u64 argument)
{
	u32 self = smp_index();

	(void)argument;
	if (self)
		gic_init_cpu();
	sysreg_write(cpacr_el1, 3UL << 20);
	isb();
	for (u32 id = 0; id < 16; id++)
		gic_enable(id);
	gic_enable(INTID_VTIMER);
	gic_set_priority_mask((u8)(0xf0 - 8 * self));
	irq_enable();
}

static void live(u64 argument)
{
	u32 self = smp_index();
	u64 state = mix(argument + self + 1);

	for (u64 round = 1; round <= probe_rounds; round++) {
		u32 other = (u32)(self + 1 + state % (count - 1)) % count;
		u64 before = taken[other][self];

		state = mix(state + round);
		simd_set(state);
		sysreg_write(tpidr_el0, state + 4);
		sysreg_write(tpidr_el1, state + 5);
		sysreg_write(par_el1, (state & 0xff) << 12);
		sysreg_write(contextidr_el1, (u32)state);
		gic_send_sgi(self, 1U << other);
		pass_time(self, state >> 8);
		changed[self] |= simd_holds(state) ? 0 : 1;
		changed[self] |= sysreg_read(tpidr_el0) == state + 4 ? 0 : 2;
		changed[self] |= sysreg_read(tpidr_el1) == state + 5 ? 0 : 4;
		changed[self] |= sysreg_read(contextidr_el1) == (u32)state ? 0 : 8;
		changed[self] |= sysreg_read(mpidr_el1) << 56 == (u64)self << 56 ? 0 : 16;
		changed[self] |= gic_priority_mask() == (u8)(0xf0 - 8 * self) ? 0 : 32;
		lost[self] += !smp_wait_for(&taken[other][self], before + 1);
	}
}

/* Something active, something pending, and interrupts masked, over many turns. */
static volatile u64 quiet;

static void hold(u64 argument)
{
	u32 self = smp_index(), iar, wrong = 0;

	irq_disable();
	gic_send_sgi_self(13);
	irq_wait_signalled();
	iar = gic_ack();
	gic_send_sgi_self(14);
	for (u64 round = 0; round < argument; round++) {
		vm_yield();
		spin_ticks(ticks_from_us(15 + 5 * self));
		wrong |= (iar & 0x3ff) != 13 || !gic_is_active(13) || !gic_is_pending(14);
		wrong |= irq_is_signalled() ? 2 : 0; /* of the same priority as what is active */
		wrong |= gic_running_priority() != PRIORITY_DEFAULT ? 4 : 0;
	}
	gic_eoi(iar);
	wrong |= irq_wait_signalled() ? 0 : 8;
	iar = gic_ack();
	wrong |= (iar & 0x3ff) == 14 ? 0 : 16;
	gic_eoi(iar);
	wrong |= gic_is_active(13) || gic_is_active(14) || gic_is_pending(14) ? 32 : 0;
	unmasked[self] = wrong;
	irq_enable();
}

void probe(void)
{
	u64 sum_lost = 0, sum_early = 0, what = 0, sgis = 0, expected = 0, strays = 0;

	gic_init();
	irq_handler_set(handler);
	count = smp_start_all();
	smp_call_all(count, open_interrupts, 0);
	expected = smp_call_all(count, live, seed_number());
	report_equal("all vCPUs come to their end", expected, 1);
	for (u32 cpu = 0; cpu < count; cpu++) {
		sum_lost += lost[cpu];
		sum_early += early[cpu];
		what |= changed[cpu];
		strays += stray[cpu];
		for (u32 id = 0; id < 16; id++)
			sgis += taken[cpu][id];
	}
	report_equal("no timer and no SGI is lost", sum_lost, 0);
	report_equal("no timer is early", sum_early, 0);
	report_equal("no vCPU takes a timer interrupt that is not its own", strays, 0);
	report_equal("each SGI is taken once", sgis, probe_rounds * count);
	report_equal("SIMD and system registers are kept (bits: SIMD, TPIDR_EL0, TPIDR_EL1,"
		     " CONTEXTIDR, MPIDR, priority mask)",
		     what, 0);
	quiet = smp_call_all(count, hold, 20);
	what = !quiet;
	for (u32 cpu = 0; cpu < count; cpu++)
		what |= unmasked[cpu];
	report_equal("what is active and what is pending stays so, on whatever CPU (bits: states,"
		     " signalled, running priority, then order)",
		     what, 0);
}
