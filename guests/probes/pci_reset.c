// SPDX-License-Identifier: MIT
/*
 * A VM resets itself while its device is at work and its interrupt is pending. In its next life what the
 * device was told before does not arrive, the line is quiet, and the device works.
 */
#include "edu.h"
#include "gic.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

#define MARK_US 200000 /* by then the first life has ended; a transfer takes 100 ms */
#define ABOVE_MARK_US 300000

static u64 target;

static void sleep_until(u64 physical_us)
{
	while (counter_physical() < ticks_from_us(physical_us))
		spin_burst();
}

static void first_life(void)
{
	struct edu edu = edu_open(0);

	write64(target, random() | 1);
	edu_read(&edu, target, 8);
	sleep_until(MARK_US - 20000);
	edu_start(&edu, EDU_BUFFER, target, 8, EDU_DMA_TO_RAM);
	write32(edu.bar + EDU_RAISE, 1);
	sleep_until(MARK_US);
	print("first life ends\n");
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}

static void second_life(void)
{
	struct edu edu = edu_open(0);
	u64 value = random() | 1;

	gic_enable(pci_intid(pci_find(EDU_ID, 0)));
	report_equal("no interrupt is left over", irq_is_signalled(), 0);
	sleep_until(ABOVE_MARK_US);
	report_equal("what the device was told in an earlier life does not arrive", read64(target),
		     0);
	report_equal("no interrupt comes of it", irq_is_signalled(), 0);
	write64(target, value);
	edu_read(&edu, target, 8);
	write64(target, 0);
	edu_write(&edu, target, 8);
	report_equal("the device works", read64(target), value);
	write32(edu.bar + EDU_RAISE, 1);
	report_equal("its interrupt too", irq_wait_signalled(), 1);
}

void probe(void)
{
	target = align_up(free_memory(), MIB(2));
	if (counter_physical() < ticks_from_us(MARK_US))
		first_life();
	else
		second_life();
}
