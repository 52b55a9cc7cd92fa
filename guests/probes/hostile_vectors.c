// SPDX-License-Identifier: MIT
/*
 * An endless loop of exceptions: VBAR_EL1 points where nothing is, so each exception raises the
 * next. Only preemption lets others live; this VM never ends by itself. The report is complete
 * before that.
 */
#include "probe.h"

void probe(void)
{
	report(true, "about to loop in exceptions", 0, 0);
	sysreg_write(vbar_el1, 0x0f000000);
	isb();
	asm volatile("msr daifclr, #15\n\tudf #0");
}
