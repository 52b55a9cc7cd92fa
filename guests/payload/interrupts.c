// SPDX-License-Identifier: MIT
/* A GICv3 at any address, and the handler of both CPUs. */
#include "payload.h"

#define PRIORITIES 0x80808080U
#define SGIS_AND_EVENTS 0x8000ffffU /* all SGIs, and PPI 31, which is Xen's event channel */

volatile u64 taken, taken_at;
void (*on_interrupt)(u32 intid);

void irq_taken(void);

void gic_start_cpu(u64 cpu)
{
	u64 frame = platform.gicr + cpu * GICR_STRIDE, sgis = frame + GICR_SGI_FRAME;

	write32(frame + GICR_WAKER, read32(frame + GICR_WAKER) & ~(u32)GICR_WAKER_PROCESSOR_SLEEP);
	while (read32(frame + GICR_WAKER) & GICR_WAKER_CHILDREN_ASLEEP)
		cpu_relax();
	write32(sgis + GICD_IGROUPR, ~0u);
	for (u64 n = 0; n < GIC_PRIVATE_COUNT; n += 4)
		write32(sgis + GICD_IPRIORITYR + n, PRIORITIES);
	write32(sgis + GICD_ISENABLER, SGIS_AND_EVENTS);
	sysreg_write(icc_sre_el1, sysreg_read(icc_sre_el1) | 1);
	isb();
	sysreg_write(icc_pmr_el1, 0xff);
	sysreg_write(icc_bpr1_el1, 0);
	sysreg_write(icc_ctlr_el1, sysreg_read(icc_ctlr_el1) & ~ICC_CTLR_EL1_EOIMODE);
	sysreg_write(icc_igrpen1_el1, 1);
	isb();
}

void gic_start(void)
{
	write32(platform.gicd + GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_ENABLE_GRP1);
	gic_start_cpu(0);
}

void gic_start_spi(u32 intid, bool edge)
{
	u64 distributor = platform.gicd;
	u32 bit = 1u << intid % 32, trigger = GICD_ICFGR_EDGE << intid % 16 * 2;
	u64 config = distributor + GICD_ICFGR + intid / 16 * 4;

	write32(distributor + GICD_IGROUPR + intid / 32 * 4,
		read32(distributor + GICD_IGROUPR + intid / 32 * 4) | bit);
	write32(config, edge ? read32(config) | trigger : read32(config) & ~trigger);
	write8(distributor + GICD_IPRIORITYR + intid, (u8)PRIORITIES);
	write64(distributor + GICD_IROUTER + 8UL * intid, 0);
	write32(distributor + GICD_ISENABLER + intid / 32 * 4, bit);
}

/* The vector has stamped bench_irq_ticks. The YIELD lets who waits for this interrupt see it. */
void irq_taken(void)
{
	u32 intid = (u32)sysreg_read(icc_iar1_el1);

	if (intid >= GIC_INTID_SPECIAL)
		return;
	taken_at = bench_irq_ticks;
	if (on_interrupt)
		on_interrupt(intid);
	sysreg_write(icc_eoir1_el1, intid);
	isb();
	taken = taken + 1;
	cpu_relax();
}
