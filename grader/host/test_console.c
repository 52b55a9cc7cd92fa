// SPDX-License-Identifier: MIT
/* The console multiplexer against a UART made of two buffers. */
#include <string.h>

#include "check.h"
#include "console.h"
#include "registry.h"
#include "uart.h"
#include "vcpu.h"

#define VM_COUNT 3
#define SCREEN_BYTES (4u << 20)

struct vm *vms[VM_MAX];
u32 vm_count;
static struct vm vm_storage[VM_COUNT];

static char screen[SCREEN_BYTES];
static size_t screen_used;
static char input[1024];
static size_t input_read, input_used;

static char received[VM_COUNT][1024];
static size_t received_count[VM_COUNT];
static size_t model_room;
static bool listening;

void uart_init(void)
{
}

void uart_put(char c)
{
	CHECK(screen_used + 1 < SCREEN_BYTES);
	screen[screen_used++] = c;
	screen[screen_used] = '\0';
}

int uart_get(void)
{
	return input_read < input_used ? (u8)input[input_read++] : -1;
}

void uart_listen(bool on)
{
	listening = on;
}

/* A model with room for @model_room more bytes; echoes as a guest would. */
static void take_input(struct vm *vm, void *state)
{
	CHECK(state == &received[vm->index]);
	CHECK(spin_is_locked(&vm->device_lock));
	while (model_room) {
		int byte = console_vm_get(vm);

		if (byte < 0)
			return;
		model_room--;
		received[vm->index][received_count[vm->index]++] = (char)byte;
		console_vm_put(vm, (char)byte);
	}
}

static const struct device devices[] = {
	{.name = "deaf"},
	{.name = "uart", .input = take_input},
};

static u64 now_ticks;

u64 counter_read(void)
{
	return now_ticks;
}

u64 counter_frequency(void)
{
	return 1000000;
}

static unsigned waits; /* how often the layer with a clock was asked */

static void console_waits(void)
{
	waits++;
}

HOOK(console_waits, console_waits);

static void write_as(unsigned vm, const char *text)
{
	while (*text)
		console_vm_put(&vm_storage[vm], *text++);
}

static void type(const char *text)
{
	strcpy(input, text);
	input_read = 0;
	input_used = strlen(text);
	console_poll();
}

static void clear_screen(void)
{
	screen_used = 0;
	screen[0] = '\0';
}

static void expect(const char *text)
{
	if (strcmp(screen, text))
		fprintf(stderr, "expected:\n%s\nobserved:\n%s\n", text, screen);
	CHECK(!strcmp(screen, text));
	clear_screen();
}

/* All VMs alive, the first in focus, no unfinished line. */
static void setup(unsigned count)
{
	static const char *const names[VM_COUNT] = {"alpha", "beta", "gamma"};

	vm_count = count;
	model_room = ~0UL;
	listening = true;
	for (unsigned i = 0; i < count; i++) {
		vms[i] = &vm_storage[i];
		vms[i]->index = i;
		vms[i]->state = VM_RUNNING;
		strcpy(vms[i]->name, names[i]);
		vms[i]->stage2.regions[0].device = &devices[0];
		vms[i]->stage2.regions[1] = (struct mmio_region){
			.device = &devices[1],
			.state = &received[i],
		};
		vms[i]->stage2.region_count = ARRAY_SIZE(devices);
		vms[i]->console.used = 0;
		received_count[i] = 0;
		vms[i]->input.count = 0;
	}
	for (unsigned i = count; i < VM_COUNT; i++)
		vms[i] = NULL;
	console_vm_put(vms[0], '\n');
	do {
		clear_screen();
		type("\x1d");
	} while (!strstr(screen, "focus: alpha"));
	clear_screen();
}

static void test_first_vm_has_focus(void)
{
	vm_count = 2;
	for (unsigned i = 0; i < 2; i++) {
		vms[i] = &vm_storage[i];
		vms[i]->index = i;
		strcpy(vms[i]->name, i ? "beta" : "alpha");
	}
	console_printf("early");
	expect("[strata] early\r\n");
	write_as(1, "b");
	expect("");
	write_as(0, "a");
	expect("[alpha] a");
}

static void test_focus_writes_through(void)
{
	setup(2);
	write_as(0, "lo");
	expect("[alpha] lo");
	write_as(0, "gin: ");
	expect("gin: ");
	write_as(0, "x\r\ny\n");
	expect("x\r\n[alpha] y\r\n");
	write_as(0, "\n\r\n\r\r\n");
	expect("[alpha] \r\n[alpha] \r\n[alpha] \r\n");
}

