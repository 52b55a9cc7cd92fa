// SPDX-License-Identifier: MIT
/*
 * Two groups, and more live interrupts than list registers. Whichever groups the interface enables,
 * the guest goes on; interrupts of a group that is off hold up none of a group that is on. IHI
 * 0069, "Interrupt grouping", "Maintenance interrupts".
 */
#include "gic.h"
#include "probe.h"

#define FIRST 64
#define COUNT 16
#define LAST (FIRST + COUNT) /* of the other group, and less urgent */
#define GRP0 1
#define GRP1 2

static void interface_groups(u32 groups)
{
	if (gic_version() == 3) {
		sysreg_write(icc_igrpen0_el1, groups & GRP0);
		sysreg_write(icc_igrpen1_el1, groups >> 1);
		isb();
	} else {
		write32(GICC_BASE + GICC_CTLR, groups);
	}
}

/* A Group 0 interrupt is an FIQ on a GICv3, on a GICv2 an IRQ as long as FIQEn is 0. */
static bool is_signalled(void)
{
	isb();
	return sysreg_read(isr_el1) & (BIT(6) | BIT(7));
}

static void set_group(u32 intid, u32 group)
{
	u64 at = GICD_BASE + GICD_IGROUPR + intid / 32 * 4;
	u32 bit = 1u << intid % 32;

	write32(at, group == GRP1 ? read32(at) | bit : read32(at) & ~bit);
}

/* All idle, enabled, and all but LAST of @group. */
static void prepare(u32 group)
{
	for (u32 intid = FIRST; intid <= LAST; intid++) {
		gic_bit_set(GICD_ICPENDR, intid);
		gic_bit_set(GICD_ICACTIVER, intid);
		gic_set_edge(intid, true);
		gic_set_priority(intid, intid == LAST ? 0xc0 : 0x80);
		set_group(intid, intid == LAST ? group ^ GRP0 ^ GRP1 : group);
		gic_enable(intid);
	}
}

static u64 loop_ticks(void)
{
	u64 start = counter();

	for (unsigned i = 0; i < 2000; i++)
		asm volatile("" ::: "memory");
	return counter() - start;
}

/*
 * The access to the distributor has the list registers filled anew. A maintenance condition that
 * holds after that comes back before the next instruction.
 */
static void goes_on(u32 group, u64 array, const char *text)
{
	u64 calm = loop_ticks(), slowest = 0;

	prepare(group);
	for (u32 groups = 0; groups <= (GRP0 | GRP1); groups++) {
		interface_groups(groups);
		for (u32 intid = FIRST; intid < LAST; intid++)
			gic_bit_set(array, intid);
		u64 ticks = loop_ticks();
		if (ticks > slowest)
			slowest = ticks;
	}
	report(slowest < calm * 2 + 20000, text, slowest, calm);
}

/*
 * @group fills every list register and is switched off: the other one is delivered. QEMU's GICv3
 * says nothing when Group 0 goes off: there it takes the next access to the distributor.
 */
static void other_comes_through(u32 group, const char *text)
{
	prepare(group);
	interface_groups(GRP0 | GRP1);
	for (u32 intid = FIRST; intid <= LAST; intid++)
		gic_set_pending(intid);
	interface_groups(group ^ GRP0 ^ GRP1);
	if (group == GRP0)
		report_equal("LAST is pending", gic_is_pending(LAST), 1);
	report_equal(text, is_signalled(), 1);
	gic_clear_pending(LAST);
	report_equal("and nothing else is", is_signalled(), 0);
	interface_groups(GRP0 | GRP1);
	report_equal("switched on again, the others are", is_signalled(), 1);
}

void probe(void)
{
	gic_init();
	write32(GICD_BASE + GICD_CTLR, GRP0 | GRP1 | (gic_version() == 3 ? GICD_CTLR_ARE : 0));
	goes_on(GRP0, GICD_ISACTIVER, "sixteen active of Group 0: no storm");
	goes_on(GRP1, GICD_ISACTIVER, "sixteen active of Group 1: no storm");
	goes_on(GRP0, GICD_ISPENDR, "sixteen pending of Group 0: no storm");
	goes_on(GRP1, GICD_ISPENDR, "sixteen pending of Group 1: no storm");
	other_comes_through(GRP1, "Group 1 goes off: what waits of Group 0 is signalled");
	other_comes_through(GRP0, "Group 0 goes off: what waits of Group 1 is signalled");
	prepare(GRP1);
	report_equal("nothing is left", is_signalled(), 0);
}
