// SPDX-License-Identifier: MIT
/*
 * SYSTEM_RESET starts the VM from its pristine image. Nothing in a VM outlives a reset, so the
 * probe tells its two lives apart by physical time: the first life ends at a fixed count.
 */
#include "gic.h"
#include "probe.h"
#include "timer.h"

#define MARK_US 10000
#define INITIAL 0x0123456789abcdefUL

static volatile u64 initialised = INITIAL;

/*
 * Registers of the distributor. Without the GIC layer there is nothing there: also good. Without
 * stage 2 they are the machine's.
 */
static u32 gic_read(u64 address)
{
	u64 value[2] = {address, 0};

	return !has_stage2() || insn_try(MODE_EL1H, 0xb9400001, value) ? 0 : (u32)value[1];
}

static void gic_write(u64 address, u32 number)
{
	u64 value[2] = {address, number};

	if (has_stage2())
		insn_try(MODE_EL1H, 0xb9000001, value);
}

static void first_life(void)
{
	initialised = random();
	for (u64 at = free_memory(); at < memory_end(); at += 4096)
		write64(at, random() | 1);
	sysreg_write(tpidr_el1, random());
	gic_write(GICD_BASE + GICD_CTLR, gic_version() == 3 ? GICD_CTLR_ARE | GICD_CTLR_ENABLE_GRP1
							    : GICD_CTLR_ENABLE_GRP0);
	gic_write(gic_frame(INTID_VTIMER) + GICD_ISENABLER, (u32)BIT(INTID_VTIMER));
	gic_write(GICD_BASE + GICD_ISENABLER + 4, ~0u);
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
	report_equal("interrupts are disabled in the distributor",
		     gic_read(GICD_BASE + GICD_ISENABLER + 4), 0);
	report_equal("also the timer's, which is private",
		     gic_read(gic_frame(INTID_VTIMER) + GICD_ISENABLER) & BIT(INTID_VTIMER), 0);
	report_equal("and no group is on", gic_read(GICD_BASE + GICD_CTLR) & 3, 0);
	report_equal("calls are served", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}

void probe(void)
{
	if (counter_physical() < ticks_from_us(MARK_US))
		first_life();
	else
		second_life();
}