static void test_single_vm_keeps_prefix(void)
{
	setup(1);
	write_as(0, "hello\r\n");
	expect("[alpha] hello\r\n");
}

static void test_background_waits_for_line(void)
{
	setup(2);
	write_as(1, "back");
	expect("");
	write_as(1, "ground\r\n");
	expect("[beta] background\r\n");
}

static void test_prompt_survives(void)
{
	setup(2);
	write_as(0, "~ # ");
	write_as(1, "tick\r\n");
	expect("[alpha] ~ # \r\n[beta] tick\r\n[alpha] ~ # ");
	write_as(0, "ls");
	expect("ls");
	console_printf("news %d", 7);
	expect("\r\n[strata] news 7\r\n[alpha] ~ # ls");
	write_as(0, "\r\n");
	expect("\r\n");
	console_printf("two\nlines\n");
	expect("[strata] two\r\n[strata] lines\r\n");
}

static void test_return_to_column_zero(void)
{
	setup(2);
	write_as(0, "10%\r20%");
	expect("[alpha] 10%\r[alpha] 20%");
	write_as(0, "\r");
	expect("");
	console_printf("between");
	expect("\r\n[strata] between\r\n[alpha] 10%\r[alpha] 20%");
	write_as(0, "30%\r\n");
	expect("\r[alpha] 30%\r\n");
	write_as(1, "10%\r20%\r\r\n");
	expect("[beta] 10%\r[beta] 20%\r\n");
}

static void test_focus_switch(void)
{
	setup(3);
	write_as(0, "a$ ");
	write_as(1, "b$ ");
	expect("[alpha] a$ ");
	type("\x1d");
	expect("\r\n[strata] focus: beta\r\n[beta] b$ ");
	type("x");
	expect("x");
	CHECK(received_count[1] == 1 && received[1][0] == 'x' && received_count[0] == 0);
	write_as(0, "done\r\n");
	expect("\r\n[alpha] a$ done\r\n[beta] b$ x");
	vm_storage[2].state = VM_STOPPED;
	type("\x1d");
	expect("\r\n[strata] focus: alpha\r\n");
	type("q\x1dr");
	expect("[alpha] q\r\n[strata] focus: beta\r\n[beta] b$ xr");
}

/* What the model has no room for waits; when EL2 has none either, it waits in the UART. */
static void test_slow_reader(void)
{
	char typed[CONSOLE_INPUT_MAX + 65];

	setup(2);
	model_room = 16;
	for (size_t i = 0; i < sizeof(typed) - 1; i++)
		typed[i] = (char)('a' + i % 26);
	typed[sizeof(typed) - 1] = '\0';
	type(typed);
	CHECK(received_count[0] == 16);
	CHECK(input_read == 16 + CONSOLE_INPUT_MAX && !listening);
	while (input_read < input_used || received_count[0] < sizeof(typed) - 1) {
		model_room = 1;
		spin_lock(&vms[0]->device_lock);
		take_input(vms[0], vms[0]->stage2.regions[1].state);
		spin_unlock(&vms[0]->device_lock);
		if (listening)
			console_poll();
	}
	CHECK(!memcmp(received[0], typed, sizeof(typed) - 1));
	clear_screen();
}

/* A VM that reads nothing does not keep the escape key out: its bytes wait, and then are lost. */
static void test_deaf_vm(void)
{
	char typed[CONSOLE_INPUT_MAX + 200];

	setup(2);
	model_room = 0;
	memset(typed, 'x', sizeof(typed));
	strcpy(typed + CONSOLE_INPUT_MAX + 100, "\x1dyz");
	waits = 0;
	type(typed);
	CHECK(input_read == CONSOLE_INPUT_MAX && !listening && waits == 1);
	expect("");
	console_lose_patience();
	expect("[strata] focus: beta\r\n");
	CHECK(vms[1]->input.count == 2 && listening);
	CHECK(vms[0]->input.count == CONSOLE_INPUT_MAX);
	/* Back there, and away again after another wait. */
	type("\x1dx\x1d");
	CHECK(!listening && waits == 2 && strstr(screen, "focus: alpha"));
	clear_screen();
	console_lose_patience();
	CHECK(listening && strstr(screen, "focus: beta"));
	clear_screen();
}

