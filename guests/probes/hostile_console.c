// SPDX-License-Identifier: MIT
/*
 * Writes control characters, escape sequences and endless lines to the console, by call and by
 * device. The probe completes after 16 KiB.
 */
#include "probe.h"

void probe(void)
{
	for (unsigned i = 0; i < 16384; i++)
		hvc(STRATA_CONSOLE_PUTC, random(), random(), random());
	hvc(STRATA_CONSOLE_PUTC, '\n', 0, 0);
	report_equal("the console takes every byte", hvc(STRATA_CONSOLE_PUTC, 0x1b, 0, 0).x0, 0);
}
