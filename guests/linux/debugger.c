// SPDX-License-Identifier: MIT
/*
 * First and only process of a Linux guest: a debugger that uses what the CPU has for it.
 *
 * It traces a child by ptrace: a hardware watchpoint on a counter that the child stores to, a
 * hardware breakpoint on a function, single steps. Two words are stored to; which of them is watched
 * is the first argument, so that two VMs watch different ones at one address. No C library: the
 * numbers are those of Linux on arm64 (asm-generic/unistd.h, linux/ptrace.h, asm/ptrace.h).
 */
#include "lib/types.h"

enum {
	SYS_WRITE = 64,
	SYS_EXIT = 93,
	SYS_PTRACE = 117,
	SYS_KILL = 129,
	SYS_REBOOT = 142
};
enum {
	SYS_GETPID = 172,
	SYS_CLONE = 220,
	SYS_WAIT4 = 260
};
enum {
	TRACEME = 0,
	CONT = 7,
	SINGLESTEP = 9,
	GETSIGINFO = 0x4202,
	GETREGSET = 0x4204
};
enum {
	SETREGSET = 0x4205,
	NT_PRSTATUS = 1,
	NT_ARM_HW_BREAK = 0x402,
	NT_ARM_HW_WATCH = 0x403
};
enum {
	SIGTRAP = 5,
	SIGCHLD = 17,
	SIGSTOP = 19,
	TRAP_HWBKPT = 4
};

#define POWER_OFF 0x4321fedcUL
#define REBOOT_MAGIC1 0xfee1deadUL
#define REBOOT_MAGIC2 672274793UL
#define ROUNDS 200
#define EXIT_CODE 7

/* Fields of DBGBCR and DBGWCR, which ptrace takes as they are. */
#define ENABLE_EL0 (1u | 2u << 1)
#define ON_STORE (2u << 3)
#define EIGHT_BYTES (0xffu << 5)
#define ONE_INSTRUCTION (0xfu << 5)

struct hw_debug {
	u32 info; /* number of registers; the debug architecture from bit 8 on */
	u32 pad;
	struct {
		u64 address;
		u32 control;
		u32 pad;
	} registers[16];
};

struct vector {
	void *base;
	u64 length;
};

static volatile u64 words[2];
static u32 passed, checked;

/* store_instruction stores to *word; behind stepped there are two more instructions. */
extern char store_instruction[], stepped[];
void store(volatile u64 *word, u64 value);
void call_stepped(void);
void start(const u64 *stack);

asm(".pushsection .text\n"
    ".globl _start\n"
    "_start:	mov	x0, sp\n"
    "		b	start\n"
    "store:\n"
    "store_instruction:\n"
    "		str	x1, [x0]\n"
    "		ret\n"
    "call_stepped:\n"
    "stepped:	mov	x8, #172\n" /* getpid: a step over SVC as well */
    "		svc	#0\n"
    "		ret\n"
    ".popsection\n");

static long call(long number, u64 a, u64 b, u64 c, u64 d)
{
	register u64 x8 asm("x8") = (u64)number;
	register u64 x0 asm("x0") = a;
	register u64 x1 asm("x1") = b;
	register u64 x2 asm("x2") = c;
	register u64 x3 asm("x3") = d;
	register u64 x4 asm("x4") = 0;

	asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return (long)x0;
}

static void say(const char *text)
{
	u64 length = 0;

	while (text[length])
		length++;
	call(SYS_WRITE, 1, (u64)text, length, 0);
}

static void say_number(u32 number)
{
	char digits[11];
	unsigned at = sizeof(digits) - 1;

	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	say(digits + at);
}

static void check(int holds, const char *text)
{
	checked++;
	passed += holds ? 1 : 0;
	say(holds ? "debugger: yes: " : "debugger: NO: ");
	say(text);
	say("\n");
}

/* What is traced. */
static void child(void)
{
	call(SYS_PTRACE, TRACEME, 0, 0, 0);
	call(SYS_KILL, (u64)call(SYS_GETPID, 0, 0, 0, 0), SIGSTOP, 0, 0);
	for (u64 round = 1; round <= ROUNDS; round++) {
		store(&words[0], round);
		store(&words[1], round);
	}
	call_stepped();
	call(SYS_EXIT, EXIT_CODE, 0, 0, 0);
}

/* Let the child go on by @request. Return: its wait status. */
static u32 resume(long pid, u64 request)
{
	u32 status = 0;

	call(SYS_PTRACE, request, (u64)pid, 0, 0);
	call(SYS_WAIT4, (u64)pid, (u64)&status, 0, 0);
	return status;
}

