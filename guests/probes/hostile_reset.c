// SPDX-License-Identifier: MIT
/*
 * Resets itself as soon as it runs, for ever. To be packed beside a victim; this probe never
 * completes.
 */
#include "probe.h"

void probe(void)
{
	write64(free_memory(), random());
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
	report(false, "SYSTEM_RESET does not return", 1, 0);
}