/* One that begins to read again loses nothing from then on. */
static void test_deaf_vm_hears_again(void)
{
	char typed[CONSOLE_INPUT_MAX + 65];

	setup(2);
	model_room = 0;
	memset(typed, 'x', sizeof(typed));
	typed[sizeof(typed) - 1] = '\0';
	type(typed);
	console_lose_patience();
	CHECK(input_read == input_used && listening);
	model_room = CONSOLE_INPUT_MAX;
	spin_lock(&vms[0]->device_lock);
	take_input(vms[0], vms[0]->stage2.regions[1].state);
	spin_unlock(&vms[0]->device_lock);
	CHECK(received_count[0] == CONSOLE_INPUT_MAX);
	model_room = 0;
	type(typed);
	CHECK(input_read == CONSOLE_INPUT_MAX && !listening);
	console_lose_patience();
	clear_screen();
}

static void test_status(void)
{
	static struct cpu cpu[2] = {{.index = 0, .charge_from = 5000000}, {.index = 1}};
	static struct vcpu vcpu[4];

	setup(2);
	vms[0]->vcpu_count = 3;
	vms[1]->vcpu_count = 1;
	for (unsigned i = 0; i < 4; i++) {
		vcpu[i] = (struct vcpu){.index = i % 3, .cpu = &cpu[i % 2], .vm = vms[i / 3]};
		vms[i / 3]->vcpus[i % 3] = &vcpu[i];
	}
	vcpu[0].state = VCPU_RUNNING; /* since 5 s: that is not in its used_ticks yet */
	vcpu[0].used_ticks = 1002000;
	cpu[0].vcpu = &vcpu[0];
	vcpu[1].state = VCPU_BLOCKED; /* but still loaded: its CPU is idle */
	vcpu[1].used_ticks = 61999999;
	cpu[1].vcpu = &vcpu[1];
	vcpu[3].state = VCPU_RUNNABLE;
	now_ticks = 7500000;
	write_as(0, "$ ");
	clear_screen();
	type("\x1e");
	expect("\r\n[strata] alpha: vCPU 0 runs on CPU 0, 3.502 s; vCPU 1 sleeps on CPU 1, 61.999 "
	       "s; "
	       "vCPU 2 off, 0.000 s\r\n[alpha] $ "
	       "\r\n[strata] beta: vCPU 0 waits for CPU 1, 0.000 s\r\n[alpha] $ ");
	/* No VM gets the key, and keys beside it are not lost. */
	type("a\x1e"
	     "b");
	CHECK(received_count[0] == 2 && !memcmp(received[0], "ab", 2));
	clear_screen();
	vms[0]->state = VM_POWERED_OFF;
	vms[1]->state = VM_STOPPED;
	strcpy(vms[0]->stop_reason, "powered off");
	strcpy(vms[1]->stop_reason, "an abort");
	type("\x1e");
	expect("\r\n[strata] alpha: powered off\r\n[strata] beta: stopped: an abort\r\n");
	/* All vCPUs that a VM can have, with the longest words. */
	setup(1);
	vms[0]->vcpu_count = VCPU_MAX;
	for (unsigned i = 0; i < VCPU_MAX; i++)
		vms[0]->vcpus[i] = &vcpu[1];
	vcpu[1].used_ticks = ~0UL;
	type("\x1e");
	CHECK(strlen(screen) > 380 && !strcmp(screen + strlen(screen) - 4, " s\r\n"));
	clear_screen();
	vm_storage[0].vcpu_count = 0;
	vm_storage[1].vcpu_count = 0;
}

static void test_focus_of_single_vm(void)
{
	setup(1);
	write_as(0, "$ ");
	clear_screen();
	type("\x1d");
	expect("\r\n[strata] focus: alpha\r\n[alpha] $ ");
}

static void test_end_of_vm_in_focus(void)
{
	setup(2);
	write_as(0, "Power do");
	write_as(1, "b$ ");
	clear_screen();
	vm_storage[0].state = VM_POWERED_OFF;
	console_vm_flush(&vm_storage[0]);
	console_printf("alpha: powered off");
	expect("\r\n[strata] alpha: powered off\r\n[strata] focus: beta\r\n[beta] b$ ");
	vm_storage[1].state = VM_STOPPED;
	console_vm_flush(&vm_storage[1]);
	console_printf("beta: gone");
	expect("\r\n[strata] beta: gone\r\n");
	type("nobody listens\x1d");
	expect("");
}

static void test_end_of_background_vm(void)
{
	setup(2);
	write_as(0, "$ ");
	write_as(1, "last words");
	clear_screen();
	console_vm_flush(&vm_storage[1]); /* it only waits */
	expect("");
	vm_storage[1].state = VM_STOPPED;
	console_vm_flush(&vm_storage[1]);
	expect("\r\n[beta] last words\r\n[alpha] $ ");
}

