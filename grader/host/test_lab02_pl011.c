// SPDX-License-Identifier: MIT
/*
 * The receiver of the PL011 model against a keyboard that is always ahead: whatever the guest does
 * to the registers, nothing that was typed lies outside while there is room, an interrupt is up as
 * long as there is something to read, and bytes arrive in their order.
 */
#include "check.h"
#include "dev_pl011.c"

#define ROUNDS 100000
#define LCR_H_WLEN_8 0x60

static u8 typed; /* that many have been taken, modulo 256: the next one's value */
static unsigned waiting;
static bool line;

int vmm_console_get(struct vm *vm)
{
	if (!waiting)
		return -1;
	waiting--;
	return typed++;
}

void vmm_console_put(struct vm *vm, u8 byte)
{
}

void vmm_irq_line(struct vm *vm, u32 intid, bool level)
{
	CHECK(intid == GUEST_UART_INTID && level != line);
	line = level;
}

static struct pl011 uart;

static u32 get(u64 offset)
{
	return (u32)pl011_read(NULL, &uart, offset, 4);
}

static void put(u64 offset, u32 value)
{
	pl011_write(NULL, &uart, offset, 4, value);
}

static void type(unsigned count)
{
	waiting += count;
	pl011_input(NULL, &uart);
}

static unsigned drain(u8 *first)
{
	unsigned count = 0;

	for (; !(get(UARTFR) & FR_RXFE); count++) {
		u8 byte = (u8)get(UARTDR);

		if (!count)
			*first = byte;
		CHECK(byte == (u8)(*first + count));
	}
	return count;
}

static void setup(u32 line_control)
{
	waiting = 0;
	line = false;
	pl011_reset(NULL, &uart);
	put(UARTLCR_H, line_control);
	put(UARTIMSC, INT_RX | INT_RT);
}

/* An operating system turns the FIFOs on when it finds the device: what was typed before is kept. */
static void test_fifos_are_turned_on(void)
{
	u8 first, next = typed;

	setup(LCR_H_WLEN_8);
	type(20);
	CHECK(waiting == 19 && line);
	put(UARTLCR_H, LCR_H_WLEN_8 | LCR_H_FEN);
	CHECK(waiting == 4 && line);
	CHECK(drain(&first) == 20 && first == next);
	CHECK(!line);
}

/* Turned off, they are empty; what waits outside comes one by one. */
static void test_fifos_are_turned_off(void)
{
	u8 first;

	setup(LCR_H_WLEN_8 | LCR_H_FEN);
	type(20);
	put(UARTLCR_H, LCR_H_WLEN_8);
	CHECK(waiting == 3 && line);
	CHECK(drain(&first) == 4);
}

static void test_loopback_ends(void)
{
	u8 first;

	setup(LCR_H_WLEN_8 | LCR_H_FEN);
	put(UARTCR, CR_RESET | CR_LBE);
	type(5);
	CHECK((get(UARTFR) & FR_RXFE) && !line);
	put(UARTCR, CR_RESET);
	CHECK(line && waiting == 0);
	CHECK(drain(&first) == 5);
}

/* Typed for the system that was there before: the one after the reset is not left without it. */
static void test_reset(void)
{
	setup(LCR_H_WLEN_8 | LCR_H_FEN);
	type(20);
	pl011_reset(NULL, &uart);
	CHECK(waiting == 3 && !(get(UARTFR) & FR_RXFE));
}

/* UARTICR clears what is latched. RXRIS and RTRIS say how full the FIFO is. */
static void test_interrupts_are_cleared(void)
{
	u8 first;

	setup(LCR_H_WLEN_8 | LCR_H_FEN);
	type(3);
	CHECK(get(UARTRIS) == INT_RT && line);
	put(UARTICR, INT_ALL);
	CHECK(get(UARTRIS) == INT_RT && line);
	type(27);
	put(UARTICR, INT_ALL);
	CHECK(get(UARTRIS) == (INT_RT | INT_RX) && line);
	CHECK(drain(&first) == 30);
	CHECK(get(UARTRIS) == 0 && !line);
	put(UARTDR, '.');
	CHECK(get(UARTRIS) == INT_TX);
	put(UARTICR, INT_TX);
	CHECK(get(UARTRIS) == 0);
}

/* Anything in any order: no byte lies outside while there is room, none lies unannounced. */
static void test_random(void)
{
	u8 next = typed;

	setup(LCR_H_WLEN_8);
	for (unsigned i = 0; i < ROUNDS; i++) {
		u32 control = (u32)check_random(), before = uart.count;

		switch (check_below(6)) {
		case 0:
			put(UARTLCR_H, LCR_H_WLEN_8 | (control & LCR_H_FEN));
			if (uart.count < before) /* turned off */
				next = (u8)(next + before);
			break;
		case 1:
			put(UARTCR, CR_RESET | (control & CR_LBE));
			break;
		case 2:
			put(UARTICR, control);
			break;
		case 3:
			type((unsigned)check_below(40));
			break;
		default:
			if (!(get(UARTFR) & FR_RXFE))
				CHECK((u8)get(UARTDR) == next++);
		}
		CHECK(!waiting || (uart.cr & CR_LBE) || get(UARTFR) & FR_RXFF);
		CHECK(line == !(get(UARTFR) & FR_RXFE));
	}
}

int main(void)
{
	test_fifos_are_turned_on();
	test_fifos_are_turned_off();
	test_loopback_ends();
	test_reset();
	test_interrupts_are_cleared();
	test_random();
	return check_finish();
}
