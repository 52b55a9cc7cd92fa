// SPDX-License-Identifier: MIT
/*
 * A device of one's own: edu reads and writes the VM's memory by DMA, and nothing else.
 *
 * "Refused" is judged by memory: the device reports every transfer as done. What it read where it may
 * not is seen by having it write its buffer to RAM.
 */
#include "probe.h"

#define EDU_BAR 0x10200000UL
#define EDU_ID 0x00
#define EDU_LIVENESS 0x04
#define EDU_DMA_SOURCE 0x80
#define EDU_DMA_TARGET 0x88
#define EDU_DMA_BYTES 0x90
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_START 1
#define EDU_DMA_TO_RAM 2
#define EDU_BUFFER 0x40000UL

#define WORDS 16

static void edu_start(u64 source, u64 target, u64 bytes, u64 direction)
{
	write64(EDU_BAR + EDU_DMA_SOURCE, source);
	write64(EDU_BAR + EDU_DMA_TARGET, target);
	write64(EDU_BAR + EDU_DMA_BYTES, bytes);
	write64(EDU_BAR + EDU_DMA_COMMAND, direction | EDU_DMA_START);
}

/* It takes 100 ms, whatever the size. */
static void edu_wait(void)
{
	while (read64(EDU_BAR + EDU_DMA_COMMAND) & EDU_DMA_START)
		cpu_relax();
}

static void from_ram(u64 address, u64 bytes)
{
	edu_start(address, EDU_BUFFER, bytes, 0);
	edu_wait();
}

static void to_ram(u64 address, u64 bytes)
{
	edu_start(EDU_BUFFER, address, bytes, EDU_DMA_TO_RAM);
	edu_wait();
}

static u64 wrong_words(u64 address, u64 first)
{
	u64 wrong = 0;

	for (u64 i = 0; i < WORDS; i++)
		wrong += read64(address + 8 * i) != first + i;
	return wrong;
}

static void set_words(u64 address, u64 first, u64 step)
{
	for (u64 i = 0; i < WORDS; i++)
		write64(address + 8 * i, first + step * i);
}

void probe(void)
{
	u64 source = free_memory(), target = align_up(source, MIB(2)) + MIB(2);
	u64 secret = random(), stray = ram_end() + 4096 * (random() % 1024);
	u64 last = ram_end() - 4096;

	report_equal("the device answers", read32(EDU_BAR + EDU_ID), 0x010000ed);
	set_words(source, secret, 1);
	from_ram(source, 8 * WORDS);
	to_ram(target, 8 * WORDS);
	report_equal("what the device read it wrote elsewhere", wrong_words(target, secret), 0);
	to_ram(last, 8 * WORDS);
	report_equal("the last page of RAM as well", wrong_words(last, secret), 0);
	to_ram(stray, 4);
	from_ram(stray, 8);
	to_ram(target, 8);
	report_equal("an address behind RAM reads as zero", read64(target), 0);
	from_ram(0x09000000, 4);
	to_ram(EDU_BAR + EDU_LIVENESS, 4);
	to_ram(1UL << 40, 4);
	report((long)hvc(STRATA_MEMORY_RELEASE, target, 4096, 0).x0 == -16, "RELEASE is refused", 0, 1);
	to_ram(stray, 4000);
	from_ram(source, 8 * WORDS);
	set_words(target, 0, 0);
	to_ram(target, 8 * WORDS);
	report_equal("a device that was cut off reaches nothing", wrong_words(target, 0), WORDS - 1);
}
