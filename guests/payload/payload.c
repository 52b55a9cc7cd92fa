// SPDX-License-Identifier: MIT
/*
 * Which system is this, and which rows are to be measured; and the rows that are the same program
 * everywhere: calls, the interrupt controller, and interrupts between two CPUs.
 */
#include "payload.h"

#include "lib/guest_map.h"
#include "lib/printf.h"
#include "lib/string.h"

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_FR_TXFF BIT(5)
#define FDT_TOTAL_SIZE 4 /* offset in a device tree's header, big-endian */

void payload_main(const u8 *tree, u64 from_el2);
void payload_exception(void) __attribute__((noreturn));

struct platform platform;
u32 samples[SAMPLES], second[SAMPLES];

/* Xen gives a domain the devices of a machine of its own design. */
static const struct platform like_virt = {"", GUEST_UART_BASE, GUEST_GICD_BASE, GUEST_GICR_BASE,
					  false};
static const struct platform of_xen = {"", 0x22000000, 0x03001000, 0x03020000, false};

static void put(void *context, char c)
{
	while (read32(platform.uart + UART_FR) & UART_FR_TXFF)
		cpu_relax();
	write32(platform.uart + UART_DR, (u8)c);
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	format(put, NULL, fmt, args);
	va_end(args);
}

/* Nothing but an interrupt should come: say so, once, and stop there. */
void payload_exception(void)
{
	print("unexpected exception: esr 0x%lx elr 0x%lx far 0x%lx\n", sysreg_read(esr_el1),
	      sysreg_read(elr_el1), sysreg_read(far_el1));
	power_off();
}

/* Whether the device tree holds this text: the command line is the only place where it can. */
static bool is_told(const u8 *tree, const char *text)
{
	u32 size = tree ? __builtin_bswap32(read32((u64)tree + FDT_TOTAL_SIZE)) : 0;
	u32 length = (u32)strlen(text);

	for (u32 at = 0; at + length <= size; at++)
		if (memcmp(tree + at, text, length) == 0)
			return true;
	return false;
}

static void hypercalls(const u8 *tree)
{
	if (is_told(tree, "bench=xen"))
		MEASURE("hypercall_smccc", 1,
			call(SMCCC_VERSION)); /* it has a faster one (xen.c) */
	else
		MEASURE("hypercall", 1, call(SMCCC_VERSION));
	MEASURE("hypercall_psci", 1, call(PSCI_VERSION));
}

static void interrupt_controller(void)
{
	u64 distributor = platform.gicd;

	MEASURE("gic_trap", 1, read32(distributor + GICD_IIDR));
	MEASURE("gic_trap_enable", 1, read32(distributor + GICD_ISENABLER + 4));
}

static inline bool is_signalled(void)
{
	isb();
	return sysreg_read(isr_el1) & BIT(7);
}

/* With interrupts masked: acknowledge and complete alone, and the send before them. */
static void completion(void)
{
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		u64 start = ticks();
		send_sgi(BIT(0));
		u64 sent = ticks();
		while (!is_signalled())
			cpu_relax();
		u64 before = ticks();
		asm volatile("mrs x0, icc_iar1_el1\n\tmsr icc_eoir1_el1, x0" ::: "x0", "memory");
		u64 after = ticks();
		if (i >= 0) {
			samples[i] = (u32)(after - before);
			second[i] = (u32)(sent - start);
		}
	}
	row_add("virq_completion", samples, 1);
	row_add("self_sgi", second, 1);
}

static void between_cpus(enum second_mode mode, const char *to_vector, const char *senders)
{
	second_set(mode);
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		settle(SETTLE);
		u64 before = taken, start = ticks();
		send_sgi(BIT(1));
		u64 sent = ticks();
		while (taken == before)
			cpu_relax();
		if (i >= 0) {
			samples[i] = (u32)(taken_at - start);
			second[i] = (u32)(sent - start);
		}
	}
	row_add(to_vector, samples, 1);
	row_add(senders, second, 1);
}

static void measure_one(const u8 *tree)
{
	gic_start();
	interrupt_controller();
	completion();
	if (!second_start()) {
		print("no second CPU came\n");
		return;
	}
	between_cpus(SECOND_WAITS, "ipi_running", "ipi_running_send");
	between_cpus(SECOND_SLEEPS, "ipi_asleep", "ipi_asleep_send");
	if (platform.is_bare)
		native_rows();
	if (is_told(tree, "bench=strata"))
		strata_rows();
	if (is_told(tree, "bench=kvm"))
		kvm_rows();
	if (is_told(tree, "bench=xen"))
		xen_rows();
	second_set(SECOND_OFF);
}

void power_off(void)
{
	print("BENCH END\n");
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		asm volatile("wfi");
}

void payload_main(const u8 *tree, u64 from_el2)
{
	bool is_second = is_told(tree, ",second");

	platform = is_told(tree, "bench=xen") ? of_xen : like_virt;
	platform.is_bare = from_el2;
	MEASURE("empty", 1, (void)0);
	rows_subtract_empty();
	if (is_told(tree, ",one") && !platform.is_bare)
		hypercalls(tree); /* before all else: layer 1 has them, and no GIC */
	if (is_told(tree, "bench=strata,switch"))
		strata_switch(is_second);
	else if (is_told(tree, "bench=strata,alone"))
		strata_alone();
	else if (is_told(tree, "bench=strata,round"))
		strata_round(is_second);
	else if (is_told(tree, "bench=strata,sleep"))
		strata_sleep();
	else if (is_told(tree, "bench=kvm,switch"))
		kvm_switch();
	else if (is_told(tree, "bench=xen,switch"))
		xen_switch();
	else if (is_told(tree, "bench=xen,events"))
		xen_events(is_second);
	else
		measure_one(tree);
	power_off();
}
