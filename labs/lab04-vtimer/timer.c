// SPDX-License-Identifier: MIT
/*
 * EL2's own timer. CNTHP, the EL2 physical timer, always stands at the first deadline of this CPU's
 * queue and is off when the queue is empty. It is the time source that watches over everything that
 * is not in the hardware at the moment: timers of vCPUs that do not run, emulated timers, slices.
 *
 * cpu->deadline_lock protects a queue and what is on it; it nests inside every other lock and nothing
 * nests in it. Expiry functions run without it.
 *
 * Several CPUs may arm and cancel one deadline: its vCPU moves. deadline->cpu says whose queue it is
 * on. From NULL it becomes a CPU by a compare-and-exchange under that CPU's lock, so of two who arm
 * it one puts it on a queue; the other takes it off there, and puts it on its own: the last one
 * counts. Back to NULL it goes under the lock of the CPU that it names, so whoever wants to take it
 * off reads it, locks, and looks again. Manual: Arm ARM, "The Generic Timer in AArch64 state".
 */
#include "timer.h"

#include "console.h"
#include "deadline.h"
#include "exercise.h"
#include "registry.h"
#include "sysreg.h"
#include "vcpu.h"

/* The ISB keeps the read from being performed early (Arm ARM, "CNTPCT_EL0"). */
u64 timer_now(void)
{
	isb();
	return read_sysreg(cntpct_el0);
}

/**
 * timer_program() - let CNTHP fire at the first deadline of this CPU, or not at all
 *
 * Needs cpu->deadline_lock. A deadline that has passed fires at once: the timer's condition is a
 * comparison, not an event. The ISB makes the new level count before the caller returns to a guest.
 */
EXERCISE(4.3)
static void timer_program(struct cpu *cpu)
{
	TODO(4.3);
}

/* Lock the queue that @deadline is on. Return: its CPU, or NULL and nothing is locked. */
static struct cpu *deadline_lock(struct deadline *deadline)
{
	for (;;) {
		struct cpu *cpu = __atomic_load_n(&deadline->cpu, __ATOMIC_ACQUIRE);

		if (!cpu)
			return NULL;
		spin_lock(&cpu->deadline_lock);
		if (__atomic_load_n(&deadline->cpu, __ATOMIC_RELAXED) == cpu)
			return cpu;
		spin_unlock(&cpu->deadline_lock);
	}
}

/* @deadline has left its queue: another CPU may put it on its own from now on (a release). */
static void deadline_let_go(struct deadline *deadline)
{
	__atomic_store_n(&deadline->cpu, NULL, __ATOMIC_RELEASE);
}

void deadline_cancel(struct deadline *deadline)
{
	struct cpu *cpu = deadline_lock(deadline);
	bool was_first;

	if (!cpu)
		return;
	was_first = deadline_first(&cpu->deadlines) == deadline;
	list_remove(&deadline->node);
	deadline_let_go(deadline);
	/* Another CPU's timer is left alone: it fires once for nothing and is set right then. */
	if (was_first && cpu == this_cpu())
		timer_program(cpu);
	spin_unlock(&cpu->deadline_lock);
}

/* Whether @deadline is this CPU's now, or was already; its deadline_lock is held. */
static bool deadline_claim(struct deadline *deadline, struct cpu *cpu)
{
	struct cpu *owner = NULL;

	return __atomic_compare_exchange_n(&deadline->cpu, &owner, cpu, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED) ||
	       owner == cpu;
}

void deadline_arm(struct deadline *deadline, u64 ticks)
{
	struct cpu *cpu = this_cpu();
	bool was_first;

	spin_lock(&cpu->deadline_lock);
	while (!deadline_claim(deadline, cpu)) {
		spin_unlock(&cpu->deadline_lock);
		deadline_cancel(deadline);
		spin_lock(&cpu->deadline_lock);
	}
	was_first = deadline_first(&cpu->deadlines) == deadline;
	list_remove(&deadline->node);
	deadline->ticks = ticks;
	if (deadline_insert(&cpu->deadlines, deadline) || was_first)
		timer_program(cpu);
	spin_unlock(&cpu->deadline_lock);
}

/**
 * timer_interrupt() - CNTHP fired: run everything that is due
 *
 * Deadlines are taken off the queue one by one, since an expiry function may arm others, this one
 * again included: deadline_let_go() before the lock goes, then the function is called. At the end
 * CNTHP stands at the next deadline, which also lowers its line. Due is what is due at the count of
 * the interrupt's start: what an expiry function arms for a later one waits for the next interrupt
 * even if it has passed by then, so that nobody can hold EL2 here.
 */
EXERCISE(4.3)
static enum irq_result timer_interrupt(struct cpu *cpu, u32 intid)
{
	TODO(4.3);
}

/* ---- the console's clock ---- */

static void console_expired(struct deadline *deadline)
{
	(void)deadline;
	console_lose_patience();
}

static struct deadline console_deadline = {
	.node = {&console_deadline.node, &console_deadline.node},
	.expire = console_expired,
};

void timer_console_waits(void)
{
	u64 ticks = read_sysreg(cntfrq_el0) / 1000 * CONSOLE_PATIENCE_MS;

	deadline_arm(&console_deadline, timer_now() + ticks);
}

void timer_init_cpu(struct cpu *cpu)
{
	cpu->deadline_lock = (struct spinlock)SPINLOCK_INIT("deadlines");
	list_init(&cpu->deadlines);
	write_sysreg(cnthp_ctl_el2, 0);
	write_sysreg(cntv_ctl_el0, 0);
	write_sysreg(cntp_ctl_el0, 0);
	isb();
}

IRQ_HANDLER(PLAT_INTID_CNTHP, IRQ_LEVEL, timer_interrupt);
