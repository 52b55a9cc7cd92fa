// SPDX-License-Identifier: MIT
/*
 * Device models that all vCPUs use at once: each has bits, bytes and registers of its own, in words that
 * it shares with the others, and finds there what it has written. What a model changes, it changes
 * under a lock.
 */
#include "gic.h"
#include "probe.h"
#include "smp.h"

#define ROUNDS 60
#define FIRST_SPI 96
#define UART_IBRD 0x24
#define UART_FBRD 0x28
#define UART_IFLS 0x34
#define UART_IMSC 0x38

static u32 count;
static u64 enabled_wrong[SMP_CPU_MAX], pending_wrong[SMP_CPU_MAX], bytes_wrong[SMP_CPU_MAX],
	uart_wrong[SMP_CPU_MAX];

/* Of 64 SPIs each vCPU owns every fourth; they are routed to nobody or disabled, so none is taken. */
static void hammer(u64 numbers)
{
	static const struct {
		u32 offset, mask;
	} registers[] = {
		{UART_IBRD, 0xffff}, {UART_FBRD, 0x3f}, {UART_IFLS, 0x3f}, {UART_IMSC, 0x7ff}};
	u32 self = smp_index(), own = 0x11111111U << self;
	u64 uart = GUEST_UART_BASE + registers[self % 4].offset, state = numbers + self;

	for (u32 round = 0; round < ROUNDS; round++) {
		u32 at = FIRST_SPI / 8 + round % 2 * 4, set, priority;

		state = state * 0x5851f42d4c957f2dUL + 0x14057b7ef767814fUL;
		set = (u32)(state >> 32) & own;
		write32(GICD_BASE + GICD_ICPENDR + at, own);
		write32(GICD_BASE + GICD_ISPENDR + at, set);
		pending_wrong[self] += (read32(GICD_BASE + GICD_ISPENDR + at) & own) != set;
		write32(GICD_BASE + GICD_ICPENDR + at, own);
		write32(GICD_BASE + GICD_ICENABLER + at, own);
		write32(GICD_BASE + GICD_ISENABLER + at, set);
		enabled_wrong[self] += (read32(GICD_BASE + GICD_ISENABLER + at) & own) != set;
		write32(GICD_BASE + GICD_ICENABLER + at, own);
		priority = (u32)(state >> 20) & 0xf8;
		write8(GICD_BASE + GICD_IPRIORITYR + FIRST_SPI + 4 * (round % 8) + self,
		       (u8)priority);
		smp_relax(0);
		bytes_wrong[self] += read8(GICD_BASE + GICD_IPRIORITYR + FIRST_SPI +
					   4 * (round % 8) + self) != priority;
		write32(uart, (u32)state & registers[self % 4].mask);
		uart_wrong[self] += (read32(uart) & registers[self % 4].mask) !=
				    ((u32)state & registers[self % 4].mask);
	}
}

static u64 sum(const u64 *counts)
{
	u64 all = 0;

	for (u32 cpu = 0; cpu < count; cpu++)
		all += counts[cpu];
	return all;
}

void probe(void)
{
	gic_init();
	count = smp_start_all();
	for (u32 n = 0; n < 64; n++)
		gic_disable(FIRST_SPI + n);
	report_equal("all vCPUs come to their end", smp_call_all(count, hammer, random()), 1);
	report_equal("enabled bits are those of who owns them", sum(enabled_wrong), 0);
	report_equal("pending bits too", sum(pending_wrong), 0);
	report_equal("and bytes of priority", sum(bytes_wrong), 0);
	report_equal("and registers of the serial port", sum(uart_wrong), 0);
}
