// SPDX-License-Identifier: MIT
/*
 * Starting vCPUs, and giving them work. A word has one writer: `posted` is the giver's, `done` the
 * vCPU's. So plain loads and stores do, which the memory of a CPU with its MMU off can serve, too.
 *
 * A vCPU may switch itself off as its work: then `done` stays behind until it is started anew.
 */
#include "smp.h"

#include "probe.h"

void smp_main(struct smp_cpu *self);

struct smp_cpu smp_cpus[SMP_CPU_MAX];
volatile u64 smp_patience = 400000;
static u8 stacks[SMP_CPU_MAX][SMP_STACK_BYTES] __attribute__((aligned(16)));

static void barrier(void)
{
	asm volatile("dmb ish" ::: "memory");
}

u32 smp_count(void)
{
	static u32 count;

	while (!count ||
	       (count < SMP_CPU_MAX && smp_affinity(count) != PSCI_ERROR_INVALID_PARAMETERS))
		count++;
	return count;
}

bool smp_wait_for(const volatile u64 *word, u64 value)
{
	for (u32 step = 0; *word < value; step++) {
		if (!smp_patient(step))
			return false;
		smp_relax(step);
	}
	barrier();
	return true;
}

void smp_main(struct smp_cpu *self)
{
	self->done = self->posted;
	barrier();
	self->entered++;
	smp_wake();
	for (u32 step = 0;; step++) {
		u64 number = self->posted;

		if (number == self->done) {
			smp_relax(step);
			continue;
		}
		barrier();
		self->work(self->argument);
		barrier();
		self->done = number;
		smp_wake();
	}
}

u32 smp_on(u32 cpu)
{
	struct smp_cpu *one = &smp_cpus[cpu];
	u64 before = one->entered;
	u32 result;

	one->stack_top = (u64)&stacks[cpu][SMP_STACK_BYTES];
	smp_wake();
	result = psci(PSCI_CPU_ON_64, cpu, (u64)smp_entry, (u64)one);
	if (!result)
		smp_wait_for(&one->entered, before + 1);
	return result;
}

u32 smp_start_all(void)
{
	u32 count = smp_count();

	for (u32 cpu = 1; cpu < count; cpu++)
		smp_on(cpu);
	return count;
}

void smp_post(u32 cpu, void (*work)(u64 argument), u64 argument)
{
	struct smp_cpu *one = &smp_cpus[cpu];

	one->work = work;
	one->argument = argument;
	barrier();
	one->posted = one->posted + 1;
	smp_wake();
}

bool smp_wait(u32 cpu)
{
	return smp_wait_for(&smp_cpus[cpu].done, smp_cpus[cpu].posted);
}

bool smp_call(u32 cpu, void (*work)(u64 argument), u64 argument)
{
	smp_post(cpu, work, argument);
	return smp_wait(cpu);
}

bool smp_call_all(u32 count, void (*work)(u64 argument), u64 argument)
{
	u32 self = smp_index();
	bool all = true;

	for (u32 cpu = 0; cpu < count; cpu++)
		if (cpu != self)
			smp_post(cpu, work, argument);
	work(argument);
	for (u32 cpu = 0; cpu < count; cpu++)
		if (cpu != self)
			all &= smp_wait(cpu);
	return all;
}

static void switch_off(u64 argument)
{
	hvc(PSCI_CPU_OFF, argument, 0, 0);
}

bool smp_off(u32 cpu)
{
	smp_post(cpu, switch_off, 0);
	for (u32 step = 0; smp_patient(step); step++) {
		if (smp_affinity(cpu) == AFFINITY_INFO_OFF)
			return true;
		smp_relax(step);
	}
	return false;
}

static u32 ticket_draw(volatile u32 *next)
{
	u32 ticket, following, failed;

	asm volatile("1:	ldaxr	%w0, [%3]\n"
		     "	add	%w1, %w0, #1\n"
		     "	stxr	%w2, %w1, [%3]\n"
		     "	cbnz	%w2, 1b\n"
		     : "=&r"(ticket), "=&r"(following), "=&r"(failed)
		     : "r"(next)
		     : "memory");
	return ticket;
}

void smp_lock(struct smp_lock *lock)
{
	u32 ticket = ticket_draw(&lock->next);

	/* The next one may want this CPU: every 8th step gives it away. */
	for (u32 step = 7; __atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket; step += 8)
		smp_relax(step);
}

void smp_unlock(struct smp_lock *lock)
{
	__atomic_store_n(&lock->serving, lock->serving + 1, __ATOMIC_RELEASE);
	smp_wake();
}

u64 smp_add(volatile u64 *counter, u64 value)
{
	u64 sum;
	u32 failed;

	asm volatile("1:	ldxr	%0, [%2]\n"
		     "	add	%0, %0, %3\n"
		     "	stxr	%w1, %0, [%2]\n"
		     "	cbnz	%w1, 1b\n"
		     : "=&r"(sum), "=&r"(failed)
		     : "r"(counter), "r"(value)
		     : "memory");
	return sum;
}
