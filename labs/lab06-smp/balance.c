// SPDX-License-Identifier: MIT
/*
 * Which CPU a vCPU runs on. Two rules: no CPU sleeps while a vCPU could run on it, and no vCPU waits
 * longer than it would elsewhere.
 *
 * A vCPU that wakes up goes to the CPU that it ran on last, if nothing runs there, else to one that
 * sleeps, else to where the fewest wait. A CPU that finds nothing to run looks through the queues of
 * the others before it sleeps. At the end of a time slice a CPU gives a vCPU away to one that has
 * fewer: with three vCPUs on two CPUs each of them gets two thirds.
 *
 * Placing comes before queueing, and in between a CPU may fall asleep. So cpus_asleep has a bit for
 * each CPU that sleeps or is about to, and that nobody has woken. Atomic read-modify-writes alone
 * change it and decide:
 *  - who goes to sleep sets its bit, then looks through the queues (balance_steal())
 *  - who has queued a vCPU that has to wait then takes the bits of all that could run it, and wakes
 *    these CPUs (balance_queued())
 *  - a vCPU that is still loaded on its CPU cannot be taken yet: a CPU that has loaded another one
 *    does the same for what it has left behind (balance_load())
 * Of two such steps one comes first in the order of cpus_asleep, and what was written before it is
 * visible behind the other: either the sleeper finds the vCPU, or the other one finds its bit. A
 * store and then a load in their place could both miss, since a load may overtake an earlier store.
 * All are woken, since who comes first may run something else by then.
 * The third case rests on the order of a queue, first in, first out: a vCPU that is loaded goes to the
 * tail (cpu_take_next()). If it was queued before another one it is taken first, and leaves nothing
 * behind that nobody may take; if it was queued after, the CPU loads the other one, and comes here.
 *
 * Locks: those of vcpu_steal() and vcpu_migrate(); what runs under a run_lock takes none.
 */
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"

#define WAITS_PER_SECOND 200 /* of 5 ms */

static u32 cpus_asleep;

/* How often a vCPU had waited for 5 ms, on a CPU that was busy, beside one that slept: never. */
u32 balance_missed;

/* ---- what there is to choose from ---- */

/* The CPUs that @vcpu may run on: bit n is CPU n. */
static u32 vcpu_cpus(const struct vcpu *vcpu)
{
	return vcpu->vm->config->pin[vcpu->index];
}

static bool may_run_on(const struct vcpu *vcpu, const struct cpu *cpu)
{
	return vcpu_cpus(vcpu) & BIT(cpu->index);
}

/* On a machine with one CPU there is nothing to choose, and nothing to pay for. */
static bool is_alone(void)
{
	return cpus_online == 1;
}

static struct cpu *first_cpu(u32 set)
{
	return &cpus[__builtin_ctz(set)];
}

static u32 waiting_count(const struct cpu *cpu)
{
	return __atomic_load_n(&cpu->runnable_count, __ATOMIC_RELAXED);
}

/* Its CPU may do so without a run_lock, when it unloads a vCPU that is being queued. */
static void set_waits_from(struct vcpu *vcpu, u64 count)
{
	__atomic_store_n(&vcpu->waits_from, count, __ATOMIC_RELAXED);
}

/*
 * How many vCPUs want @cpu, which may change at once. If the one that is loaded waits, another one is
 * about to be loaded, as a rule, and counts in its place: a CPU that switches is no idle one.
 */
static u32 cpu_load(const struct cpu *cpu)
{
	const struct vcpu *vcpu = __atomic_load_n(&cpu->vcpu, __ATOMIC_RELAXED);
	enum vcpu_state state = vcpu ? vcpu_state(vcpu) : VCPU_OFF;

	return waiting_count(cpu) + (state == VCPU_RUNNING || state == VCPU_RUNNABLE);
}

/* Of @set, which is not empty, the CPU with the least load, the first of several. */
static struct cpu *least_loaded(u32 set)
{
	struct cpu *best = first_cpu(set);

	for (u32 rest = set & (set - 1); rest; rest &= rest - 1) {
		if (cpu_load(first_cpu(rest)) < cpu_load(best))
			best = first_cpu(rest);
	}
	return best;
}

/* ---- who sleeps ---- */

/* @cpu is not asleep any more, or told to wake up. Return: who was asleep before. */
static u32 clear_asleep(const struct cpu *cpu)
{
	return __atomic_fetch_and(&cpus_asleep, ~(u32)BIT(cpu->index), __ATOMIC_ACQ_REL);
}

/* Have the CPUs of @set that are asleep look for something to run. */
static void wake_cpus(u32 set)
{
	set &= __atomic_fetch_and(&cpus_asleep, ~set, __ATOMIC_ACQ_REL);
	for (; set; set &= set - 1)
		smp_kick(first_cpu(set));
}

