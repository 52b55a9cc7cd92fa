// SPDX-License-Identifier: MIT
/*
 * Devices of several VMs are refused at the same time: all transfers are started within a millisecond,
 * the unit of edu's timer, and so end together. To be packed at least twice.
 */
#include "edu.h"
#include "probe.h"
#include "timer.h"

#define START_US 40200
#define BYTES 16

void probe(void)
{
	struct edu edu = edu_open(0);
	u64 last = ram_end() - BYTES;

	report(edu.bar != 0, "the VM has a device", edu.bar, 1);
	write64(last, 0);
	edu_sleep_until(counter() + ticks_from_us(START_US) - counter_physical());
	edu_write(&edu, ram_end(), BYTES);
	report_equal("RAM is as it was", read64(last), 0);
}
