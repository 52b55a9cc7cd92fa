// SPDX-License-Identifier: MIT
/*
 * The calls about CPUs that PSCI makes mandatory (DEN 0022, "Functions required"), on a machine
 * with one CPU: this CPU is on, and there is no other.
 */
#include "cpu.h"
#include "probe.h"

#define MPIDR_AFFINITY 0xff00ffffffUL
#define INVALID_PARAMETERS ((u32)(-2))
#define ALREADY_ON ((u32)(-4))
#define AFFINITY_ON 0

static u32 psci(u64 fid, u64 a, u64 b, u64 c)
{
	return (u32)hvc(fid, a, b, c).x0;
}

static void features(void)
{
	static const u32 mandatory[] = {
		PSCI_VERSION,	 PSCI_CPU_SUSPEND_32, PSCI_CPU_SUSPEND_64,   PSCI_CPU_OFF,
		PSCI_CPU_ON_32,	 PSCI_CPU_ON_64,      PSCI_AFFINITY_INFO_32, PSCI_AFFINITY_INFO_64,
		PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET,   PSCI_FEATURES,
	};
	u64 missing = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(mandatory); i++)
		missing |= psci(PSCI_FEATURES, mandatory[i], 0, 0) ? BIT(i) : 0;
	report_equal("PSCI_FEATURES knows every mandatory function", missing, 0);
	report_equal("no trusted OS needs to be migrated", psci(PSCI_MIGRATE_INFO_TYPE, 0, 0, 0),
		     2);
}

static void cpu_on(u64 me)
{
	u64 entry = (u64)&probe_entry;

	report_equal("CPU_ON of the caller: ALREADY_ON", psci(PSCI_CPU_ON_64, me, entry, 0),
		     ALREADY_ON);
	report_equal("CPU_ON of Aff0 + 1: INVALID_PARAMETERS",
		     psci(PSCI_CPU_ON_64, me + 1, entry, 0), INVALID_PARAMETERS);
	report_equal("CPU_ON of Aff3 + 1: INVALID_PARAMETERS",
		     psci(PSCI_CPU_ON_64, me + BIT(32), entry, 0), INVALID_PARAMETERS);
	report_equal("CPU_ON with a bit set that is no affinity: INVALID_PARAMETERS",
		     psci(PSCI_CPU_ON_64, me | BIT(31), entry, 0), INVALID_PARAMETERS);
	report_equal("CPU_ON by 32-bit call: ALREADY_ON, upper halves ignored",
		     psci(PSCI_CPU_ON_32, me | random() << 32, entry, 0), ALREADY_ON);
}

static void affinity_info(u64 me)
{
	report_equal("AFFINITY_INFO of the caller: ON", psci(PSCI_AFFINITY_INFO_64, me, 0, 0),
		     AFFINITY_ON);
	report_equal("AFFINITY_INFO of Aff0 + 1: INVALID_PARAMETERS",
		     psci(PSCI_AFFINITY_INFO_64, me + 1, 0, 0), INVALID_PARAMETERS);
	report_equal("AFFINITY_INFO of Aff0 + 1 at level 1, which has the caller: ON",
		     psci(PSCI_AFFINITY_INFO_64, me + 1, 1, 0), AFFINITY_ON);
	report_equal("AFFINITY_INFO at level 3: ON", psci(PSCI_AFFINITY_INFO_64, me, 3, 0),
		     AFFINITY_ON);
	report_equal("AFFINITY_INFO at level 4: INVALID_PARAMETERS",
		     psci(PSCI_AFFINITY_INFO_64, me, 4, 0), INVALID_PARAMETERS);
	report_equal("AFFINITY_INFO by 32-bit call, upper halves ignored: ON",
		     psci(PSCI_AFFINITY_INFO_32, me | random() << 32, random() << 32, 0),
		     AFFINITY_ON);
}

/* Levels above that of a CPU, and bits that are reserved; of X1 the lower half counts. */
static void suspend(void)
{
	static const u32 states[] = {1u << 17, 1u << 24, 1u << 25, 1u << 26 | 1u << 16, 1u << 31};
	u64 taken = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		u64 state = states[i] | random() << 32;

		taken |= psci(PSCI_CPU_SUSPEND_64, state, 0, 0) != INVALID_PARAMETERS ? BIT(i) : 0;
		taken |= psci(PSCI_CPU_SUSPEND_32, state, 0, 0) != INVALID_PARAMETERS ? BIT(i) : 0;
	}
	report_equal("CPU_SUSPEND to a power state that there is not: INVALID_PARAMETERS", taken,
		     0);
}

void probe(void)
{
	u64 me = sysreg_read(mpidr_el1) & MPIDR_AFFINITY;

	features();
	suspend();
	cpu_on(me);
	affinity_info(me);
}
