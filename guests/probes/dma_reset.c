// SPDX-License-Identifier: MIT
/*
 * What a device was told to do in one life of a VM does nothing in the next, and the device is as new.
 *
 * Nothing in the VM outlives a reset, so lives are told apart by physical time: the first ends in the
 * middle of a transfer to memory, the second after the device has been cut off.
 */
#include "edu.h"
#include "pci.h"
#include "probe.h"
#include "timer.h"

#define FIRST_ENDS_US 500000
#define SECOND_ENDS_US 1500000
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

static void ends_during_a_transfer(void)
{
	load_buffer(free_memory());
	sleep_past(FIRST_ENDS_US);
	edu_start(&edu, EDU_BUFFER, align_up(free_memory(), MIB(2)), BYTES, EDU_DMA_TO_RAM);
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}

static void ends_cut_off(void)
{
	u64 from = free_memory(), to = memory_end();

	report_equal("RAM is zero after a reset", count_nonzero(from, to), 0);
	edu_sleep_until(counter() + ticks_from_us(200000));
	report_equal("and stays so when a transfer of the last life would be over",
		     count_nonzero(from, to), 0);
	load_buffer(from);
	edu_write(&edu, to - 4096, BYTES);
	report_equal("the device writes again", count_nonzero(to - 4096, to), BYTES / 8);
	edu_write(&edu, ram_end(), BYTES);
	edu_write(&edu, to - 8192, BYTES);
	report_equal("until it is cut off", count_nonzero(to - 8192, to - 4096), 0);
	sleep_past(SECOND_ENDS_US);
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
}

void probe(void)
{
	u64 start = counter_physical();

	edu = edu_open(0);
	report_equal("the device answers", edu.bar ? read32(edu.bar + EDU_VERSION) : 0, 0x010000ed);
	if (start < ticks_from_us(FIRST_ENDS_US))
		ends_during_a_transfer();
	if (start < ticks_from_us(SECOND_ENDS_US))
		ends_cut_off();
	load_buffer(free_memory());
	edu_write(&edu, align_up(free_memory(), MIB(2)), BYTES);
	report_equal("in the next life it writes",
		     count_nonzero(align_up(free_memory(), MIB(2)),
				   align_up(free_memory(), MIB(2)) + BYTES),
		     BYTES / 8);
}
