// SPDX-License-Identifier: MIT
/* The EL1 physical timer; the properties are in guests/lib/timer_checks.c. May run as several VMs. */
#include "probe.h"
#include "timer_checks.h"

void probe(void)
{
	timer_checks(TIMER_PHYSICAL);
}
