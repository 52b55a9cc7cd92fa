// SPDX-License-Identifier: MIT
/*
 * SYSTEM_OFF by SMC ends the VM that asked, never the machine. To be packed as two VMs: VM 0
 * asks, the others prove that they live on afterwards. (With HCR_EL2.TSC clear the call would
 * reach the firmware.)
 */
#include "probe.h"

void probe(void)
{
	if (guest.vm == 0) {
		for (unsigned i = 0; i < 4; i++)
			vm_yield();
		report(true, "VM 0 powers off by SMC", 0, 0);
		smc(PSCI_SYSTEM_OFF, 0, 0, 0);
		report(false, "SYSTEM_OFF does not return", 1, 0);
		return;
	}
	for (unsigned i = 0; i < 64; i++)
		vm_yield();
	report(true, "another VM runs on after VM 0 powered off by SMC", 0, 0);
	report_equal("and its calls are served", smc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
