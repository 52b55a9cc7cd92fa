/* SPDX-License-Identifier: MIT */
/* What a probe calls: results, console, and where its memory is. */
#include "probe.h"

#include "lib/printf.h"

#define PL011_DR (GUEST_UART_BASE + 0x00)
#define PL011_FR (GUEST_UART_BASE + 0x18)
#define PL011_FR_TXFF 0x20

extern char __image_start[], __stack_top[];

struct probe_entry probe_entry;
volatile u64 probe_seed = 1;
volatile u64 probe_vm = 1;
struct guest guest;

static u64 count, passed_count;
static bool pl011_console;

void console_use_pl011(bool on)
{
	pl011_console = on;
}

static void console_put(void *context, char c)
{
	if (!pl011_console) {
		hvc(STRATA_CONSOLE_PUTC, (u8)c, 0, 0);
		return;
	}
	while (read32(PL011_FR) & PL011_FR_TXFF)
		cpu_relax();
	write32(PL011_DR, (u8)c);
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	format(console_put, NULL, fmt, args);
	va_end(args);
}

u64 link_address(const void *pointer)
{
	return (u64)pointer - (u64)__image_start;
}

/* Never inlined or cloned: the harness has one place at which an entry is complete. */
__attribute__((noinline, noclone)) void report(bool passed, const char *text, u64 observed,
					       u64 expected)
{
	u64 number = probe_entry.number + 1;

	probe_entry.name = link_address(text);
	probe_entry.passed = passed;
	probe_entry.observed = observed;
	probe_entry.expected = expected;
	probe_entry.vm = probe_vm;
	asm volatile(".globl probe_commit\nprobe_commit: str %1, %0"
		     : "=m"(probe_entry.number)
		     : "r"(number)
		     : "memory");
	if (*text == PROBE_BAIT)
		return;
	count++;
	passed_count += passed;
	if (passed)
		print("PASS: %s\n", text);
	else
		print("FAIL: %s (observed 0x%lx, expected 0x%lx)\n", text, observed, expected);
}

/*
 * At the same address in every guest, right behind the entry: a breakpoint on one guest's end is
 * then never in the middle of another's loop.
 */
__attribute__((section(".text.finish"))) void probe_finish(void)
{
	print("DONE: %lu of %lu\n", passed_count, count);
	/*
	 * The harness stops here and knows that the results are complete. The instruction is an ISB
	 * because a translation block of QEMU ends behind one: the next one is not executed.
	 */
	asm volatile(".globl probe_finished\nprobe_finished: isb" ::: "memory");
	hvc(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		asm volatile("wfi");
}

u64 free_memory(void)
{
	return align_up((u64)__stack_top, 4096);
}

u64 ram_end(void)
{
	return guest.ram_base + guest.ram_bytes;
}

u64 memory_end(void)
{
	if (guest.dtb > free_memory() && guest.dtb < ram_end())
		return align_down(guest.dtb, 4096);
	return ram_end();
}

bool has_stage2(void)
{
	return guest.ram_base == GUEST_RAM_BASE;
}
