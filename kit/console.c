// SPDX-License-Identifier: MIT
/*
 * One screen, many writers. Every line begins with its writer's name.
 *
 * The VM in focus is shown at once, character by character, so that prompts and echo work. Other
 * VMs' text waits in vm->console until its line is complete. When such a line, or one of EL2's
 * own, has to come while the VM in focus has an unfinished line on the screen, that line is ended,
 * the other printed, and the unfinished one painted again below: no byte is ever lost. For that
 * vm->console.text keeps the unfinished line of every VM, the one in focus included.
 *
 * Guests end lines with \r\n. A \r stays the last byte of the text until the next one tells what
 * the \r was: the first half of a line end, or a return to column 0, which lies behind the prefix.
 *
 * `console_lock` protects the UART, the focus, every vm->console and vm->input. Layer 4's
 * deadline_lock nests inside it; it is taken with device locks held.
 */
#include "console.h"

#include "lib/printf.h"
#include "registry.h"
#include "uart.h"
#include "vcpu.h"

#define ESC 0x1b
#define CAN 0x18

static struct spinlock console_lock = SPINLOCK_INIT("console");
static struct vm *focus; /* NULL until there is a VM */
static struct vm *on_screen; /* whose unfinished line the cursor stands on; NULL: column 0 */
static bool patient = true; /* what the VM in focus has no room for waits in the UART */

static void put_text(const char *text)
{
	while (*text)
		uart_put(*text++);
}

static void put_prefix(const char *name)
{
	uart_put('[');
	put_text(name);
	put_text("] ");
}

/*
 * Length of the escape sequence at text[at], 0 if its end is missing (ECMA-48, "Control
 * sequences"): ESC [ parameters final, or ESC intermediates final.
 */
static u32 escape_length(const struct console_line *line, u32 at)
{
	u32 end = at + 1;
	bool control = end < line->used && line->text[end] == '[';
	u8 lowest_final = control ? 0x40 : 0x30;

	for (end += control; end < line->used; end++) {
		if ((u8)line->text[end] >= lowest_final)
			return end + 1 - at;
	}
	return 0;
}

static bool has_unfinished_escape(const struct console_line *line)
{
	for (u32 at = line->used; at-- > 0;) {
		if (line->text[at] == ESC)
			return escape_length(line, at) == 0;
	}
	return false;
}

/* A sequence that makes the terminal answer must not be sent twice: the guest asked once. */
static bool is_query(const struct console_line *line, u32 at, u32 length)
{
	char final = line->text[at + length - 1];

	return length > 2 && line->text[at + 1] == '[' && (final == 'n' || final == 'c');
}

static void paint_line(struct vm *vm)
{
	const struct console_line *line = &vm->console;
	u32 at = 0;

	put_prefix(vm->name);
	while (at < line->used) {
		u32 length = line->text[at] == ESC ? escape_length(line, at) : 0;

		if (length && is_query(line, at, length)) {
			at += length;
		} else if (line->text[at] != '\r') {
			uart_put(line->text[at++]);
		} else if (++at < line->used) {
			uart_put('\r');
			put_prefix(vm->name);
		}
	}
}

/* End the unfinished line that is on the screen, if any. */
static void screen_leave(void)
{
	if (!on_screen)
		return;
	if (has_unfinished_escape(&on_screen->console))
		uart_put(CAN);
	put_text("\r\n");
	on_screen = NULL;
}

/* Paint the unfinished line of the VM in focus, to continue it. */
static void screen_resume(void)
{
	if (!focus || on_screen || !focus->console.used || focus->state != VM_RUNNING)
		return;
	paint_line(focus);
	on_screen = focus;
}

static void focus_move(struct vm *vm)
{
	uart_listen(true);
	patient = true;
	screen_leave();
	focus = vm;
	put_prefix("strata");
	put_text("focus: ");
	put_text(vm->name);
	put_text("\r\n");
	screen_resume();
}

/* The next VM after @vm that runs; @vm itself comes last. NULL: none runs. */
static struct vm *next_running(const struct vm *vm)
{
	u32 first = vm ? vm->index + 1 : 0;

	for (u32 i = 0; i < vm_count; i++) {
		struct vm *candidate = vms[(first + i) % vm_count];

		if (candidate && candidate->state == VM_RUNNING)
			return candidate;
	}
	return NULL;
}

/* The VM in focus has ended: the next one gets it. */
static void focus_check(void)
{
	if (focus && focus->state == VM_RUNNING)
		return;

	struct vm *next = next_running(focus);

	if (next && focus)
		focus_move(next);
	else if (next)
		focus = next;
}

static void show_complete_line(struct vm *vm)
{
	screen_leave();
	paint_line(vm);
	put_text("\r\n");
	vm->console.used = 0;
}

static void put_background(struct vm *vm, char c)
{
	struct console_line *line = &vm->console;

	if (c == '\n' || line->used == CONSOLE_LINE_MAX) {
		show_complete_line(vm);
		screen_resume();
	}
	if (c != '\n')
		line->text[line->used++] = c;
}

static bool ends_with_return(const struct console_line *line)
{
	return line->used && line->text[line->used - 1] == '\r';
}

