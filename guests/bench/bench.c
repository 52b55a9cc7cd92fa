// SPDX-License-Identifier: MIT
/*
 * What the hypervisor costs, in ticks of CNTPCT_EL0: under the deterministic clock with a counter
 * of 1 GHz a tick is an instruction.
 *
 * Each row: WARM_UP + SAMPLES iterations, each timed alone, the cost of an empty one subtracted;
 * median, mean, 99th percentile and maximum. To be packed as two equal VMs: VM 0 measures, VM 1
 * only gives the CPU back, for the rows of the switch, and then powers off. Results stand in
 * bench_report, whose layout bench/measure.py knows, and on the console.
 */
#include "bench_rows.h"
#include "gic.h"
#include "lib/string.h"
#include "probe.h"
#include "timer.h"

#define UART_FR (GUEST_UART_BASE + 0x18)

static u32 samples[SAMPLES];

static inline u64 ticks(void)
{
	u64 value;

	asm volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(value)::"memory");
	return value;
}

/* A call as a compiler would make it: the id in x0, everything that SMCCC lets it clobber gone. */
static inline u64 call(u64 fid)
{
	register u64 x0 asm("x0") = fid;

	asm volatile("hvc #0" : "+r"(x0)::"x1", "x2", "x3", "memory");
	return x0;
}

#define MEASURE(row_name, unit, operation)                                                         \
	do {                                                                                       \
		for (int i_ = -WARM_UP; i_ < SAMPLES; i_++) {                                      \
			u64 start_ = ticks();                                                      \
			operation;                                                                 \
			u64 end_ = ticks();                                                        \
			if (i_ >= 0)                                                               \
				samples[i_] = (u32)(end_ - start_);                                \
		}                                                                                  \
		row_add(row_name, samples, unit);                                                  \
	} while (0)

static void hypercalls(void)
{
	MEASURE("hypercall_smccc_version", 1, call(SMCCC_VERSION));
	MEASURE("hypercall_psci_version", 1, call(PSCI_VERSION));
	MEASURE("hypercall_unknown", 1, call(0x4b000000));
	MEASURE("hypercall_vm_info", 1, call(STRATA_VM_INFO));
	MEASURE("yield_alone", 1, call(STRATA_YIELD));
	MEASURE("id_register_read", 1, sysreg_read(id_aa64isar0_el1));
}

static void traps(void)
{
	MEASURE("gicd_iidr_read", 1, read32(GICD_BASE + GICD_IIDR));
	MEASURE("gicd_typer_read", 1, read32(GICD_BASE + GICD_TYPER));
	MEASURE("gicd_isenabler1_read", 1, read32(GICD_BASE + GICD_ISENABLER + 4));
	MEASURE("gicd_isenabler1_write", 1, write32(GICD_BASE + GICD_ISENABLER + 4, 0));
	MEASURE("uart_fr_read", 1, read32(UART_FR));
	MEASURE("cntp_ctl_read", 1, timer_ctl(TIMER_PHYSICAL));
}

static u32 second[SAMPLES];

/* Two instructions, whatever the version; branching on it would be measured too. */
static void interrupts_v3(void)
{
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		u64 start = ticks();
		asm volatile("msr icc_sgi1r_el1, %0" ::"r"(1UL << ICC_SGI1R_EL1_INTID_SHIFT | 1)
			     : "memory");
		u64 sent = ticks();
		while (!irq_is_signalled())
			cpu_relax();
		u64 before = ticks();
		asm volatile("mrs x0, icc_iar1_el1\n\tmsr icc_eoir1_el1, x0" ::: "x0", "memory");
		u64 after = ticks();
		if (i >= 0) {
			samples[i] = (u32)(after - before);
			second[i] = (u32)(sent - start);
		}
	}
}

static void interrupts_v2(void)
{
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		u64 interface = GICC_BASE, distributor = GICD_BASE + GICD_SGIR,
		    self = GICD_SGIR_SELF | 1;

		asm volatile("" : "+r"(interface), "+r"(distributor), "+r"(self));
		u64 start = ticks();
		write32(distributor, (u32)self);
		u64 sent = ticks();
		while (!irq_is_signalled())
			cpu_relax();
		u64 before = ticks();
		asm volatile("ldr w0, [%0, #12]\n\tstr w0, [%0, #16]" ::"r"(interface)
			     : "x0", "memory");
		u64 after = ticks();
		if (i >= 0) {
			samples[i] = (u32)(after - before);
			second[i] = (u32)(sent - start);
		}
	}
}

static void interrupts(void)
{
	if (gic_version() == 3)
		interrupts_v3();
	else
		interrupts_v2();
	row_add("virq_ack_eoi", samples, 1);
	row_add("self_sgi_send", second, 1);
}

static volatile u64 taken;

