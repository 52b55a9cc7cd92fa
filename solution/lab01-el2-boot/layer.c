// SPDX-License-Identifier: MIT
/*
 * Layer 1 on one page: how it starts, and which function is there for what. Behind the macros
 * stands the registry (kit/registry.h), by which higher layers add to these tables with a layer.c
 * of theirs.
 */
#include "el2_boot.h"
#include "guest_memory.h"
#include "internal.h"
#include "stacks.h"

/*
 * What others may look at before a CPU has started, and what its first instructions need. The boot
 * CPU has its stacks.
 */
static void cpus_init(void)
{
	run_queue_init(&cpus[0]);
	for (u32 i = 1; i < PLAT_CPU_MAX; i++) {
		cpus[i].index = i;
		cpus[i].stack_top = (u64)(cpu_stacks[i].stack + sizeof(cpu_stacks[i].stack));
		cpus[i].emergency_top =
			(u64)(cpu_stacks[i].emergency + sizeof(cpu_stacks[i].emergency));
		run_queue_init(&cpus[i]);
	}
}

static int el2_boot_init(void)
{
	cpus_init();
	trap_dispatch_init();
	world_init();
	return 0;
}

static int el2_boot_init_cpu(struct cpu *cpu)
{
	debug_init_cpu();
	return el2_configure(cpu);
}

LAYER(1, el2_boot, .init = el2_boot_init, .init_cpu = el2_boot_init_cpu);
VCPU_HOOKS(1, .reset = world_reset, .load = world_load, .save = world_save);

GUEST_MEMORY(1, .name = "flat", .create = flat_create, .release = flat_release,
	     .destroy = flat_destroy, .page = flat_page);

/* A class that nobody claims is reflected: trap.c. */
TRAP_HANDLER(ESR_EC_CP15_32, trap_aarch32);
TRAP_HANDLER(ESR_EC_CP15_64, trap_aarch32);
TRAP_HANDLER(ESR_EC_CP14_32, trap_aarch32);
TRAP_HANDLER(ESR_EC_CP14_64, trap_aarch32);
TRAP_HANDLER(ESR_EC_FP, trap_fp);
TRAP_HANDLER(ESR_EC_HVC64, trap_hvc);
TRAP_HANDLER(ESR_EC_SMC64, trap_smc);
TRAP_HANDLER(ESR_EC_SYSREG, trap_sysreg);

/* System registers: sysreg_fallback() answers for those that no layer claims one by one. */

HYPERCALL(SMCCC_VERSION, smccc_version);
HYPERCALL(SMCCC_ARCH_FEATURES, smccc_arch_features);
HYPERCALL(PSCI_VERSION, psci_version);
HYPERCALL(PSCI_FEATURES, psci_features);
HYPERCALL(PSCI_SYSTEM_OFF, psci_system_off);
HYPERCALL(PSCI_SYSTEM_RESET, psci_system_reset);
HYPERCALL(STRATA_UID, strata_uid);
HYPERCALL(STRATA_YIELD, strata_yield);
HYPERCALL(STRATA_CONSOLE_PUTC, strata_console_putc);
HYPERCALL(STRATA_VM_INFO, strata_vm_info);

/* The machine has one CPU, whose wait ends at once, until a higher layer claims these. */
HYPERCALL_FALLBACK(PSCI_CPU_SUSPEND_32, one_cpu_suspend);
HYPERCALL_FALLBACK(PSCI_CPU_SUSPEND_64, one_cpu_suspend);
HYPERCALL_FALLBACK(PSCI_CPU_OFF, one_cpu_off);
HYPERCALL_FALLBACK(PSCI_CPU_ON_32, one_cpu_on);
HYPERCALL_FALLBACK(PSCI_CPU_ON_64, one_cpu_on);
HYPERCALL_FALLBACK(PSCI_AFFINITY_INFO_32, one_cpu_affinity_info);
HYPERCALL_FALLBACK(PSCI_AFFINITY_INFO_64, one_cpu_affinity_info);
HYPERCALL_FALLBACK(PSCI_MIGRATE_INFO_TYPE, one_cpu_migrate_info_type);
