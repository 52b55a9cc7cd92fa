// SPDX-License-Identifier: MIT
/*
 * The serial port's registers as its manual has them (PrimeCell UART PL011, DDI 0183). Interrupts
 * are left to gic_level. The receiver is looked at in loopback, and only under a hypervisor: QEMU
 * 7.2's own model has no loopback.
 */
#include "probe.h"

#define UART GUEST_UART_BASE
#define DR 0x00
#define RSR 0x04
#define FR 0x18
#define IBRD 0x24
#define FBRD 0x28
#define LCR_H 0x2c
#define CR 0x30
#define IFLS 0x34
#define IMSC 0x38
#define RIS 0x3c
#define MIS 0x40
#define ICR 0x44
#define INT_RX 0x10
#define INT_RT 0x40
#define FR_RXFE 0x10
#define FR_RXFF 0x40
#define FR_TXFF 0x20
#define FR_TXFE 0x80

static u32 keeps(u64 offset, u32 mask)
{
	u32 value = (u32)random() & mask, old = read32(UART + offset), now;

	write32(UART + offset, value);
	now = read32(UART + offset);
	write32(UART + offset, old);
	return now ^ value;
}

static void identification(void)
{
	static const u8 expected[8] = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
	u64 wrong = 0;

	for (unsigned i = 0; i < 8; i++) {
		u32 value = read32(UART + 0xfe0 + 4 * i);

		/* The revision nibble may be that of any later PL011. */
		wrong |=
			(i == 2 ? value & 0xf : value) != (i == 2 ? expected[i] & 0xf : expected[i])
				? BIT(i)
				: 0;
	}
	report_equal("peripheral and PrimeCell identification", wrong, 0);
}

static void reserved(void)
{
	static const u16 offsets[] = {0x08, 0x10, 0x1c, 0x4c, 0x80, 0x100, 0x800, 0xf00};
	u64 wrong = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		write32(UART + offsets[i], 0xffffffff);
		wrong |= read32(UART + offsets[i]) != 0 ? BIT(i) : 0;
	}
	report_equal("reserved registers read as zero and ignore writes", wrong, 0);
}

static void read_only(void)
{
	u32 ris = read32(UART + RIS), fr = read32(UART + FR), id = read32(UART + 0xfe0);

	write32(UART + RIS, ~ris);
	write32(UART + MIS, ~0u);
	write32(UART + FR, ~fr);
	write32(UART + 0xfe0, ~id);
	report_equal("RIS ignores writes", read32(UART + RIS), ris);
	report_equal("FR ignores writes", read32(UART + FR), fr);
	report_equal("identification ignores writes", read32(UART + 0xfe0), id);
}

static void transmit(void)
{
	static const char text[] = "written to the PL011\n";

	write32(UART + CR, 0x301);
	write32(UART + LCR_H, 0x70);
	for (unsigned i = 0; i + 1 < sizeof(text); i++)
		write32(UART + DR, (u8)text[i]);
	report(!(read32(UART + FR) & FR_TXFF), "the transmit FIFO takes a line", read32(UART + FR),
	       0);
	for (unsigned i = 0; i < 1000 && !(read32(UART + FR) & FR_TXFE); i++)
		cpu_relax();
	report(read32(UART + FR) & FR_TXFE, "and drains", read32(UART + FR), FR_TXFE);
	console_use_pl011(true);
	print("a whole line through the PL011\n");
	console_use_pl011(!guest.hypervisor);
}

static void masks(void)
{
	write32(UART + IMSC, 0);
	report_equal("MIS is RIS and IMSC: nothing unmasked, nothing shown", read32(UART + MIS), 0);
	write32(UART + IMSC, 0x7ff);
	report_equal("MIS is RIS and IMSC: all unmasked", read32(UART + MIS), read32(UART + RIS));
	write32(UART + ICR, 0x7ff);
	report_equal("ICR clears what software caused", read32(UART + RIS) & ~0x20u, 0);
	write32(UART + IMSC, 0);
}

static u32 received(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		write32(UART + DR, 'a' + i);
	return read32(UART + RIS) & (INT_RX | INT_RT);
}

static u32 read_all(void)
{
	u32 count = 0;

	for (; !(read32(UART + FR) & FR_RXFE); count++) {
		if (read32(UART + DR) != 'a' + count)
			return 0xff;
	}
	return count;
}

static void receive(void)
{
	write32(UART + LCR_H, 0x70);
	write32(UART + IFLS, 0x12);
	write32(UART + CR, 0x381);
	report_equal("below the trigger level: receive timeout alone", received(3), INT_RT);
	write32(UART + ICR, 0x7ff);
	report_equal("ICR does not silence bytes that nobody has read",
		     read32(UART + RIS) & (INT_RX | INT_RT), INT_RT);
	report_equal("they are read in their order", read_all(), 3);
	report_equal("empty: neither", read32(UART + RIS) & (INT_RX | INT_RT), 0);
	report_equal("a full FIFO: both", received(16), INT_RX | INT_RT);
	report_equal("RXFF", read32(UART + FR) & FR_RXFF, FR_RXFF);
	write32(UART + ICR, 0x7ff);
	report_equal("also after ICR", read32(UART + RIS) & (INT_RX | INT_RT), INT_RX | INT_RT);
	write32(UART + LCR_H, 0x60);
	report_equal("FIFOs off: empty", read_all(), 0);
	report_equal("one byte is both", received(1), INT_RX | INT_RT);
	write32(UART + LCR_H, 0x70);
	report_equal("FIFOs on: it still is there", read_all(), 1);
	write32(UART + CR, 0x301);
}

void probe(void)
{
	report_equal("nothing received: RXFE", read32(UART + FR) & FR_RXFE, FR_RXFE);
	report_equal("control after reset: transmit and receive on", read32(UART + CR) & ~1u,
		     0x300);
	identification();
	report_equal("IBRD keeps 16 bits", keeps(IBRD, 0xffff), 0);
	report_equal("FBRD keeps 6 bits", keeps(FBRD, 0x3f), 0);
	report_equal("IFLS keeps 6 bits", keeps(IFLS, 0x3f), 0);
	report_equal("IMSC keeps 11 bits", keeps(IMSC, 0x7ff), 0);
	report_equal("RSR shows no error and can be written", read32(UART + RSR), 0);
	reserved();
	read_only();
	transmit();
	masks();
	if (guest.hypervisor)
		receive();
}