static void test_interrupted_escape_sequence(void)
{
	setup(2);
	write_as(0, "\033[3");
	console_printf("now");
	expect("[alpha] \033[3\x18\r\n[strata] now\r\n[alpha] \033[3");
	write_as(0, "1mred\033[6n\033[m");
	expect("1mred\033[6n\033[m");
	console_printf("now");
	/* Painted again, but the question to the terminal is not asked again. */
	expect("\r\n[strata] now\r\n[alpha] \033[31mred\033[m");
}

static void test_emergency(void)
{
	setup(2);
	write_as(0, "$ ");
	clear_screen();
	console_emergency("[strata] panic: ");
	console_emergency("dead\n");
	expect("\r\n[strata] panic: dead\r\n");
}

static void test_long_lines(void)
{
	char text[3 * CONSOLE_LINE_MAX + 8], want[1024];

	setup(2);
	for (unsigned i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + i % 26);
	text[sizeof(text) - 1] = '\0';
	write_as(0, text);
	sprintf(want, "[alpha] %s", text);
	expect(want);
	write_as(0, "\n");
	expect("\r\n");
	write_as(1, text);
	write_as(1, "\n");
	sprintf(want, "[beta] %.256s\r\n[beta] %.256s\r\n[beta] %.256s\r\n[beta] %s\r\n", text,
		text + 256, text + 512, text + 768);
	expect(want);
}

/*
 * Random talk. Every complete line of a VM must stand on the screen, whole and in order; any other
 * line with its name must be the beginning of one (shown unfinished).
 */
#define TALK_LINES 200

static char said[VM_COUNT][TALK_LINES][64];
static unsigned line_number[VM_COUNT];
static size_t column[VM_COUNT];

static void talk_one(unsigned vm)
{
	char *line = said[vm][line_number[vm]];

	if (line_number[vm] == TALK_LINES - 1)
		return;
	if (column[vm] == 60 || check_below(12) == 0) {
		write_as(vm, check_below(2) ? "\r\n" : "\n");
		line_number[vm]++;
		column[vm] = 0;
		return;
	}
	char c[2] = {(char)(' ' + 1 + check_below(94)), '\0'};

	line[column[vm]++] = c[0];
	line[column[vm]] = '\0';
	write_as(vm, c);
}

static void check_screen_line(const char *line, unsigned shown[VM_COUNT])
{
	for (unsigned vm = 0; vm < VM_COUNT; vm++) {
		char prefix[32];
		int length = sprintf(prefix, "[%s] ", vm_storage[vm].name);

		if (strncmp(line, prefix, (size_t)length))
			continue;
		const char *text = line + length, *wanted = said[vm][shown[vm]];

		if (!strcmp(wanted, text))
			shown[vm]++;
		else if (strncmp(wanted, text, strlen(text)))
			/* Whole when it was interrupted, and painted again before its end came. */
			CHECK(shown[vm] > 0 && !strcmp(said[vm][shown[vm] - 1], text));
		return;
	}
	CHECK(!strncmp(line, "[strata] ", 9));
}

static void test_random_talk(void)
{
	unsigned shown[VM_COUNT] = {0};

	memset(said, 0, sizeof(said));
	memset(line_number, 0, sizeof(line_number));
	memset(column, 0, sizeof(column));
	setup(VM_COUNT);
	for (unsigned i = 0; i < 4000; i++) {
		unsigned what = (unsigned)check_below(100);

		if (what == 0)
			console_printf("event %u", i);
		else if (what == 1)
			type("\x1d");
		else
			talk_one((unsigned)check_below(VM_COUNT));
	}
	for (unsigned vm = 0; vm < VM_COUNT; vm++) {
		if (column[vm]) {
			write_as(vm, "\n");
			line_number[vm]++;
		}
	}
	for (char *line = strtok(screen, "\r\n"); line; line = strtok(NULL, "\r\n"))
		check_screen_line(line, shown);
	for (unsigned vm = 0; vm < VM_COUNT; vm++) {
		CHECK(line_number[vm] > 10);
		CHECK(shown[vm] >= line_number[vm]);
	}
	clear_screen();
}

int main(void)
{
	test_first_vm_has_focus();
	test_focus_writes_through();
	test_single_vm_keeps_prefix();
	test_background_waits_for_line();
	test_prompt_survives();
	test_return_to_column_zero();
	test_focus_switch();
	test_slow_reader();
	test_deaf_vm();
	test_deaf_vm_hears_again();
	test_status();
	test_focus_of_single_vm();
	test_end_of_vm_in_focus();
	test_end_of_background_vm();
	test_interrupted_escape_sequence();
	test_emergency();
	test_long_lines();
	for (unsigned i = 0; i < 20; i++)
		test_random_talk();
	return check_finish();
}
