// SPDX-License-Identifier: MIT
/* The EL1 physical timer: guests/lib/timer_checks.c has its properties. As one or several VMs. */
#include "probe.h"
#include "timer_checks.h"

void probe(void)
{
	timer_checks(TIMER_PHYSICAL);
}
