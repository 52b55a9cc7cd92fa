/* SPDX-License-Identifier: MIT */
/* The physical PL011, byte by byte. The console alone uses it; its unit test replaces it. */
#ifndef STRATA_UART_H
#define STRATA_UART_H

#include "lib/types.h"

/** uart_init() - 8 bits, FIFOs on, receiver and transmitter on, receive interrupts unmasked */
void uart_init(void);

/** uart_put() - send a byte; waits while the FIFO is full */
void uart_put(char c);

/** uart_get() - a received byte, or -1 when there is none, whereupon the interrupt is clear */
int uart_get(void);

/** uart_listen() - whether received bytes raise the interrupt; off, they wait in the UART */
void uart_listen(bool on);

#endif
