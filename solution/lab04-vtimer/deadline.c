// SPDX-License-Identifier: MIT
/*
 * EL2's deadlines: what is to happen when, in ascending order of physical count. Each CPU has a
 * queue. CNTHP, the EL2 physical timer, stands at the first deadline of its CPU's queue, and is off
 * while the queue is empty. A queue holds few deadlines, so a list that is walked is enough.
 *
 * Locks: cpu->deadline_lock protects a queue and the deadlines on it. It nests inside every other
 * lock, nothing nests in it, and expiry functions run without it.
 *
 * Several CPUs may arm and cancel one deadline, since its vCPU moves. deadline->cpu says whose
 * queue it is on. A CPU claims it by a compare-and-exchange from NULL, under its own lock: of two
 * CPUs that arm a deadline at the same time one succeeds, and the other takes it off there before
 * it tries again, so the last one counts. Who takes a deadline off reads deadline->cpu, locks that
 * CPU's queue, and looks again; NULL is written under that lock, too.
 *
 * Manual: Arm ARM, "The Generic Timer in AArch64 state".
 */
#include "console.h"
#include "exercise.h"
#include "internal.h"

/* ---- the queue ---- */

void deadline_init(struct deadline *deadline, void (*expire)(struct deadline *))
{
	list_init(&deadline->node);
	deadline->expire = expire;
	deadline->cpu = NULL;
}

static struct deadline *deadline_of(struct list *node)
{
	return container_of(node, struct deadline, node);
}

/* The earliest deadline on @queue, or NULL. */
static struct deadline *deadline_first(struct list *queue)
{
	return list_is_empty(queue) ? NULL : deadline_of(queue->next);
}

/**
 * Exercise 4.3: deadline_insert() - put @deadline, which is on no queue, on @queue
 *
 * The queue ascends by ticks, unsigned. A deadline goes behind those of the same count: they expire
 * in the order in which they were armed.
 *
 * Return: whether @deadline is the first one now, so that CNTHP must be programmed anew.
 */
EXERCISE(4.3)
bool deadline_insert(struct list *queue, struct deadline *deadline)
{
	struct list *behind = queue;

	/* From the tail: a new deadline is usually the latest. */
	while (behind->prev != queue && deadline_of(behind->prev)->ticks > deadline->ticks)
		behind = behind->prev;
	list_insert_before(behind, &deadline->node);
	return queue->next == &deadline->node;
}

/**
 * Exercise 4.3: deadline_pop_due() - take the first deadline off @queue if it is due at count @now
 *
 * Return: that deadline, or NULL when none is due.
 */
EXERCISE(4.3)
struct deadline *deadline_pop_due(struct list *queue, u64 now)
{
	struct deadline *first = deadline_first(queue);

	if (!first || first->ticks > now)
		return NULL;
	list_remove(&first->node);
	return first;
}

/* ---- CNTHP at its head ---- */

/**
 * Exercise 4.3: cnthp_program() - let CNTHP fire at the first deadline of @cpu, which is this CPU
 *
 * CNTHP_CVAL_EL2 is the first deadline's count and CNTHP_CTL_EL2 has ENABLE alone; without a
 * deadline CNTHP_CTL_EL2 is 0. A deadline that has passed fires at once and needs no special case:
 * the timer's condition is a comparison. An ISB at the end puts the new level into effect.
 * cpu->deadline_lock is held: spin_assert_held().
 */
EXERCISE(4.3)
static void cnthp_program(struct cpu *cpu)
{
	struct deadline *first = deadline_first(&cpu->deadlines);

	spin_assert_held(&cpu->deadline_lock);
	if (first)
		write_sysreg(cnthp_cval_el2, first->ticks);
	write_sysreg(cnthp_ctl_el2, first ? CNT_CTL_ENABLE : 0);
	isb();
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

/* @deadline has left its queue. A release: from now on another CPU may put it on its own. */
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
	/* Another CPU's CNTHP stays as it is: it fires once for nothing, and is programmed then. */
	if (was_first && cpu == this_cpu())
		cnthp_program(cpu);
	spin_unlock(&cpu->deadline_lock);
}

/* Whether @deadline belongs to @cpu now, or did already; its deadline_lock is held. */
static bool deadline_claim(struct deadline *deadline, struct cpu *cpu)
{
	struct cpu *owner = NULL;

	spin_assert_held(&cpu->deadline_lock);
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
		cnthp_program(cpu);
	spin_unlock(&cpu->deadline_lock);
}

/**
 * Exercise 4.3: cnthp_interrupt() - CNTHP fired on @cpu: run everything that is due
 *
 * Due is what is due at the count at which this function began (counter_read()). Take these
 * deadlines off the queue one by one. For each: under cpu->deadline_lock deadline_pop_due() and
 * deadline_let_go(), then, without the lock, its expire(), which may arm any deadline, this one
 * again included. When none is due, cnthp_program(), still under the lock; this also lowers CNTHP's
 * line.
 *
 * What an expiry function arms for a later count waits for the next interrupt, even if that count
 * has passed by then: so a guest that arms in the past over and over cannot hold EL2 here.
 *
 * Return: IRQ_HANDLED.
 */
EXERCISE(4.3)
enum irq_result cnthp_interrupt(struct cpu *cpu, u32 intid)
{
	u64 now = counter_read();
	struct deadline *due;

	for (;;) {
		spin_lock(&cpu->deadline_lock);
		due = deadline_pop_due(&cpu->deadlines, now);
		if (due)
			deadline_let_go(due);
		else
			cnthp_program(cpu);
		spin_unlock(&cpu->deadline_lock);
		if (!due)
			return IRQ_HANDLED;
		due->expire(due);
	}
}

void deadline_init_cpu(struct cpu *cpu)
{
	cpu->deadline_lock = (struct spinlock)SPINLOCK_INIT("deadlines");
	list_init(&cpu->deadlines);
	write_sysreg(cnthp_ctl_el2, 0);
	write_sysreg(cntv_ctl_el0, 0);
	write_sysreg(cntp_ctl_el0, 0);
	isb();
}

/* ---- the console's clock ---- */

static void console_expired(struct deadline *deadline)
{
	console_lose_patience();
}

static struct deadline console_deadline = {
	.node = {&console_deadline.node, &console_deadline.node},
	.expire = console_expired,
};

void console_start_clock(void)
{
	deadline_arm(&console_deadline,
		     counter_read() + counter_frequency() / 1000 * CONSOLE_PATIENCE_MS);
}
