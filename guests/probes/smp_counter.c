// SPDX-License-Identifier: MIT
/*
 * Shared memory: additions by LDXR and STXR, and plain ones under a lock. Each vCPU's exclusive
 * monitor is its own, also across exits, and none is lost.
 */
#include "mmu.h"
#include "probe.h"
#include "smp.h"

#define ROUNDS 4000
#define LOCKED_ROUNDS 250

static struct smp_lock lock;
static volatile u64 atomic_sum __attribute__((aligned(64)));
static volatile u64 locked_sum __attribute__((aligned(64)));
static volatile u64 inside, overlaps;

static void add(u64 argument)
{
	for (u64 n = 0; n < ROUNDS; n++) {
		smp_add(&atomic_sum, argument);
		if (n % 256 == 0)
			hvc(SMCCC_VERSION, 0, 0, 0);
	}
}

static void add_locked(u64 argument)
{
	for (u64 n = 0; n < LOCKED_ROUNDS; n++) {
		smp_lock(&lock);
		overlaps += inside++ != 0;
		u64 sum = locked_sum;

		if (n % 16 == 0) /* an exit, and others run, between the load and the store */
			vm_yield();
		if (n % 4 == 0)
			cpu_relax();
		locked_sum = sum + argument;
		inside--;
		smp_unlock(&lock);
	}
}

/* Between LDXR and STXR an exit clears the monitor, or STXR finds that nobody else has written. */
static volatile u64 word __attribute__((aligned(64)));
static volatile u64 turn, stolen;

static void store_in_between(u64 argument)
{
	for (u64 round = 1; round <= argument; round++) {
		smp_wait_for(&turn, 2 * round - 1);
		word = word + 1;
		turn = 2 * round;
		smp_wake();
	}
}

static void exclusive_over_a_store(u64 rounds)
{
	smp_post(1, store_in_between, rounds);
	for (u64 round = 1; round <= rounds; round++) {
		u64 value;
		u32 failed;

		asm volatile("ldxr %0, [%1]" : "=r"(value) : "r"(&word) : "memory");
		turn = 2 * round - 1;
		asm volatile("dmb ish" ::: "memory");
		for (u32 step = 0; turn != 2 * round && smp_patient(step); step++)
			smp_relax(step);
		asm volatile("stxr %w0, %2, [%1]"
			     : "=&r"(failed)
			     : "r"(&word), "r"(value + 1)
			     : "memory");
		stolen += !failed;
	}
	smp_wait(1);
}

static void turn_on(u64 argument)
{
	(void)argument;
	mmu_enable_cpu();
}

void probe(void)
{
	u32 count = smp_start_all();
	u64 step = 613;

	mmu_enable();
	for (u32 cpu = 1; cpu < count; cpu++)
		smp_call(cpu, turn_on, 0);
	report_equal("all vCPUs come to the end of their additions", smp_call_all(count, add, step),
		     1);
	report_equal("no addition by LDXR and STXR is lost", atomic_sum, step * count * ROUNDS);
	report_equal("also those under a lock come to their end",
		     smp_call_all(count, add_locked, step), 1);
	report_equal("two vCPUs never hold one lock", overlaps, 0);
	report_equal("no addition under the lock is lost", locked_sum,
		     step * count * LOCKED_ROUNDS);
	exclusive_over_a_store(50);
	report_equal("an exclusive store does not overwrite what another vCPU stored in between",
		     stolen, 0);
}
