// SPDX-License-Identifier: MIT
/*
 * Which CPU a vCPU runs on: no CPU sleeps while a vCPU could run on it.
 *
 * A vCPU that wakes up goes to the CPU it ran on last, if nothing runs there, else to one that
 * sleeps, else to where the least waits. A CPU that finds nothing to run looks through the queues of
 * the others before it sleeps. A CPU on which more waits than on another one gives a vCPU away at the
 * end of a time slice.
 *
 * Placing comes before queueing, and in between a CPU may fall asleep. So cpus_asleep has a bit for
 * each CPU that sleeps, or is about to; it is changed by atomic read-modify-writes alone:
 *  - who goes to sleep sets its bit, then looks through the queues (balance_steal())
 *  - who has queued a vCPU, then reads the bits and wakes one who could run it (balance_queued())
 * Of these two read-modify-writes one comes first: either the sleeper finds the vCPU, or its bit is
 * found. A plain store and load in their place could both miss (Arm ARM, "Definition of the
 * Arm memory model"). A vCPU that is still loaded on its old CPU cannot be taken yet: that CPU looks
 * at the bits again when it has loaded another one (balance_load()).
 *
 * Locks: none but those of vcpu_steal(); balance_place() and balance_queued() run under a run_lock.
 */
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"

static u32 cpus_asleep; /* bit n: CPU n sleeps, or is about to, and nobody has woken it */

static bool may_run_on(const struct vcpu *vcpu, const struct cpu *cpu)
{
	return cpus_online & BIT(cpu->index);
}

static u32 vcpu_cpus(const struct vcpu *vcpu)
{
	return cpus_online;
}

/* How many vCPUs want @cpu. It may be out of date at once. */
static u32 cpu_load(const struct cpu *cpu)
{
	const struct vcpu *vcpu = __atomic_load_n(&cpu->vcpu, __ATOMIC_RELAXED);
	bool runs = vcpu && vcpu_state(vcpu) == VCPU_RUNNING;

	return __atomic_load_n(&cpu->runnable_count, __ATOMIC_RELAXED) + runs;
}

/* The CPU of @allowed with the least load, @cpu if there is no better one. */
static struct cpu *least_loaded(u32 allowed, struct cpu *cpu)
{
	u32 least = allowed & BIT(cpu->index) ? cpu_load(cpu) : ~0U;

	for (; allowed; allowed &= allowed - 1) {
		struct cpu *other = &cpus[__builtin_ctz(allowed)];
		u32 load = cpu_load(other);

		if (load < least) {
			least = load;
			cpu = other;
		}
	}
	return cpu;
}

/**
 * Exercise 6.6: balance_place() - where @vcpu, which becomes runnable, goes
 */
struct cpu *balance_place(struct vcpu *vcpu, struct cpu *cpu)
{
	u32 allowed = vcpu_cpus(vcpu), asleep;

	if (allowed & BIT(cpu->index) && !cpu_load(cpu))
		return cpu;
	asleep = __atomic_load_n(&cpus_asleep, __ATOMIC_RELAXED) & allowed;
	return asleep ? &cpus[__builtin_ctz(asleep)] : least_loaded(allowed, cpu);
}

/* Nobody else wakes @cpu for what it is woken for now. Return: the bits before. */
static u32 clear_asleep(const struct cpu *cpu)
{
	return __atomic_fetch_and(&cpus_asleep, ~(u32)BIT(cpu->index), __ATOMIC_ACQ_REL);
}

/* Something waits on the queue of another CPU: wake one of @allowed that sleeps. */
static void wake_one(u32 allowed)
{
	u32 asleep = __atomic_fetch_or(&cpus_asleep, 0, __ATOMIC_ACQ_REL) & allowed;

	for (; asleep; asleep &= asleep - 1) {
		struct cpu *cpu = &cpus[__builtin_ctz(asleep)];

		if (clear_asleep(cpu) & BIT(cpu->index)) {
			smp_kick(cpu);
			return;
		}
	}
}

void balance_queued(struct vcpu *vcpu, struct cpu *cpu)
{
	u32 before = clear_asleep(cpu);

	if (before & BIT(cpu->index) || cpu->vcpu == vcpu || cpu_load(cpu) <= 1)
		return;
	if (before & vcpu_cpus(vcpu))
		wake_one(vcpu_cpus(vcpu));
}

struct vcpu *balance_steal(struct cpu *cpu)
{
	__atomic_fetch_or(&cpus_asleep, (u32)BIT(cpu->index), __ATOMIC_ACQ_REL);
	for (u32 others = cpus_online & ~(u32)BIT(cpu->index); others; others &= others - 1) {
		struct cpu *from = &cpus[__builtin_ctz(others)];
		struct vcpu *vcpu = NULL;

		if (__atomic_load_n(&from->runnable_count, __ATOMIC_RELAXED))
			vcpu = vcpu_steal(from, cpu, may_run_on);
		if (vcpu) {
			clear_asleep(cpu);
			return vcpu;
		}
	}
	return NULL;
}

void balance_awake(struct cpu *cpu)
{
	clear_asleep(cpu);
}

void balance_load(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;

	__atomic_store_n(&vcpu->has_begun, true, __ATOMIC_RELAXED);
	if (__atomic_load_n(&cpu->runnable_count, __ATOMIC_RELAXED))
		wake_one(cpus_online);
}
