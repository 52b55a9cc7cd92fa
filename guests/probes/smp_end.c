// SPDX-License-Identifier: MIT
/*
 * vCPU 0 powers the VM off while vCPU 1 computes, or sleeps without anything that might wake it. Nothing
 * is reported: whoever is outside looks whether vCPU 1 is told.
 */
#include "probe.h"
#include "smp.h"
#include "timer.h"

volatile u64 other_sleeps = 1; /* the harness has the number */
static volatile u64 begun;

static void other(u64 sleeps)
{
	begun = 1;
	smp_wake();
	for (;;) {
		if (sleeps)
			asm volatile("wfi" ::: "memory");
		else
			spin_burst();
	}
}

void probe(void)
{
	smp_on(1);
	smp_post(1, other, other_sleeps);
	smp_wait_for(&begun, 1);
	vm_yield();
	spin_ticks(ticks_from_us(200 + seed_number() % 200));
	hvc(PSCI_SYSTEM_OFF, 0, 0, 0);
}