static int stopped_by(u32 status, u32 signal)
{
	return (status & 0xff) == 0x7f && status >> 8 == signal;
}

static u64 program_counter(long pid)
{
	u64 general[34]; /* x0 to x30, SP, PC, PSTATE */
	struct vector vector = {general, sizeof(general)};

	call(SYS_PTRACE, GETREGSET, (u64)pid, NT_PRSTATUS, (u64)&vector);
	return general[32];
}

/* si_code and si_addr of what stopped the child. */
static int is_hardware_hit(long pid, u64 address)
{
	u32 info[32] = {0};

	call(SYS_PTRACE, GETSIGINFO, (u64)pid, 0, (u64)info);
	return info[2] == TRAP_HWBKPT && (info[4] | (u64)info[5] << 32) == address;
}

static long set_register(long pid, u64 set, u64 address, u32 control)
{
	struct hw_debug debug = {.registers = {{address, control, 0}}};
	struct vector vector = {&debug, 24};

	return call(SYS_PTRACE, SETREGSET, (u64)pid, set, (u64)&vector);
}

static u32 register_count(long pid, u64 set)
{
	struct hw_debug debug = {0};
	struct vector vector = {&debug, sizeof(debug)};

	call(SYS_PTRACE, GETREGSET, (u64)pid, set, (u64)&vector);
	return debug.info & 0xff;
}

/* After a hit the store is stepped over with the watchpoint off. */
static void watch(long pid, volatile u64 *word)
{
	u32 control = ENABLE_EL0 | ON_STORE | EIGHT_BYTES, hits = 0, exact = 0;

	check(set_register(pid, NT_ARM_HW_WATCH, (u64)word, control) == 0, "a watchpoint is set");
	while (hits < ROUNDS && stopped_by(resume(pid, CONT), SIGTRAP)) {
		hits++;
		exact += is_hardware_hit(pid, (u64)word) &&
			 program_counter(pid) == (u64)store_instruction;
		set_register(pid, NT_ARM_HW_WATCH, (u64)word, 0);
		resume(pid, SINGLESTEP);
		exact += program_counter(pid) == (u64)store_instruction + 4;
		if (hits < ROUNDS)
			set_register(pid, NT_ARM_HW_WATCH, (u64)word, control);
	}
	check(hits == ROUNDS, "each store to it is hit");
	check(exact == 2 * ROUNDS, "at the store, with the word's address, and a step leads on");
}

static void debug(long pid, volatile u64 *word)
{
	u64 at = (u64)stepped;

	check(register_count(pid, NT_ARM_HW_WATCH) == 2, "there are two watchpoints");
	check(register_count(pid, NT_ARM_HW_BREAK) == 2, "and two breakpoints");
	watch(pid, word);
	check(set_register(pid, NT_ARM_HW_BREAK, at, ENABLE_EL0 | ONE_INSTRUCTION) == 0,
	      "a breakpoint is set");
	check(stopped_by(resume(pid, CONT), SIGTRAP) && is_hardware_hit(pid, at) &&
		      program_counter(pid) == at,
	      "it is hit");
	set_register(pid, NT_ARM_HW_BREAK, at, 0);
	for (u64 step = 1; step <= 2; step++)
		check(stopped_by(resume(pid, SINGLESTEP), SIGTRAP) &&
			      program_counter(pid) == at + 4 * step,
		      "a single step is one instruction");
	check(resume(pid, CONT) == EXIT_CODE << 8, "the child comes to its end");
}

void start(const u64 *stack)
{
	/* argc, argv[0], argv[1] */
	u64 which = stack[0] > 1 && *(const char *)stack[2] == '1' ? 1 : 0;
	u32 status = 0;
	long pid = call(SYS_CLONE, SIGCHLD, 0, 0, 0);

	if (pid == 0)
		child();
	call(SYS_WAIT4, (u64)pid, (u64)&status, 0, 0);
	check(stopped_by(status, SIGSTOP), "the child can be traced");
	debug(pid, &words[which]);
	say("debugger: ");
	say_number(passed);
	say(" of ");
	say_number(checked);
	say("\n");
	call(SYS_REBOOT, REBOOT_MAGIC1, REBOOT_MAGIC2, POWER_OFF, 0);
	for (;;)
		call(SYS_EXIT, 1, 0, 0, 0);
}
