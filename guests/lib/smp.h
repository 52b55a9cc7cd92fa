/* SPDX-License-Identifier: MIT */
/*
 * More vCPUs than the one that a VM begins with. CPU 0 starts the others by PSCI and gives them work;
 * one that has nothing to do waits in WFE. Nothing here needs an interrupt.
 *
 * Everybody who waits executes WFE and now and then gives the CPU away: the one that is waited for
 * may be a vCPU that wants the same CPU. Reports are CPU 0's alone.
 */
#ifndef GUEST_SMP_H
#define GUEST_SMP_H

#define SMP_CPU_MAX 8
#define SMP_STACK_BYTES 8192

#define SMP_CPU_STACK 0 /* offsets in struct smp_cpu */
#define SMP_CPU_SCTLR 8

#ifndef __ASSEMBLER__
#include "cpu.h"
#include "hypercall.h"
#include "lib/types.h"
#include "timer.h"

#define PSCI_ERROR_INVALID_PARAMETERS ((u32)(-2))
#define PSCI_ERROR_ALREADY_ON ((u32)(-4))
#define PSCI_ERROR_ON_PENDING ((u32)(-5))
#define PSCI_ERROR_INVALID_ADDRESS ((u32)(-9))
#define AFFINITY_INFO_ON 0
#define AFFINITY_INFO_OFF 1
#define AFFINITY_INFO_ON_PENDING 2

/**
 * struct smp_cpu - a vCPU, as CPU_ON's context argument leads to it
 * @stack_top: first, for start code
 * @sctlr, @pstate: SCTLR_EL1, and DAIF, CurrentEL, SPSel together, as the vCPU found them
 * @entered: how often it has been started
 * @posted: number of its last piece of work; written by who gives it
 * @done: number of the last piece that is finished; written by the vCPU
 */
struct smp_cpu {
	u64 stack_top;
	u64 sctlr, pstate;
	volatile u64 entered;
	volatile u64 posted;
	volatile u64 done;
	void (*work)(u64 argument);
	u64 argument;
} __attribute__((aligned(64)));

extern struct smp_cpu smp_cpus[SMP_CPU_MAX];

/** smp_index() - which vCPU this is: Aff0 of its MPIDR */
static inline u32 smp_index(void)
{
	return sysreg_read(mpidr_el1) & 0xff;
}

/** smp_count() - vCPUs of this VM, on or off */
u32 smp_count(void);

/** psci() - the call @fid; its result as the 32 bits that PSCI defines */
static inline u32 psci(u64 fid, u64 a, u64 b, u64 c)
{
	return (u32)hvc(fid, a, b, c).x0;
}

/** smp_affinity() - AFFINITY_INFO of vCPU @cpu */
static inline u32 smp_affinity(u32 cpu)
{
	return psci(PSCI_AFFINITY_INFO_64, cpu, 0, 0);
}

/** smp_relax() - one step of a wait for somebody; @step counts them: every 64th gives the CPU away */
static inline void smp_relax(u32 step)
{
	asm volatile("wfe" ::: "memory");
	if (step % 64 == 63)
		vm_yield();
}

/**
 * smp_let_pass() - one step of a wait for a moment: 4 us pass, then all others have their turn
 *
 * By smp_relax() that would be hundreds of steps. Each ends the turn of a CPU, and that costs the
 * emulator as much as thousands of instructions.
 */
static inline void smp_let_pass(void)
{
	spin_burst();
	smp_relax(63);
}

/** smp_wake() - what was written before is visible to all who wait, and they look again */
static inline void smp_wake(void)
{
	asm volatile("dsb ish\n\tsev" ::: "memory");
}

/** smp_wait_for() - wait until *@word is @value or more; false when that takes too long */
bool smp_wait_for(const volatile u64 *word, u64 value);

/** smp_patience - how often smp_wait_for() looks; 0: for ever */
extern volatile u64 smp_patience;

/** smp_patient() - whether a wait may take its step number @step */
static inline bool smp_patient(u32 step)
{
	return !smp_patience || step < smp_patience;
}

/** smp_entry - where a vCPU starts; its context argument is its struct smp_cpu */
void smp_entry(void);

/** smp_on() - CPU_ON of @cpu at smp_entry, and wait for it. Return: CPU_ON's result */
u32 smp_on(u32 cpu);

/** smp_start_all() - smp_on() of all others. Return: smp_count() */
u32 smp_start_all(void);

/** smp_post() - let @cpu, which is on and has nothing to do, execute @work(@argument) */
void smp_post(u32 cpu, void (*work)(u64 argument), u64 argument);

/** smp_wait() - until @cpu has done what it was told; false when that takes too long */
bool smp_wait(u32 cpu);

/** smp_call() - smp_post() and smp_wait() */
bool smp_call(u32 cpu, void (*work)(u64 argument), u64 argument);

/** smp_call_all() - @work(@argument) on vCPUs 0 to @count - 1 at the same time, this one among them */
bool smp_call_all(u32 count, void (*work)(u64 argument), u64 argument);

/** smp_off() - let @cpu, which has nothing to do, switch itself off; true when it is OFF */
bool smp_off(u32 cpu);

/** struct smp_lock - a ticket lock; used with the MMU on, where exclusives are defined */
struct smp_lock {
	volatile u32 next, serving;
};

void smp_lock(struct smp_lock *lock);
void smp_unlock(struct smp_lock *lock);

/** smp_add() - add to *@counter by LDXR and STXR; returns the sum */
u64 smp_add(volatile u64 *counter, u64 value);

#endif
#endif
