// SPDX-License-Identifier: MIT
/* Computes until ten seconds after the machine was switched on, and gives way to nobody. */
#include "probe.h"
#include "timer.h"

#define SECONDS 10
#define BURSTS 50 /* between two looks, each of which costs the emulator more than a burst */

void probe(void)
{
	u64 end = SECONDS * sysreg_read(cntfrq_el0);

	while (counter_physical() < end) {
		for (int i = 0; i < BURSTS; i++)
			spin_burst();
	}
	report(true, "it is done", 0, 0);
}
