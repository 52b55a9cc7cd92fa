// SPDX-License-Identifier: MIT
/*
 * PL011 UART (DDI 0183, "PrimeCell UART (PL011) Technical Reference Manual"). The transmitter is
 * infinitely fast: a byte that the guest writes is on the console at once, and the transmit FIFO is
 * always empty. The receiver has the 16-byte FIFO of the device. Typed bytes that do not fit wait
 * outside until there is room: the guest reads, turns the FIFO on, or ends loopback. Only in
 * loopback can the FIFO overrun.
 *
 * Two departures from silicon. The model transmits and receives whatever the enable bits of UARTCR
 * say, as QEMU's model does, since early consoles never set them. And the receive interrupts are
 * levels. Silicon latches them when the FIFO reaches its trigger level (RXRIS) or has kept a byte
 * for the time of 32 bits (RTRIS); UARTICR clears the latch, and the next byte or timeout sets it
 * again. Here the next byte may wait outside for ever; and a timeout without a clock could come
 * before the UARTICR that a driver writes after it has emptied the FIFO. So RXRIS and RTRIS say how
 * full the FIFO is: reading the FIFO clears them, UARTICR does not. Every driver reads before it
 * waits again.
 *
 * The state belongs to one VM, whose device lock protects it and is held by the callers.
 */
#include "lib/bits.h"
#include "lib/string.h"
#include "lib/types.h"
#include "vmm.h"

#define FIFO_DEPTH 16

/* Register offsets, "Summary of registers" */
#define UARTDR 0x000
#define UARTRSR 0x004 /* read; a write clears it: UARTECR */
#define UARTFR 0x018
#define UARTILPR 0x020
#define UARTIBRD 0x024
#define UARTFBRD 0x028
#define UARTLCR_H 0x02c
#define UARTCR 0x030
#define UARTIFLS 0x034
#define UARTIMSC 0x038
#define UARTRIS 0x03c
#define UARTMIS 0x040
#define UARTICR 0x044
#define UARTDMACR 0x048
#define UARTPERIPHID0 0xfe0
#define UARTPCELLID3 0xffc

#define DR_OVERRUN BIT(11)
#define RSR_OVERRUN BIT(3)
#define FR_CTS_DSR_DCD 7 /* somebody is connected */
#define FR_RXFE BIT(4)
#define FR_RXFF BIT(6)
#define FR_TXFE BIT(7)
#define LCR_H_FEN BIT(4)
#define CR_LBE BIT(7)
#define CR_RESET 0x300 /* TXE, RXE */
#define IFLS_RESET 0x12
#define INT_RX BIT(4)
#define INT_TX BIT(5)
#define INT_RT BIT(6)
#define INT_OE BIT(10)
#define INT_ALL 0x7ff

struct pl011 {
	struct vm *vm;
	u32 ilpr, ibrd, fbrd, lcr_h, cr, ifls, imsc, dmacr, rsr;
	u32 latched; /* INT_TX, INT_OE: what UARTICR clears */
	u16 fifo[FIFO_DEPTH];
	u32 head, count; /* oldest byte, number of bytes */
	bool overrun; /* a byte was lost: the next one that is stored says so */
	bool line; /* level of the interrupt output */
};

static u32 fifo_depth(const struct pl011 *uart)
{
	return uart->lcr_h & LCR_H_FEN ? FIFO_DEPTH : 1;
}

/* Bytes at which the receive interrupt is up: RXIFLSEL is 1/8, 1/4, 1/2, 3/4 or 7/8 of the FIFO. */
static u32 receive_trigger(const struct pl011 *uart)
{
	static const u8 levels[8] = {2, 4, 8, 12, 14, 14, 14, 14};

	return uart->lcr_h & LCR_H_FEN ? levels[bits_get(uart->ifls, 5, 3)] : 1;
}

static u32 raw_interrupts(const struct pl011 *uart)
{
	return uart->latched | (uart->count ? INT_RT : 0) |
	       (uart->count >= receive_trigger(uart) ? INT_RX : 0);
}

static void update_line(struct pl011 *uart)
{
	bool line = raw_interrupts(uart) & uart->imsc;

	if (line != uart->line)
		vmm_irq_line(uart->vm, GUEST_UART_INTID, line);
	uart->line = line;
}

static void receive_byte(struct pl011 *uart, u8 byte)
{
	if (uart->count >= fifo_depth(uart)) {
		uart->overrun = true;
		uart->rsr |= RSR_OVERRUN;
		uart->latched |= INT_OE;
		return;
	}
	uart->fifo[(uart->head + uart->count) % FIFO_DEPTH] =
		(u16)(byte | (uart->overrun ? DR_OVERRUN : 0));
	uart->overrun = false;
	uart->count++;
}

/* Take what was typed, as far as there is room; in loopback the input is cut off from the pin. */
static void take_input(struct pl011 *uart)
{
	while (!(uart->cr & CR_LBE) && uart->count < fifo_depth(uart)) {
		int byte = vmm_console_get(uart->vm);

		if (byte < 0)
			return;
		receive_byte(uart, (u8)byte);
	}
}