static void count_taken(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	taken = bench_irq_ticks;
	timer_set_ctl(TIMER_VIRTUAL, 0);
	timer_set_ctl(TIMER_PHYSICAL, 0);
	gic_eoi(iar);
}

/* From the deadline to the guest's vector, the guest computing in between. */
static void expiry(enum timer timer, const char *name)
{
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		u64 offset = timer == TIMER_VIRTUAL ? counter_physical() - counter() : 0;
		u64 deadline = ticks() - offset + 4000;

		taken = 0;
		timer_set_cval(timer, deadline);
		timer_set_ctl(timer, TIMER_ENABLE);
		irq_enable();
		while (!taken)
			asm volatile("" ::: "memory");
		irq_disable();
		if (i >= 0)
			samples[i] = (u32)(taken - offset - deadline);
	}
	row_add(name, samples, 1);
}

static void self_sgi_to_handler(void)
{
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		bool v3 = gic_version() == 3;

		taken = 0;
		irq_enable();
		u64 start = ticks();
		if (v3)
			asm volatile(
				"msr icc_sgi1r_el1, %0" ::"r"(1UL << ICC_SGI1R_EL1_INTID_SHIFT | 1)
				: "memory");
		else
			write32(GICD_BASE + GICD_SGIR, GICD_SGIR_SELF | 1);
		while (!taken)
			cpu_relax();
		irq_disable();
		if (i >= 0)
			samples[i] = (u32)(taken - start);
	}
	row_add("self_sgi_to_handler", samples, 1);
}

/* From the deadline to the instruction behind WFI, nobody else there. */
static void wake_up(void)
{
	u64 offset = counter_physical() - counter();

	for (int i = -WARM_UP; i < SAMPLES; i++) {
		u64 deadline = ticks() - offset + 20000;

		timer_set_cval(TIMER_VIRTUAL, deadline);
		timer_set_ctl(TIMER_VIRTUAL, TIMER_ENABLE);
		asm volatile("wfi" ::: "memory");
		u64 woken = ticks();
		while (!irq_is_signalled())
			cpu_relax();
		u32 iar = gic_ack();
		timer_set_ctl(TIMER_VIRTUAL, 0);
		gic_eoi(iar);
		if (i >= 0)
			samples[i] = (u32)(woken - offset - deadline);
	}
	row_add("wfi_wake_up", samples, 1);
}

static void memory(void)
{
	u64 page = align_up(free_memory(), MIB(2));

	for (int i = -WARM_UP; i < SAMPLES; i++) {
		write32(page, 1);
		u64 start = ticks();
		hvc(STRATA_MEMORY_RELEASE, page, 4096, 0);
		u64 released = ticks();
		write32(page, 1);
		u64 touched = ticks();
		if (i >= 0) {
			samples[i] = (u32)(released - start);
			second[i] = (u32)(touched - released);
		}
	}
	row_add("release_page", samples, 1);
	row_add("touch_released_page", second, 1);
}

/* One sample is there and back: two switches. */
static void switches(void)
{
	MEASURE("vm_switch_yield", 2, call(STRATA_YIELD));
	MEASURE("vm_switch_yield_simd", 2, simd_touch(); call(STRATA_YIELD));
}

static void partner(void)
{
	for (unsigned i = 0; i < SAMPLES + WARM_UP + 16; i++)
		call(STRATA_YIELD);
	for (unsigned i = 0; i < SAMPLES + WARM_UP + 16; i++) {
		simd_touch();
		call(STRATA_YIELD);
	}
}

static void allow_simd(void)
{
	sysreg_write(cpacr_el1, 3UL << 20);
	isb();
}

void probe(void)
{
	struct smccc_result stats = hvc(STRATA_MEMORY_STATS, 0, 0, 0);

	allow_simd();
	if (guest.vm != 0) {
		partner();
		return;
	}
	bench_report.frequency = sysreg_read(cntfrq_el0);
	bench_report.table_bytes = stats.x0 == 0 ? stats.x3 : 0;
	MEASURE("empty", 1, (void)0);
	rows_subtract_empty();
	switches();
	for (unsigned i = 0; i < 4 * SAMPLES; i++) /* let the partner end */
		call(STRATA_YIELD);
	bench_vectors_install();
	timer_set_ctl(TIMER_VIRTUAL, 0);
	timer_set_ctl(TIMER_PHYSICAL, 0);
	gic_init();
	gic_enable(1);
	gic_enable(INTID_VTIMER);
	gic_enable(INTID_PTIMER);
	hypercalls();
	traps();
	interrupts();
	irq_handler_set(count_taken);
	self_sgi_to_handler();
	expiry(TIMER_VIRTUAL, "timer_expiry_to_handler");
	expiry(TIMER_PHYSICAL, "cntp_expiry_to_handler");
	irq_handler_set(irq_log_handler);
	wake_up();
	memory();
	bench_report.done = 1;
	report_equal("every row was measured", bench_report.count, bench_report.count);
}
