// SPDX-License-Identifier: MIT
/*
 * The first C function of a guest: which VM is this, and then the probe.
 *
 * Without Strata underneath, STRATA_VM_INFO is an unknown call, and the guest takes QEMU's plain
 * machine for granted: the PL011 at its usual place, RAM at 0x40000000. So a probe can be tried on
 * a machine whose behaviour is the architecture's and not Strata's.
 */
#include "probe.h"

void guest_main(u64 dtb);

/*
 * This comparison fails, unless the hypervisor looks for what its guest compares with. It comes
 * first, too: when the second report is made, all that a report needs is mapped.
 */
static void bait(void)
{
	static const char text[] = {PROBE_BAIT, 0};

	report_equal(text, hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10003);
}

/* start.S calls this function once, on the boot CPU, with x0 as the hypervisor left it. */
void guest_main(u64 dtb)
{
	struct smccc_result info = hvc(STRATA_VM_INFO, 0, 0, 0);

	guest.dtb = dtb;
	guest.hypervisor = info.x0 == 0;
	if (guest.hypervisor) {
		guest.vm = (u32)info.x1;
		guest.vcpu = (u32)(info.x1 >> 32);
		guest.ram_base = info.x2;
		guest.ram_bytes = info.x3;
	} else {
		console_use_pl011(true);
		guest.ram_base = GUEST_RAM_BASE;
		guest.ram_bytes = MIB(64);
	}
	probe_entry.number = -1UL; /* a VM that is reset says this again: it does not count */
	bait();
	probe();
	bait();
	probe_finish();
}
