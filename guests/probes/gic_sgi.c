// SPDX-License-Identifier: MIT
/*
 * Software-generated interrupts from a vCPU to itself, and to nobody. A GICv2 tells who sent one
 * (IAR bits 12:10); a GICv3 sends them by a system register, which EL2 traps.
 */
#include "gic.h"
#include "probe.h"

static void each_id(void)
{
	u64 wrong = 0;

	for (u32 id = 0; id < 16; id++) {
		gic_enable(id);
		gic_send_sgi(id, 1);
		wrong |= !irq_wait_signalled() ? BIT(id) : 0;
		u32 iar = gic_ack();
		wrong |= iar != id ? BIT(id + 16) : 0; /* also: source CPU 0 */
		gic_eoi(iar);
	}
	report_equal("each of the 16 arrives, with the right number and source", wrong, 0);
	report_equal("once", gic_ack(), INTID_SPURIOUS);
}

static void all_together(void)
{
	u64 seen = 0;

	for (u32 id = 0; id < 16; id++)
		gic_send_sgi(id, 1);
	irq_log_clear();
	irq_wait_count(16);
	for (u32 i = 0; i < irq_log.count && i < 16; i++)
		seen |= BIT(irq_log.iar[i] & 0x3ff);
	report_equal("sixteen sent at once all arrive", seen, 0xffff);
	report_equal("none twice", irq_log.count, 16);
}

static void twice_is_once(void)
{
	gic_send_sgi(3, 1);
	gic_send_sgi(3, 1);
	irq_log_clear();
	irq_wait_count(1);
	irq_enable();
	for (unsigned i = 0; i < 200; i++)
		cpu_relax();
	irq_disable();
	report_equal("sent twice before it is taken, it comes once", irq_log.count, 1);
}

static void while_active(void)
{
	u32 iar;

	gic_send_sgi(5, 1);
	irq_wait_signalled();
	iar = gic_ack();
	gic_send_sgi(5, 1);
	report_equal("sent while active, it waits", irq_is_signalled(), 0);
	report_equal("and reads as active and pending", gic_is_active(5) << 1 | gic_is_pending(5),
		     3);
	gic_eoi(iar);
	report_equal("and comes after EOI", irq_wait_signalled(), 1);
	gic_eoi(gic_ack());
}

static void nobody(void)
{
	gic_send_sgi(7, 0);
	report_equal("an empty target list reaches nobody", irq_is_signalled(), 0);
	gic_send_sgi(7, 0x80);
	report_equal("a vCPU that does not exist is no target", irq_is_signalled(), 0);
	gic_send_sgi_others(7);
	report_equal("all but self: nobody in a VM of one", irq_is_signalled(), 0);
	gic_send_sgi_self(7);
	report_equal("self: arrives", irq_wait_signalled(), 1);
	gic_eoi(gic_ack());
	if (gic_version() == 3) {
		sysreg_write(icc_sgi1r_el1, 1UL << ICC_SGI1R_EL1_AFF1_SHIFT |
						    7UL << ICC_SGI1R_EL1_INTID_SHIFT | 1);
		isb();
		report_equal("another cluster (Aff1 = 1) is not us", irq_is_signalled(), 0);
	}
}

static void disabled(void)
{
	gic_disable(9);
	gic_send_sgi(9, 1);
	/* GICv2 leaves open whether SGIs can be disabled at all. */
	if (gic_version() == 3) {
		report_equal("disabled: not signalled", irq_is_signalled(), 0);
		report_equal("but pending", gic_is_pending(9), 1);
	}
	gic_enable(9);
	report_equal("enabled: signalled", irq_wait_signalled(), 1);
	gic_eoi(gic_ack());
}

static void by_pending_registers(void)
{
	gic_set_pending(11);
	report_equal("pended through the distributor: signalled", irq_wait_signalled(), 1);
	gic_clear_pending(11);
	report_equal("cleared through the distributor: gone", irq_is_signalled(), 0);
	report_equal("spurious", gic_ack(), INTID_SPURIOUS);
}

void probe(void)
{
	gic_init();
	each_id();
	all_together();
	twice_is_once();
	while_active();
	nobody();
	disabled();
	by_pending_registers();
}
