// SPDX-License-Identifier: MIT
/*
 * The other CPUs: how they start, how one calls another, how one waits for another.
 *
 * CPU 0 starts them by PSCI, one after the other, when its own layers are up. A CPU that starts has
 * its MMU and caches off: it reads memory past the caches of the others. All that it reads until its
 * MMU is on was written before CPU 0 turned its caches on, and is cleaned all the same; its stack,
 * which it writes, is layer 2's care (hyp_mmu_init_cpu()). From then on it is a CPU like the first:
 * the table of EL2 is shared, and who finds nothing to run sleeps.
 *
 * A kick is an SGI without a message. It only brings the other CPU into EL2, or out of WFI; what
 * there is to do was written before, and that CPU looks at it before its next entry or sleep.
 *
 * Manual: PSCI DEN 0022, "CPU_ON"; Arm ARM, "Wait for Event mechanism and Send event".
 */
#include "bundle.h"
#include "cache.h"
#include "console.h"
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "page_alloc.h"

u32 cpus_online;

/* ---- start ---- */

/* PSCI's CPU_ON of the machine's own firmware. Return: 0, or an error of PSCI. */
static s64 firmware_cpu_on(u64 affinity, pa_t entry, u64 context)
{
	register u64 x0 asm("x0") = PSCI_CPU_ON_64;
	register u64 x1 asm("x1") = affinity;
	register u64 x2 asm("x2") = entry.pa;
	register u64 x3 asm("x3") = context;

	/* The firmware may change x0 to x17 (SMCCC 1.0, "Register use in AArch64 SMC and HVC"). */
	asm volatile("smc #0"
		     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
		     :
		     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
		       "x16", "x17", "memory");
	return (s64)x0;
}

/** Exercise 6.1: cpu_is_online() - whether @cpu has started; what it wrote until then is visible */
EXERCISE(6.1)
static bool cpu_is_online(const struct cpu *cpu)
{
	TODO(6.1);
}

/** Exercise 6.1: cpu_set_online() - @cpu, this CPU, has started; other CPUs do the same */
EXERCISE(6.1)
static void cpu_set_online(const struct cpu *cpu)
{
	TODO(6.1);
}

/**
 * Exercise 6.1: smp_start_cpu() - have the firmware start @cpu, and wait until it is online
 *
 * firmware_cpu_on() starts it at smp_entry with @cpu as its context id; Aff0 of its MPIDR_EL1 is its
 * index, the other affinities are 0. It will read its struct cpu with its caches off: clean that
 * first (dcache_clean_invalidate()). Between two looks whether it is online: cpu_relax(). If the
 * firmware refuses, console_printf() prints "CPU 1 cannot be started: PSCI error -2" and a newline.
 * Return: 0, or -EIO if the firmware refuses.
 */
EXERCISE(6.1)
static int smp_start_cpu(struct cpu *cpu)
{
	TODO(6.1);
}

void smp_secondary(struct cpu *cpu)
{
	layers_init_cpu(cpu);
	vcpu_enter(vcpu_prepare_entry(NULL));
}

/* The last layer: on the first CPU all others are up, and so the next one may start. */
int smp_init_cpu(struct cpu *cpu)
{
	const struct bundle_header *bundle = phys_to_virt(PA(PLAT_BUNDLE_BASE));
	int error = 0;

	cpu_set_online(cpu);
	if (cpu->index)
		return 0;
	for (u32 i = 1; !error && i < bundle->machine_cpus; i++)
		error = smp_start_cpu(&cpus[i]);
	return error;
}

/* ---- kick ---- */

/**
 * Exercise 6.3: smp_kick() - bring @cpu, another one, into EL2 or out of WFI
 *
 * Send it the SGI: gic_send_sgi(PLAT_INTID_KICK, cpu).
 */
EXERCISE(6.3)
void smp_kick(struct cpu *cpu)
{
	TODO(6.3);
}

/** Exercise 6.3: smp_kicked() - a kick came: this CPU is in EL2; no more. Return: IRQ_HANDLED */
EXERCISE(6.3)
enum irq_result smp_kicked(struct cpu *cpu, u32 intid)
{
	TODO(6.3);
}

/* ---- the waiting side of a spinlock ---- */

/**
 * Exercise 6.4: smp_spin_wait() - wait until *@taken is 0
 *
 * In a loop: WFE, then read *@taken by LDXR. That arms the exclusive monitor, which the owner's store
 * to *@taken clears: an event, so no SEV is needed, and a store that comes between the look and WFE
 * is not lost. The first WFE must not wait, since nothing is armed yet: SEVL goes before. No acquire:
 * who comes back tries to take the lock.
 */
EXERCISE(6.4)
void smp_spin_wait(const u32 *taken)
{
	NOT_YET(6.4);
	cpu_relax(); /* who comes back tries again */
}
