// SPDX-License-Identifier: MIT
/*
 * Hypercalls with random arguments, known and unknown ids, by HVC and SMC, from EL1h and EL1t.
 * Only calls that end or suspend this VM are left out.
 */
#include "probe.h"

static const u32 known[] = {
	SMCCC_VERSION,
	SMCCC_ARCH_FEATURES,
	STRATA_UID,
	PSCI_VERSION,
	PSCI_FEATURES,
	PSCI_CPU_ON_64,
	PSCI_CPU_ON_32,
	PSCI_AFFINITY_INFO_64,
	PSCI_AFFINITY_INFO_32,
	0x84000005,
	0xc4000005,
	PSCI_MIGRATE_INFO_TYPE,
	0x84000007,
	STRATA_VM_INFO,
	STRATA_YIELD,
	0x8400000b,
	0xc400000c,
	STRATA_MEMORY_STATS,
	STRATA_MEMORY_RELEASE,
	0x84000012,
};

static u64 argument(void)
{
	u64 value = random();

	switch (value & 7) {
	case 0:
		return 0;
	case 1:
		return ~0UL;
	case 2:
		return ram_end() - (value >> 8 & 0xffff);
	case 3:
		return guest.ram_base + guest.ram_bytes / 2 + (value >> 8 & 0xfff000);
	case 4:
		return value >> 40;
	default:
		return value;
	}
}

static void hammer(void *unused)
{
	for (unsigned i = 0; i < 10000; i++) {
		u64 id = random() & 1 ? known[random() % ARRAY_SIZE(known)] : random();
		u64 a = argument(), b = argument(), c = argument();
		u32 fid = (u32)id;

		if (fid == PSCI_SYSTEM_OFF || fid == PSCI_SYSTEM_RESET || fid == PSCI_CPU_OFF ||
		    fid == PSCI_CPU_SUSPEND_64 || fid == PSCI_CPU_SUSPEND_32 ||
		    fid == STRATA_CONSOLE_PUTC)
			continue;
		/* Releasing this image would be suicide, not hostility. */
		if (fid == STRATA_MEMORY_RELEASE && a < guest.ram_base + guest.ram_bytes / 2)
			a += guest.ram_bytes / 2;
		if (random() & 1)
			hvc(id, a, b, c);
		else
			smc(id, a, b, c);
	}
}

void probe(void)
{
	report(!exception_catch(MODE_EL1H, hammer, NULL), "10000 calls from EL1h, no exception",
	       exception_seen.esr, 0);
	report(!exception_catch(MODE_EL1T, hammer, NULL), "10000 calls from EL1t, no exception",
	       exception_seen.esr, 0);
	report_equal("and the hypervisor serves calls", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
	report_equal("VM_INFO still tells the same", hvc(STRATA_VM_INFO, 0, 0, 0).x3,
		     guest.ram_bytes);
}
