// SPDX-License-Identifier: MIT
/*
 * Before layer 4 nothing can end a wait: CPU_SUSPEND is a standby that ends at once, which callers
 * have to expect (DEN 0022, "CPU_SUSPEND").
 */
#include "probe.h"

void probe(void)
{
	report_equal("CPU_SUSPEND (64-bit) returns SUCCESS", hvc(PSCI_CPU_SUSPEND, 0, 0, 0).x0, 0);
	report_equal("CPU_SUSPEND (32-bit) returns SUCCESS", hvc(PSCI_CPU_SUSPEND32, 0, 0, 0).x0,
		     0);
}
