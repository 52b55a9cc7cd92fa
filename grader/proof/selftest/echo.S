/* SPDX-License-Identifier: MIT */
/* Reads a byte from the serial port, prints its successor, powers off after a 'z'. */
	.include "common.inc"

	.globl	main
main:
	mov	x1, #UART
1:	ldr	w2, [x1, #0x18]		/* UARTFR: receive FIFO empty? */
	yield
	tbnz	w2, #4, 1b
	ldrb	w2, [x1]
	add	w3, w2, #1
	strb	w3, [x1]
	cmp	w2, #'z'
	b.ne	1b
	b	power_off