/**
 * Exercise 6.6: balance_place() - where @vcpu, which becomes runnable, goes
 * @cpu: where it ran last; its run_lock is held
 *
 * To @cpu if it is_alone(), or the vCPU may run there (may_run_on()) and its load is 0. Else to the
 * first CPU of those it may run on (vcpu_cpus()) that cpus_asleep has; without one, to the
 * least_loaded() of them, or to @cpu if that is allowed and has no more. cpus_asleep is read and
 * not changed here: whether the vCPU gets there is not decided yet.
 */
EXERCISE(6.6)
struct cpu *balance_place(struct vcpu *vcpu, struct cpu *cpu)
{
	NOT_YET(6.6);
	/* Each vCPU keeps a CPU; those of one VM have different ones. */
	cpu = &cpus[(vcpu->vm->index + vcpu->index) % (32 - (u32)__builtin_clz(cpus_online))];
	return may_run_on(vcpu, cpu) ? cpu : first_cpu(vcpu_cpus(vcpu));
}

/**
 * Exercise 6.6: balance_queued() - @vcpu waits on the queue of @cpu now; its run_lock is held
 *
 * Nothing if the CPU is_alone(). @cpu will be kicked: its bit in cpus_asleep goes (clear_asleep()).
 * Note since when the vCPU waits: set_waits_from(), counter_read(). If @cpu was asleep, or has nothing
 * but this vCPU to run (cpu_load()), it will run it. So it will if it still has it loaded (cpu->vcpu):
 * nobody else can. Otherwise the vCPU has to wait there: wake_cpus() that it may run on.
 */
EXERCISE(6.6)
void balance_queued(struct vcpu *vcpu, struct cpu *cpu)
{
	NOT_YET(6.6);
}

/**
 * Exercise 6.6: balance_steal() - @cpu, this one, has nothing to run: a vCPU for it, or NULL
 *
 * Note when (cpu->asleep_from), set its bit in cpus_asleep, and only then look: through the queues of
 * all other CPUs that are online and on which something waits, by vcpu_steal(). With a vCPU it is not
 * asleep any more; without, its time slice has no end (cpu->slice_end).
 */
EXERCISE(6.6)
struct vcpu *balance_steal(struct cpu *cpu)
{
	NOT_YET(6.6);
	cpu->slice_end = 0;
	return NULL;
}

void balance_awake(struct cpu *cpu)
{
	if (is_alone())
		return;
	clear_asleep(cpu);
	cpu->awake_from = counter_read();
}

/* ---- when a vCPU was loaded ---- */

/* Who may run what waits on @cpu. */
static u32 cpus_for_waiting(struct cpu *cpu)
{
	struct list *node;
	u32 set = 0;

	spin_lock(&cpu->run_lock);
	list_for_each (node, &cpu->run_queue)
		set |= vcpu_cpus(container_of(node, struct vcpu, run_node));
	spin_unlock(&cpu->run_lock);
	return set & ~(u32)BIT(cpu->index);
}

/* @vcpu, which waited on a queue until now, could have run on a CPU that was asleep meanwhile. */
static void count_missed(const struct vcpu *vcpu)
{
	u32 asleep = vcpu_cpus(vcpu) & __atomic_load_n(&cpus_asleep, __ATOMIC_RELAXED);
	u64 recently = counter_read() - counter_frequency() / WAITS_PER_SECOND;

	if (!vcpu->cpu->was_busy || vcpu->cpu->awake_from > recently ||
	    __atomic_load_n(&vcpu->waits_from, __ATOMIC_RELAXED) > recently)
		return;
	for (; asleep; asleep &= asleep - 1) {
		if (__atomic_load_n(&first_cpu(asleep)->asleep_from, __ATOMIC_RELAXED) < recently)
			__atomic_fetch_add(&balance_missed, 1, __ATOMIC_RELAXED);
	}
}

/**
 * Exercise 6.6: balance_share() - others wait on @cpu, which has just loaded a vCPU
 * @slice_is_over: because the time slice of another one is over
 *
 * wake_cpus() that may run one of those (cpus_for_waiting(); none: nothing to do). If a time slice
 * is over, too, and the least_loaded() of them has less load than @cpu, give it one:
 * vcpu_migrate().
 */
EXERCISE(6.6)
static void balance_share(struct cpu *cpu, bool slice_is_over)
{
	NOT_YET(6.6);
}

/* Not inlined: a machine with one CPU, which never comes here, would save registers for it. */
static __attribute__((noinline)) void balance_loaded(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;

	count_missed(vcpu);
	/* Who queues the vCPU that was loaded here until now sees cpu->vcpu, or is seen here. */
	__atomic_fetch_or(&cpus_asleep, 0, __ATOMIC_ACQ_REL);
	if (waiting_count(cpu))
		balance_share(cpu, cpu->slice_end && counter_read() >= cpu->slice_end);
}

void balance_load(struct vcpu *vcpu)
{
	psci_vcpu_begins(vcpu);
	if (!is_alone())
		balance_loaded(vcpu);
}

/* One that is not blocked could have gone on, and waits again. */
void balance_save(struct vcpu *vcpu)
{
	if (is_alone())
		return;
	vcpu->cpu->was_busy = vcpu_state(vcpu) == VCPU_RUNNABLE;
	set_waits_from(vcpu, counter_read());
}
