// SPDX-License-Identifier: MIT
/*
 * Computes for ever with everything masked and never gives way. The report is complete before that.
 */
#include "probe.h"
#include "timer.h"

void probe(void)
{
	report(true, "about to spin", 0, 0);
	for (;;)
		spin_burst();
}
