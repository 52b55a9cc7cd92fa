// SPDX-License-Identifier: MIT
/*
 * PSCI between several vCPUs: every result of CPU_ON, CPU_OFF and AFFINITY_INFO, what a vCPU finds
 * when it starts, two that start the same one, and the boot CPU off and on again. DEN 0022.
 */
#include "mmu.h"
#include "probe.h"
#include "smp.h"

#define PSTATE_AT_START 0x3c5 /* EL1h, all masked */
#define RACES 24

static u32 count;

/* A place in free memory for what the context argument of CPU_ON leads to. */
static struct smp_cpu *random_context(u32 cpu)
{
	struct smp_cpu *context = (struct smp_cpu *)(free_memory() + random() % 1024 * 64);

	*context = (struct smp_cpu){.stack_top = smp_cpus[cpu].stack_top};
	return context;
}

static u32 on(u32 cpu, const struct smp_cpu *context)
{
	smp_wake();
	return psci(PSCI_CPU_ON_64, cpu, (u64)smp_entry, (u64)context);
}

static void who_is_there(void)
{
	u64 wrong = 0;

	report_equal("the VM has four vCPUs", count, 4);
	for (u32 cpu = 1; cpu < count; cpu++)
		wrong |= smp_affinity(cpu) != AFFINITY_INFO_OFF ? BIT(cpu) : 0;
	report_equal("at the start all others are OFF (bit n: vCPU n)", wrong, 0);
	report_equal("AFFINITY_INFO of the caller: ON", smp_affinity(0), AFFINITY_INFO_ON);
	report_equal("AFFINITY_INFO behind the last: INVALID_PARAMETERS", smp_affinity(count),
		     PSCI_ERROR_INVALID_PARAMETERS);
	report_equal("AFFINITY_INFO of a whole cluster with one ON: ON",
		     psci(PSCI_AFFINITY_INFO_64, 1, 1, 0), AFFINITY_INFO_ON);
}

static void invalid(void)
{
	u64 entry = (u64)smp_entry;

	report_equal("CPU_ON of the caller: ALREADY_ON", psci(PSCI_CPU_ON_64, 0, entry, 0),
		     PSCI_ERROR_ALREADY_ON);
	report_equal("CPU_ON behind the last: INVALID_PARAMETERS",
		     psci(PSCI_CPU_ON_64, count, entry, 0), PSCI_ERROR_INVALID_PARAMETERS);
	report_equal("CPU_ON of 1 with Aff1 = 1: INVALID_PARAMETERS",
		     psci(PSCI_CPU_ON_64, 0x101, entry, 0), PSCI_ERROR_INVALID_PARAMETERS);
	report_equal("CPU_ON of 1 with Aff3 = 1: INVALID_PARAMETERS",
		     psci(PSCI_CPU_ON_64, BIT(32) | 1, entry, 0), PSCI_ERROR_INVALID_PARAMETERS);
	if (guest.hypervisor) { /* QEMU's own PSCI starts a CPU anywhere */
		u64 beyond = ram_end() + MIB(1);

		report_equal("CPU_ON with an entry point outside of RAM: INVALID_ADDRESS",
			     psci(PSCI_CPU_ON_64, 1, beyond, 0), PSCI_ERROR_INVALID_ADDRESS);
		report_equal("and in a device: INVALID_ADDRESS",
			     psci(PSCI_CPU_ON_64, 1, GUEST_UART_BASE, 0),
			     PSCI_ERROR_INVALID_ADDRESS);
	}
	u32 result = psci(PSCI_CPU_ON_64, 1, entry + 2, 0);
	report(result == PSCI_ERROR_INVALID_ADDRESS || result == PSCI_ERROR_INVALID_PARAMETERS,
	       "CPU_ON with an entry point that is no multiple of 4 fails", result,
	       PSCI_ERROR_INVALID_ADDRESS);
	report_equal("after all that it is still OFF", smp_affinity(1), AFFINITY_INFO_OFF);
}

static void starts(void)
{
	struct smp_cpu *context;
	u32 result, before, after;

	for (u32 cpu = 1; cpu < count; cpu++) { /* each has its stack from here on */
		smp_on(cpu);
		smp_off(cpu);
	}
	context = random_context(1);
	result = on(1, context);
	before = smp_affinity(1);
	report_equal("CPU_ON: SUCCESS", result, 0);
	report(before == AFFINITY_INFO_ON || before == AFFINITY_INFO_ON_PENDING,
	       "at once after that it is ON, or about to be", before, AFFINITY_INFO_ON);
	report_equal("it starts, with the context argument in x0",
		     smp_wait_for(&context->entered, 1), 1);
	after = smp_affinity(1);
	report_equal("then it is ON", after, AFFINITY_INFO_ON);
	report_equal("it starts at EL1h with all masked", context->pstate, PSTATE_AT_START);
	report_equal("and with the MMU and the data cache off", context->sctlr & 5, 0);
	report_equal("CPU_ON of one that is on: ALREADY_ON", on(1, context), PSCI_ERROR_ALREADY_ON);
	report_equal("and changes nothing there", context->entered, 1);
}