static void put_focused(struct vm *vm, char c)
{
	struct console_line *line = &vm->console;
	bool returned = ends_with_return(line);

	if (on_screen != vm) {
		screen_leave();
		paint_line(vm);
		on_screen = vm;
	}
	if (c == '\n') {
		put_text("\r\n");
		line->used = 0;
		on_screen = NULL;
		return;
	}
	/* All of a full line has been shown; a later repainting will lack its beginning. */
	if (line->used == CONSOLE_LINE_MAX)
		line->used = 0;
	line->text[line->used++] = c;
	if (c == '\r')
		return;
	if (returned) {
		uart_put('\r');
		put_prefix(vm->name);
	}
	uart_put(c);
}

void console_init(void)
{
	uart_init();
}

void console_vm_put(struct vm *vm, char c)
{
	spin_lock(&console_lock);
	focus_check();
	if (c == '\r' && ends_with_return(&vm->console))
		; /* \r\r\n is one line end */
	else if (vm == focus)
		put_focused(vm, c);
	else
		put_background(vm, c);
	spin_unlock(&console_lock);
}

void console_vm_flush(struct vm *vm)
{
	spin_lock(&console_lock);
	if (on_screen == vm && vm->state != VM_RUNNING) {
		screen_leave();
		vm->console.used = 0;
	} else if (vm->console.used && vm->state != VM_RUNNING) {
		show_complete_line(vm);
	}
	screen_resume();
	spin_unlock(&console_lock);
}

static void put_own(void *context, char c)
{
	bool *at_line_start = context;

	if (*at_line_start)
		put_prefix("strata");
	*at_line_start = c == '\n';
	if (c == '\n')
		uart_put('\r');
	uart_put(c);
}

void console_printf(const char *fmt, ...)
{
	bool at_line_start = true;
	va_list args;

	spin_lock(&console_lock);
	screen_leave();
	va_start(args, fmt);
	format(put_own, &at_line_start, fmt, args);
	va_end(args);
	if (!at_line_start)
		put_text("\r\n");
	/* The message may have been that a VM has ended. */
	focus_check();
	screen_resume();
	spin_unlock(&console_lock);
}

/* Tell the models that bytes wait. They call console_vm_get(), so console_lock is not held. */
static void announce(struct vm *vm)
{
	spin_lock(&vm->device_lock);
	for (unsigned i = 0; i < vm->stage2.region_count; i++) {
		const struct mmio_region *region = &vm->stage2.regions[i];

		if (region->device->input)
			region->device->input(vm, region->state);
	}
	spin_unlock(&vm->device_lock);
}

static bool input_is_full(const struct vm *vm)
{
	return vm && vm->state == VM_RUNNING && vm->input.count == CONSOLE_INPUT_MAX;
}

/*
 * Let the sender wait until the VM in focus reads, so that pasted text is not lost. But only for a
 * while: otherwise a VM that has ceased to read would keep the escape key out for ever.
 */
static void wait_for_reader(void)
{
	uart_listen(false);
	patient = hook_console_waits != NULL;
	if (patient)
		hook_console_waits();
	else
		uart_listen(true);
}

/* One byte from the UART to where it belongs; -1 when there is none, or it has to wait. */
static int take_byte(void)
{
	bool full;
	int byte;

	focus_check();
	full = input_is_full(focus);
	if (full && patient)
		wait_for_reader();
	if (full && patient)
		return -1;
	byte = uart_get();
	if (byte == CONSOLE_ESCAPE && next_running(focus)) {
		focus_move(next_running(focus));
	} else if (byte >= 0 && byte != CONSOLE_ESCAPE && byte != CONSOLE_STATUS && !full &&
		   focus && focus->state == VM_RUNNING) {
		struct console_input *in = &focus->input;

		in->bytes[(in->head + in->count++) % CONSOLE_INPUT_MAX] = (u8)byte;
	}
	return byte;
}

void console_poll(void)
{
	int byte;

	do {
		struct vm *vm;

		spin_lock(&console_lock);
		byte = take_byte();
		vm = focus;
		spin_unlock(&console_lock);
		if (byte == CONSOLE_STATUS)
			status_show();
		else if (byte >= 0 && vm)
			announce(vm);
	} while (byte >= 0);
}

void console_lose_patience(void)
{
	spin_lock(&console_lock);
	if (input_is_full(focus)) {
		patient = false;
		uart_listen(true);
	}
	spin_unlock(&console_lock);
	console_poll();
}

int console_vm_get(struct vm *vm)
{
	struct console_input *in = &vm->input;
	int byte = -1;

	spin_lock(&console_lock);
	if (in->count == CONSOLE_INPUT_MAX && vm == focus) {
		uart_listen(true);
		patient = true;
	}
	if (in->count) {
		byte = in->bytes[in->head];
		in->head = (in->head + 1) % CONSOLE_INPUT_MAX;
		in->count--;
	}
	spin_unlock(&console_lock);
	return byte;
}

void console_emergency(const char *text)
{
	screen_leave();
	for (; *text; text++) {
		if (*text == '\n')
			uart_put('\r');
		uart_put(*text);
	}
}
