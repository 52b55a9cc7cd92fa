// SPDX-License-Identifier: MIT
/*
 * A VM that turns its only CPU off can do nothing any more: it has ended, by its own request, and
 * the others go on. To be packed as two VMs: VM 0 does it.
 */
#include "probe.h"

void probe(void)
{
	if (guest.vm == 0) {
		hvc(PSCI_CPU_OFF, 0, 0, 0);
		report(false, "CPU_OFF does not return", 1, 0);
		return;
	}
	for (unsigned i = 0; i < 64; i++)
		vm_yield();
	report_equal("another VM runs on", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
