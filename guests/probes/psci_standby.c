// SPDX-License-Identifier: MIT
/*
 * Below layer 4 no event can end a wait, so CPU_SUSPEND is a standby that ends at once. Callers
 * have to expect that (DEN 0022, "CPU_SUSPEND").
 */
#include "probe.h"

void probe(void)
{
	report_equal("CPU_SUSPEND (64-bit) returns SUCCESS", hvc(PSCI_CPU_SUSPEND_64, 0, 0, 0).x0,
		     0);
	report_equal("CPU_SUSPEND (32-bit) returns SUCCESS", hvc(PSCI_CPU_SUSPEND_32, 0, 0, 0).x0,
		     0);
}
