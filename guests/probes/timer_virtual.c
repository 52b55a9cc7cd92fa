// SPDX-License-Identifier: MIT
/* The EL1 virtual timer: guests/lib/timer_checks.c has its properties. As one or several VMs. */
#include "probe.h"
#include "timer_checks.h"

void probe(void)
{
	timer_checks(TIMER_VIRTUAL);
}
