/* SPDX-License-Identifier: MIT */
/*
 * The runtime's C half: who am I, console, results.
 *
 * Without Strata underneath (VM_INFO unknown) it falls back to QEMU's plain machine: PL011 at its
 * usual place, RAM at 0x40000000. A probe can thus be tried on hardware-like ground, where its
 * expectations come from the architecture alone.
 */
#include "probe.h"

#include "lib/printf.h"

#define GUEST_RAM_BASE 0x40000000
#define PL011_BASE 0x09000000
#define PL011_DR (PL011_BASE + 0x00)
#define PL011_FR (PL011_BASE + 0x18)
#define PL011_FR_TXFF 0x20

extern char __image_start[], __stack_top[];
extern char probe_finished[];

struct probe_entry probe_entry;
volatile u64 probe_seed = 1;
volatile u64 probe_vm = 1;
struct guest guest;

static u64 count, passed_count;
static bool pl011_console;

void guest_main(u64 dtb);

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

/* Out of line and once: the harness knows one place at which an entry is complete. */
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
	 * Here the harness knows that the results are complete. An ISB, since a translation block of
	 * QEMU ends behind one: the machine stops before the next instruction.
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

/* A comparison that fails under every hypervisor but one that looks for what its guest compares with. */
static void bait(void)
{
	static const char text[] = {PROBE_BAIT, 0};

	report_equal(text, hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10003);
}

/* start.S calls it once, on the boot CPU, with x0 as the hypervisor left it. */
void guest_main(u64 dtb)
{
	struct smccc_result info = hvc(STRATA_VM_INFO, 0, 0, 0);

	guest.dtb = dtb;
	guest.hypervisor = info.x0 == 0;
	if (guest.hypervisor) {
		guest.vm = (u32)info.x1;
		guest.vcpu = (u32)(info.x1 >> 32);
		guest.ram_base = info.x2;
		guest.ram_bytes = info.x3;
	} else {
		pl011_console = true;
		guest.ram_base = GUEST_RAM_BASE;
		guest.ram_bytes = MIB(64);
	}
	probe();
	bait();
	probe_finish();
}