static u64 read_data(struct pl011 *uart)
{
	u16 data = 0;

	if (uart->count) {
		data = uart->fifo[uart->head];
		uart->head = (uart->head + 1) % FIFO_DEPTH;
		uart->count--;
		take_input(uart);
	}
	/*
	 * "The status information for overrun is set immediately when an overrun condition occurs."
	 */
	uart->rsr = (uart->rsr & RSR_OVERRUN) | bits_get(data, 10, 8);
	return data;
}

static void write_data(struct pl011 *uart, u8 byte)
{
	if (uart->cr & CR_LBE)
		receive_byte(uart, byte);
	else
		vmm_console_put(uart->vm, byte);
	uart->latched |= INT_TX;
}

static u64 read_flags(const struct pl011 *uart)
{
	return FR_TXFE | FR_CTS_DSR_DCD | (uart->count ? 0 : FR_RXFE) |
	       (uart->count >= fifo_depth(uart) ? FR_RXFF : 0);
}

/* Identification, one byte a register from UARTPeriphID0 on: PL011 r1p4, Arm's component class. */
static u64 read_id(u64 offset)
{
	static const u8 ids[8] = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

	return ids[(offset - UARTPERIPHID0) / 4];
}

static u64 read_register(struct pl011 *uart, u64 offset)
{
	if (offset >= UARTPERIPHID0)
		return read_id(offset);
	switch (offset) {
	case UARTDR:
		return read_data(uart);
	case UARTRSR:
		return uart->rsr;
	case UARTFR:
		return read_flags(uart);
	case UARTILPR:
		return uart->ilpr;
	case UARTIBRD:
		return uart->ibrd;
	case UARTFBRD:
		return uart->fbrd;
	case UARTLCR_H:
		return uart->lcr_h;
	case UARTCR:
		return uart->cr;
	case UARTIFLS:
		return uart->ifls;
	case UARTIMSC:
		return uart->imsc;
	case UARTRIS:
		return raw_interrupts(uart);
	case UARTMIS:
		return raw_interrupts(uart) & uart->imsc;
	case UARTDMACR:
		return uart->dmacr;
	default:
		return 0;
	}
}

/* Turning the FIFOs off empties them. Turned on, they begin with the byte of the holding register. */
static void write_line_control(struct pl011 *uart, u32 value)
{
	if (uart->lcr_h & ~value & LCR_H_FEN) {
		uart->count = 0;
		uart->overrun = false;
	}
	uart->lcr_h = value & 0xff;
	take_input(uart);
}

static void write_register(struct pl011 *uart, u64 offset, u32 value)
{
	switch (offset) {
	case UARTDR:
		write_data(uart, (u8)value);
		break;
	case UARTRSR:
		uart->rsr = 0;
		break;
	case UARTILPR:
		uart->ilpr = value & 0xff;
		break;
	case UARTIBRD:
		uart->ibrd = value & 0xffff;
		break;
	case UARTFBRD:
		uart->fbrd = value & 0x3f;
		break;
	case UARTLCR_H:
		write_line_control(uart, value);
		break;
	case UARTCR:
		uart->cr = value & 0xff87;
		take_input(uart);
		break;
	case UARTIFLS:
		uart->ifls = value & 0x3f;
		break;
	case UARTIMSC:
		uart->imsc = value & INT_ALL;
		break;
	case UARTICR:
		uart->latched &= ~value;
		break;
	case UARTDMACR:
		uart->dmacr = value & 7;
		break;
	default:
		break; /* read only, or nothing */
	}
}

/*
 * Registers are 32 bits apart. A narrower load sees its part of the register; a narrower store has
 * zeros in the rest, and one that misses the lowest byte changes nothing, for no register is wider
 * than 16 bits and none is written by halves. A 64-bit access is two.
 */
static u64 pl011_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	struct pl011 *uart = state;
	u64 value;

	value = read_register(uart, align_down(offset, 4)) >> 8 * (offset % 4);
	if (size == 8)
		value |= read_register(uart, offset + 4) << 32;
	if (align_down(offset, 4) == UARTDR)
		update_line(uart);
	return value;
}

static void pl011_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
	struct pl011 *uart = state;

	if (offset % 4)
		return;
	write_register(uart, offset, (u32)value);
	if (size == 8)
		write_register(uart, offset + 4, (u32)(value >> 32));
	update_line(uart);
}

static void pl011_input(struct vm *vm, void *state)
{
	struct pl011 *uart = state;

	take_input(uart);
	update_line(uart);
}

static void pl011_reset(struct vm *vm, void *state)
{
	struct pl011 *uart = state;

	memset(uart, 0, sizeof(*uart));
	uart->vm = vm;
	uart->cr = CR_RESET;
	uart->ifls = IFLS_RESET;
	take_input(uart);
}

const struct device device_pl011 = {
	.name = "pl011",
	.base = GUEST_UART_BASE,
	.size_bytes = GUEST_UART_SIZE,
	.state_bytes = sizeof(struct pl011),
	.reset = pl011_reset,
	.read = pl011_read,
	.write = pl011_write,
	.input = pl011_input,
};