static volatile u64 found[4];

static void make_dirty(u64 argument)
{
	mmu_enable_cpu();
	sysreg_write(tpidr_el1, argument);
	sysreg_write(vbar_el1, argument & ~0x7ffUL & (GIB(1) - 1));
	sysreg_write(cntv_cval_el0, 0);
	sysreg_write(cntv_ctl_el0, 1);
	hvc(PSCI_CPU_OFF, 0, 0, 0);
}

static void look(u64 argument)
{
	found[0] = sysreg_read(cntv_ctl_el0) & 1;
	found[1] = sysreg_read(mpidr_el1) & 0xff00ffffff;
	found[2] = argument;
}

static bool is_off_soon(u32 cpu)
{
	for (u32 step = 0; smp_patient(step); step++) {
		if (smp_affinity(cpu) == AFFINITY_INFO_OFF)
			return true;
		smp_relax(step);
	}
	return false;
}

/* vCPU 1 goes on with a context of its own, and vCPU 2 is the one that goes and comes. */
static void goes_off(void)
{
	/* QEMU's own PSCI looks at the upper halves. */
	u64 number = random(), upper = guest.hypervisor ? random() << 32 : 0;

	report_equal("CPU_ON while it is on, by 32-bit call, upper halves ignored: ALREADY_ON",
		     psci(PSCI_CPU_ON_32, 1 | upper, (u64)smp_entry, 0), PSCI_ERROR_ALREADY_ON);
	smp_on(2);
	report_equal("another one starts beside it", smp_affinity(2), AFFINITY_INFO_ON);
	smp_post(2, make_dirty, number);
	report_equal("CPU_OFF: it is OFF, with MMU and timer on", is_off_soon(2), 1);
	report_equal("started anew: SUCCESS", smp_on(2), 0);
	report_equal("the MMU is off again", smp_cpus[2].sctlr & 5, 0);
	report_equal("and all is masked again", smp_cpus[2].pstate, PSTATE_AT_START);
	report_equal("it works", smp_call(2, look, number), 1);
	report_equal("its timer is off", found[0], 0);
	report_equal("its MPIDR is its own", found[1], 2);
	report_equal("and it was told what to do", found[2], number);
	report_equal("it has started as often as it was told", smp_cpus[2].entered, 3);
	smp_off(2);
}

/* Two vCPUs start a third at the same time: one of them does. */
static volatile u64 go, results[2];

static void race(u64 argument)
{
	u64 round = argument >> 8, who = argument & 0xff;
	u32 step = 0;

	while (go < round)
		smp_relax(step++);
	results[who] = psci(PSCI_CPU_ON_64, count - 1, (u64)smp_entry, (u64)&smp_cpus[count - 1]);
}

static bool lost(u64 result)
{
	return result == PSCI_ERROR_ALREADY_ON || result == PSCI_ERROR_ON_PENDING;
}

static void races(void)
{
	u64 wrong = 0, never_off = 0, twice = 0;
	struct smp_cpu *third = &smp_cpus[count - 1];

	smp_on(2);
	for (u64 round = 1; round <= RACES; round++) {
		u64 entered = third->entered;

		smp_post(2, race, round << 8 | 1);
		go = round;
		smp_wake();
		race(round << 8);
		smp_wait(2);
		smp_wait_for(&third->entered, entered + 1);
		wrong += (results[0] == 0) + (results[1] == 0) != 1 ||
			 lost(results[0]) + lost(results[1]) != 1;
		twice += third->entered != entered + 1;
		never_off += !smp_off(count - 1);
	}
	report_equal("of two that start the same vCPU one succeeds, the other is told", wrong, 0);
	report_equal("and it starts once", twice, 0);
	report_equal("and can be switched off again", never_off, 0);
	smp_off(2);
}

/* The boot CPU is like the others: off it goes, and another one starts it. */
static void start_boot_cpu(u64 argument)
{
	u32 step = 0;

	while (smp_affinity(0) != AFFINITY_INFO_OFF && smp_patient(step))
		smp_relax(step++);
	found[3] = smp_patient(step);
	found[2] = argument;
	smp_cpus[0].posted = 0;
	smp_on(0);
}

static void boot_cpu_again(u64 argument)
{
	report_equal("the boot CPU was OFF", found[3], 1);
	report_equal("and has come back, at the entry that it was given", smp_index(), 0);
	report_equal("with its work", argument, found[2]);
	report_equal("the one that started it is ON", smp_affinity(count - 1), AFFINITY_INFO_ON);
	probe_finish();
}

static void start_boot_cpu_and_tell(u64 argument)
{
	start_boot_cpu(argument);
	smp_post(0, boot_cpu_again, argument);
}

void probe(void)
{
	count = smp_count();
	mmu_enable(); /* its tables; the vCPUs start with the MMU off */
	mmu_disable();
	who_is_there();
	invalid();
	starts();
	goes_off();
	races();
	smp_on(count - 1);
	smp_post(count - 1, start_boot_cpu_and_tell, random());
	hvc(PSCI_CPU_OFF, 0, 0, 0);
	report(false, "CPU_OFF does not return", 0, 0);
}
