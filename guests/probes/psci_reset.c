// SPDX-License-Identifier: MIT
/*
 * SYSTEM_RESET starts the VM from its pristine image. Nothing in a VM outlives that, so the probe
 * tells its two lives apart by physical time: the first ends when it has passed the mark.
 */
#include "gic.h"
#include "probe.h"
#include "timer.h"

#define MARK_US 10000
#define INITIAL 0x0123456789abcdefUL

static volatile u64 initialised = INITIAL;

static u64 gicd_enabled(void)
{
	u64 value[2] = {GICD_BASE + GIC_ISENABLER + 4, 0};

	/* Without the GIC layer there is nothing there: also good. Without stage 2 it is the machine's. */
	return !has_stage2() || insn_try(MODE_EL1H, 0xb9400001, value) ? 0 : (u32)value[1];
}

static void first_life(void)
{
	initialised = random();
	for (u64 at = free_memory(); at < memory_end(); at += 4096)
		write64(at, random() | 1);
	sysreg_write(tpidr_el1, random());
	if (has_stage2()) {
		u64 value[2] = {GICD_BASE + GIC_ISENABLER + 4, ~0UL};

		insn_try(MODE_EL1H, 0xb9000001, value);
	}
	while (counter_physical() < ticks_from_us(MARK_US))
		spin_burst();
	print("first life ends\n");
	u64 result = hvc(PSCI_SYSTEM_RESET, 0, 0, 0).x0;
	report_equal("SYSTEM_RESET does not return", result, ~0UL - 1);
}

static void second_life(void)
{
	u64 dirty = 0;

	for (u64 at = free_memory(); at < memory_end(); at += 4096)
		dirty += read64(at) != 0;
	report_equal("initialised data is as in the image", initialised, INITIAL);
	report_equal("other RAM is zero", dirty, 0);
	report_equal("the MMU is off", sysreg_read(sctlr_el1) & 1, 0);
	report_equal("interrupts are disabled in the distributor", gicd_enabled(), 0);
	report_equal("calls are served", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}

void probe(void)
{
	if (counter_physical() < ticks_from_us(MARK_US))
		first_life();
	else
		second_life();
}
