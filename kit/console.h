/* SPDX-License-Identifier: MIT */
/*
 * The physical UART and its multiplexer. EL2 owns the PL011; every VM's lines carry its name, the
 * VM in focus gets the input, Ctrl-] moves the focus to the next VM that is alive, Ctrl-^ shows what
 * every vCPU does.
 */
#ifndef STRATA_CONSOLE_H
#define STRATA_CONSOLE_H

#include "lib/types.h"

struct vm;

#define CONSOLE_LINE_MAX 256
#define CONSOLE_INPUT_MAX 256
#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */
#define CONSOLE_STATUS 0x1e /* Ctrl-^, on many keyboards Ctrl-6 */
#define CONSOLE_PATIENCE_MS 1000

/** struct console_line - output of a VM that has not been shown yet, or that may be repainted */
struct console_line {
	u32 used;
	char text[CONSOLE_LINE_MAX];
};

/** struct console_input - what was typed for a VM and its device model has not taken yet */
struct console_input {
	u32 head, count; /* oldest byte, number of bytes */
	u8 bytes[CONSOLE_INPUT_MAX];
};

/** console_init() - program the PL011: 8 bits, FIFOs on, receive interrupt unmasked */
void console_init(void);

/** console_printf() - a message of the hypervisor itself; begins a new line, prefixed [strata] */
void console_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** console_vm_put() - a character that a VM wrote to its console */
void console_vm_put(struct vm *vm, char c);

/** console_vm_flush() - show what a VM wrote without ending the line (it stopped, or waits) */
void console_vm_flush(struct vm *vm);

/**
 * console_poll() - take what arrived at the physical UART: one escape key moves the focus, one calls
 * status_show(), the rest waits for the device model with an `input` function of the VM in focus
 *
 * While that VM has no room for more, bytes stay in the physical UART and the sender waits, for
 * CONSOLE_PATIENCE_MS, or not at all where no layer has a clock. Then an escape key behind these
 * bytes must be found: until the VM reads again, bytes without room are lost.
 */
void console_poll(void);

/** console_lose_patience() - if the VM in focus still has no room, wait for it no longer */
void console_lose_patience(void);

/** console_vm_get() - the next byte typed for @vm, or -1 */
int console_vm_get(struct vm *vm);

/** status_show() - a line a VM: of each vCPU its state, its CPU, and the time that it has used */
void status_show(void);

/** console_emergency() - print raw text without locks, from a dying EL2 */
void console_emergency(const char *text);

#endif
