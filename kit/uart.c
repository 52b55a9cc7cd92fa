// SPDX-License-Identifier: MIT
/* PrimeCell UART PL011 (Arm DDI 0183, "Programmers Model"), as far as a console needs it. */
#include "uart.h"

#include "lib/bits.h"
#include "platform/qemu_virt.h"
#include "sysreg.h"

#define UARTDR 0x00
#define UARTFR 0x18
#define UARTLCR_H 0x2c
#define UARTCR 0x30
#define UARTIMSC 0x38
#define UARTICR 0x44

#define UARTFR_RXFE BIT(4)
#define UARTFR_TXFF BIT(5)
#define UARTLCR_H_FEN BIT(4)
#define UARTLCR_H_WLEN_8 (3UL << 5)
#define UARTCR_UARTEN BIT(0)
#define UARTCR_TXE BIT(8)
#define UARTCR_RXE BIT(9)
#define UART_INT_RX BIT(4) /* the FIFO has reached its watermark */
#define UART_INT_RT BIT(6) /* bytes below the watermark have waited for a while */
#define UART_INT_ALL 0x7ff

static u32 uart_read(u32 offset)
{
	return mmio_read32(PLAT_UART_BASE + offset);
}

static void uart_write(u32 offset, u32 value)
{
	mmio_write32(PLAT_UART_BASE + offset, value);
}

void uart_listen(bool on)
{
	uart_write(UARTIMSC, on ? UART_INT_RX | UART_INT_RT : 0);
}

void uart_init(void)
{
	/* "Control Register, UARTCR": disable the UART before it is reprogrammed. */
	uart_write(UARTCR, 0);
	uart_write(UARTICR, UART_INT_ALL);
	uart_write(UARTLCR_H, UARTLCR_H_WLEN_8 | UARTLCR_H_FEN);
	uart_listen(true);
	uart_write(UARTCR, UARTCR_UARTEN | UARTCR_TXE | UARTCR_RXE);
}

void uart_put(char c)
{
	while (uart_read(UARTFR) & UARTFR_TXFF)
		;
	uart_write(UARTDR, (u8)c);
}

int uart_get(void)
{
	if (uart_read(UARTFR) & UARTFR_RXFE) {
		/* Acknowledge, then look again: a byte that came in between would lie unnoticed. */
		uart_write(UARTICR, UART_INT_RX | UART_INT_RT);
		if (uart_read(UARTFR) & UARTFR_RXFE)
			return -1;
	}
	return uart_read(UARTDR) & 0xff;
}
