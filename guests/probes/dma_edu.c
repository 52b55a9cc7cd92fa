// SPDX-License-Identifier: MIT
/*
 * A device of one's own: edu reads and writes the VM's memory, and nothing else. What it read where it
 * may not is seen by having it write its buffer to RAM.
 */
#include "edu.h"
#include "pci.h"
#include "probe.h"

#define WORDS 16
#define BYTES (8 * WORDS)
#define REFUSED_BUSY (~15UL) /* -EBUSY */

static struct edu edu;
static u64 source, target;

static void set_words(u64 address, u64 first)
{
	for (u64 i = 0; i < WORDS; i++)
		write64(address + 8 * i, first + i);
}

static u64 wrong_words(u64 address, u64 first)
{
	u64 wrong = 0;

	for (u64 i = 0; i < WORDS; i++)
		wrong += read64(address + 8 * i) != first + i;
	return wrong;
}

static void own_memory(void)
{
	u64 secret = random(), last = ram_end() - 4096;

	set_words(source, secret);
	edu_read(&edu, source, BYTES);
	edu_write(&edu, target, BYTES);
	report_equal("what the device read it wrote elsewhere", wrong_words(target, secret), 0);
	edu_write(&edu, last, BYTES);
	report_equal("the last page of RAM as well", wrong_words(last, secret), 0);
	report_equal("memory that a device may use is not given back",
		     hvc(STRATA_MEMORY_RELEASE, target, 4096, 0).x0, REFUSED_BUSY);
	report_equal("and is as it was", wrong_words(target, secret), 0);
	report_equal("all of it is there from the start", hvc(STRATA_MEMORY_STATS, 0, 0, 0).x2,
		     guest.ram_bytes);
}

/* Eight bytes are two events. */
static void reads_nothing(u64 address, const char *text)
{
	set_words(target, random() | 1);
	edu_read(&edu, source, 8);
	edu_read(&edu, address, 8);
	edu_write(&edu, target, 8);
	report_equal(text, read64(target), 0);
}

static void others_memory(void)
{
	write64(source, ~0UL);
	reads_nothing(ram_end() + 4096 * (random() % 1024), "nothing is read behind RAM");
	reads_nothing(guest.ram_base - 4096, "nor before it");
	reads_nothing(0x09000018, "nor from the serial port");
	reads_nothing(edu.bar + EDU_VERSION, "nor from its own registers");
	reads_nothing(pci_config(2, 0), "nor from configuration space");
	reads_nothing(1UL << 39, "nor beyond the addresses that the VM has");
	reads_nothing(~0UL - 7, "nor at the end of all");
	write32(edu.bar + EDU_LIVENESS, 0);
	edu_read(&edu, source, 8);
	edu_write(&edu, edu.bar + EDU_LIVENESS, 4);
	report_equal("nothing is written to its own registers", read32(edu.bar + EDU_LIVENESS),
		     ~0U);
}

/* A transfer across the end of RAM is refused from there on. */
static void across_the_end(void)
{
	u64 secret = random() | 1;

	set_words(source, secret);
	edu_read(&edu, source, BYTES);
	set_words(ram_end() - BYTES, 0);
	edu_write(&edu, ram_end() - 64, BYTES);
	report_equal("what is before the end of RAM is written", read64(ram_end() - 64), secret);
}

static void storm(void)
{
	edu_write(&edu, ram_end() + MIB(1), 1024);
	set_words(target, 0);
	set_words(source, random() | 1);
	edu_read(&edu, source, BYTES);
	edu_write(&edu, target, BYTES);
	report_equal("a device that was cut off reaches nothing", wrong_words(target, 0), 0);
}

void probe(void)
{
	edu = edu_open(0);
	source = free_memory();
	target = align_up(source, MIB(2)) + MIB(2);
	report_equal("the device answers", edu.bar ? read32(edu.bar + EDU_VERSION) : 0, 0x010000ed);
	own_memory();
	others_memory();
	across_the_end();
	storm();
}
