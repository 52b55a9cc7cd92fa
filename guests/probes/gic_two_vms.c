// SPDX-License-Identifier: MIT
/*
 * The state of an interrupt controller belongs to its VM, also while the VM does not run: pending,
 * active, enabled, priorities, the priority mask and the running priority. To be packed as two
 * VMs; every VM uses INTIDs of its own, and must never see the other's.
 */
#include "gic.h"
#include "probe.h"

#define ROUNDS 16

static u32 base;

static u64 foreign(void)
{
	u32 other = base == 64 ? 96 : 64;

	return read32(GICD_BASE + GICD_ISPENDR + other / 8) |
	       read32(GICD_BASE + GICD_ISACTIVER + other / 8) |
	       read32(GICD_BASE + GICD_ISENABLER + other / 8);
}

/*
 * An SGI that is sent before the VM gives the CPU away, and taken when it has it again. Nothing is
 * pending when the VM comes back and sends it.
 */
static u64 lost_sgis(void)
{
	u64 lost = 0;

	for (u32 id = 0; id < 16; id++)
		gic_enable(id);
	for (u32 id = 16; id-- > 0;) {
		u32 iar;

		vm_yield();
		gic_send_sgi(id, 1);
		vm_yield();
		irq_wait_signalled();
		iar = gic_ack();
		if ((iar & 0x3ff) == id)
			gic_eoi(iar);
		else
			lost |= BIT(id);
	}
	return lost;
}

void probe(void)
{
	u64 seen_foreign = 0, lost_pending = 0, lost_active = 0, lost_mask = 0, wrong = 0,
	    signal = 0;
	u8 mask = guest.vm & 1 ? 0xe0 : 0xd0;

	base = guest.vm & 1 ? 96 : 64;
	gic_init();
	for (unsigned i = 0; i < 8; i++) {
		gic_set_edge(base + i, true);
		gic_set_priority(base + i, (u8)(0x80 - 8 * i));
		gic_enable(base + i);
	}
	gic_set_priority_mask(mask);
	for (unsigned round = 0; round < ROUNDS; round++) {
		u32 iar;

		vm_yield();
		signal += irq_is_signalled(); /* nothing of ours is pending here */
		gic_set_pending(base);
		irq_wait_signalled();
		iar = gic_ack();
		for (unsigned i = 1; i < 8; i++)
			gic_set_pending(base + i);
		vm_yield();
		vm_yield();
		lost_active += !gic_is_active(base) || gic_running_priority() != 0x80;
		lost_mask += (gic_priority_mask() & 0xf8) != mask;
		for (unsigned i = 1; i < 8; i++)
			lost_pending += !gic_is_pending(base + i);
		seen_foreign |= foreign();
		gic_eoi(iar);
		for (unsigned i = 7; i > 0; i--) { /* most urgent first */
			irq_wait_signalled();
			iar = gic_ack();
			wrong += iar != base + i;
			gic_eoi(iar);
			vm_yield();
		}
	}
	report_equal("nothing is signalled that this VM did not raise", signal, 0);
	report_equal("no bit of the other VM's interrupts is visible", seen_foreign, 0);
	report_equal("pending interrupts survive the other VM's turn", lost_pending, 0);
	report_equal("an active interrupt and its priority survive it", lost_active, 0);
	report_equal("the priority mask survives it", lost_mask, 0);
	report_equal("all arrive in order, with switches between them", wrong, 0);
	report_equal("an SGI survives the other VM's turn (bit n: SGI n is lost)", lost_sgis(), 0);
}
