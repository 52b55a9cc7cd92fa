// SPDX-License-Identifier: MIT
/*
 * What a device was told to do in one life of a VM does nothing in the next, and the device is as new.
 *
 * Nothing in the VM outlives a reset, so its two lives are told apart by physical time. In VM 0 the
 * first ends in the middle of a transfer to memory, in another VM after the device was cut off.
 */
#include "edu.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

#define FIRST_ENDS_US 500000
#define BYTES 4088

static struct edu edu;

/* Until the physical count says that this life has lasted long enough for the next to know. */
static void sleep_past(u64 us)
{
	while (counter_physical() < ticks_from_us(us))
		edu_sleep_until(counter() + ticks_from_us(10000));
}

static u64 count_nonzero(u64 from, u64 to)
{
	u64 nonzero = 0;

	for (u64 at = from; at < to; at += 8)
		nonzero += read64(at) != 0;
	return nonzero;
}

static void load_buffer(u64 at)
{
	for (u64 i = 0; i < BYTES; i += 8)
		write64(at + i, random() | 1);
	edu_read(&edu, at, BYTES);
}

/* VM 0's device is busy when this life ends, that of another VM is cut off. */
static void first_life(void)
{
	u64 target = align_up(free_memory(), MIB(2));

	load_buffer(free_memory());
	if (guest.vm != 0)
		edu_write(&edu, ram_end(), BYTES);
	sleep_past(FIRST_ENDS_US);
	edu_start(&edu, EDU_BUFFER, target, BYTES, EDU_DMA_TO_RAM);
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}

static void second_life(void)
{
	u64 from = free_memory(), to = memory_end();

	report_equal("RAM is zero after a reset", count_nonzero(from, to), 0);
	edu_sleep_until(counter() + ticks_from_us(200000));
	report_equal("and stays so when a transfer of the last life would be over",
		     count_nonzero(from, to), 0);
	load_buffer(from);
	edu_write(&edu, to - 4096, BYTES);
	report_equal("the device writes again", count_nonzero(to - 4096, to), BYTES / 8);
}

void probe(void)
{
	u64 start = counter_physical();

	edu = edu_open(0);
	if (start < ticks_from_us(FIRST_ENDS_US))
		first_life();
	report_equal("the device answers", edu.bar ? read32(edu.bar + EDU_VERSION) : 0, 0x010000ed);
	second_life();
}
