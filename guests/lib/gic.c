/* SPDX-License-Identifier: MIT */
/*
 * One driver for both versions: GICv3's system registers, GICv2's memory-mapped interface.
 * State: the version, asked once because reading an ID register costs an exit, and the log of the
 * default handler.
 */
#include "gic.h"

#include "cpu.h"
#include "lib/string.h"

#define POLL_ROUNDS 20000

struct irq_log irq_log;
static unsigned version;

unsigned gic_version(void)
{
	if (!version)
		version = bits_get(sysreg_read(id_aa64pfr0_el1), 27, 24) ? 3 : 2;
	return version;
}

u64 gic_frame(u32 intid)
{
	u64 redistributor = GUEST_GICR_STRIDE * (sysreg_read(mpidr_el1) & 0xff);

	return gic_version() == 3 && intid < GIC_PRIVATE_COUNT ? GICR_SGI_BASE + redistributor
							       : GICD_BASE;
}

void gic_bit_set(u64 array, u32 intid)
{
	write32(gic_frame(intid) + array + intid / 32 * 4, 1u << (intid % 32));
}

bool gic_bit_get(u64 array, u32 intid)
{
	return read32(gic_frame(intid) + array + intid / 32 * 4) >> (intid % 32) & 1;
}

static void lines_init(u32 first, u32 end)
{
	for (u32 n = first; n < end; n += 32) {
		write32(gic_frame(n) + GICD_ICENABLER + n / 8, ~0u);
		write32(gic_frame(n) + GICD_ICPENDR + n / 8, ~0u);
		write32(gic_frame(n) + GICD_ICACTIVER + n / 8, ~0u);
		if (gic_version() == 3)
			write32(gic_frame(n) + GICD_IGROUPR + n / 8, ~0u);
	}
	for (u32 n = first; n < end; n += 4)
		write32(gic_frame(n) + GICD_IPRIORITYR + n, PRIORITY_DEFAULT * 0x01010101u);
}

static void gic_v3_init_cpu(void)
{
	u64 waker = gic_frame(0) - GICR_SGI_FRAME + GICR_WAKER;

	write32(waker, read32(waker) & ~(u32)GICR_WAKER_PROCESSOR_SLEEP);
	for (u32 i = 0; i < POLL_ROUNDS && (read32(waker) & GICR_WAKER_CHILDREN_ASLEEP); i++)
		cpu_relax();
	sysreg_write(icc_sre_el1, sysreg_read(icc_sre_el1) | 1);
	isb();
	sysreg_write(icc_pmr_el1, 0xff);
	sysreg_write(icc_bpr1_el1, 0);
	sysreg_write(icc_ctlr_el1, sysreg_read(icc_ctlr_el1) & ~ICC_CTLR_EL1_EOIMODE);
	sysreg_write(icc_igrpen1_el1, 1);
	isb();
}

static void gic_v2_init_cpu(void)
{
	write32(GICC_BASE + GICC_PMR, 0xff);
	write32(GICC_BASE + GICC_BPR, 0);
	write32(GICC_BASE + GICC_CTLR, GICC_CTLR_ENABLE_GRP0);
}

void gic_init_cpu(void)
{
	lines_init(0, GIC_PRIVATE_COUNT);
	if (gic_version() == 3)
		gic_v3_init_cpu();
	else
		gic_v2_init_cpu();
}

void gic_init(void)
{
	bool v3 = gic_version() == 3;

	lines_init(GIC_PRIVATE_COUNT, GUEST_INTID_COUNT);
	for (u32 n = GIC_PRIVATE_COUNT; v3 && n < GUEST_INTID_COUNT; n++)
		write64(GICD_BASE + GICD_IROUTER + 8 * n, 0);
	for (u32 n = GIC_PRIVATE_COUNT; !v3 && n < GUEST_INTID_COUNT; n += 4)
		write32(GICD_BASE + GICD_ITARGETSR + n, 0x01010101);
	write32(GICD_BASE + GICD_CTLR,
		v3 ? GICD_CTLR_ARE | GICD_CTLR_ENABLE_GRP1 : GICD_CTLR_ENABLE_GRP0);
	gic_init_cpu();
	irq_log_clear();
	irq_handler_set(irq_log_handler);
}

void gic_enable(u32 intid)
{
	gic_bit_set(GICD_ISENABLER, intid);
}

void gic_disable(u32 intid)
{
	gic_bit_set(GICD_ICENABLER, intid);
}

/* On a GICv2 an SGI is made pending by SPENDSGIR, one byte each; ISPENDR has no bits for SGIs. */
void gic_set_pending(u32 intid)
{
	if (gic_version() == 2 && intid < GIC_SGI_COUNT)
		write8(GICD_BASE + GICD_SPENDSGIR + intid, 1);
	else
		gic_bit_set(GICD_ISPENDR, intid);
}

void gic_clear_pending(u32 intid)
{
	if (gic_version() == 2 && intid < GIC_SGI_COUNT)
		write8(GICD_BASE + GICD_CPENDSGIR + intid, 0xff);
	else
		gic_bit_set(GICD_ICPENDR, intid);
}

bool gic_is_pending(u32 intid)
{
	return gic_bit_get(GICD_ISPENDR, intid);
}

bool gic_is_active(u32 intid)
{
	return gic_bit_get(GICD_ISACTIVER, intid);
}

void gic_set_priority(u32 intid, u8 priority)
{
	write8(gic_frame(intid) + GICD_IPRIORITYR + intid, priority);
}

u8 gic_priority(u32 intid)
{
	return read8(gic_frame(intid) + GICD_IPRIORITYR + intid);
}

void gic_set_edge(u32 intid, bool edge)
{
	u64 at = gic_frame(intid) + GICD_ICFGR + intid / 16 * 4;
	u32 bit = GICD_ICFGR_EDGE << (intid % 16 * 2);

	write32(at, edge ? read32(at) | bit : read32(at) & ~bit);
}

u32 gic_ack(void)
{
	u32 iar =
		gic_version() == 3 ? (u32)sysreg_read(icc_iar1_el1) : read32(GICC_BASE + GICC_IAR);

	dsb();
	return iar;
}

void gic_eoi(u32 iar)
{
	if (gic_version() == 3) {
		sysreg_write(icc_eoir1_el1, iar);
		isb();
	} else {
		write32(GICC_BASE + GICC_EOIR, iar);
	}
}

void gic_dir(u32 iar)
{
	if (gic_version() == 3) {
		sysreg_write(icc_dir_el1, iar);
		isb();
	} else {
		write32(GICC_BASE + GICC_DIR, iar);
	}
}

void gic_set_split_eoi(bool split)
{
	if (gic_version() == 3) {
		sysreg_write(icc_ctlr_el1, (sysreg_read(icc_ctlr_el1) & ~ICC_CTLR_EL1_EOIMODE) |
						   (split ? ICC_CTLR_EL1_EOIMODE : 0));
		isb();
	} else {
		write32(GICC_BASE + GICC_CTLR,
			GICC_CTLR_ENABLE_GRP0 | (split ? GICC_CTLR_EOIMODE : 0));
	}
}

void gic_set_priority_mask(u8 mask)
{
	if (gic_version() == 3) {
		sysreg_write(icc_pmr_el1, mask);
		isb();
	} else {
		write32(GICC_BASE + GICC_PMR, mask);
	}
}

u8 gic_priority_mask(void)
{
	return gic_version() == 3 ? (u8)sysreg_read(icc_pmr_el1) : (u8)read32(GICC_BASE + GICC_PMR);
}

u8 gic_running_priority(void)
{
	return gic_version() == 3 ? (u8)sysreg_read(icc_rpr_el1) : (u8)read32(GICC_BASE + GICC_RPR);
}

u32 gic_highest_pending(void)
{
	return gic_version() == 3 ? (u32)sysreg_read(icc_hppir1_el1)
				  : read32(GICC_BASE + GICC_HPPIR);
}

void gic_send_sgi(u32 intid, u32 targets)
{
	if (gic_version() == 3) {
		sysreg_write(icc_sgi1r_el1, (u64)intid << ICC_SGI1R_EL1_INTID_SHIFT | targets);
		isb();
	} else {
		write32(GICD_BASE + GICD_SGIR, targets << GICD_SGIR_TARGET_LIST_SHIFT | intid);
	}
}

void gic_send_sgi_self(u32 intid)
{
	if (gic_version() == 3)
		gic_send_sgi(intid, 1u << (sysreg_read(mpidr_el1) & 0xf));
	else
		write32(GICD_BASE + GICD_SGIR, GICD_SGIR_SELF | intid);
}

void gic_send_sgi_others(u32 intid)
{
	if (gic_version() == 3) {
		sysreg_write(icc_sgi1r_el1,
			     ICC_SGI1R_EL1_IRM | (u64)intid << ICC_SGI1R_EL1_INTID_SHIFT);
		isb();
	} else {
		write32(GICD_BASE + GICD_SGIR, GICD_SGIR_OTHERS | intid);
	}
}

bool irq_is_signalled(void)
{
	isb();
	return sysreg_read(isr_el1) >> 7 & 1;
}

bool irq_wait_signalled(void)
{
	for (u32 i = 0; i < POLL_ROUNDS; i++) {
		if (irq_is_signalled())
			return true;
		cpu_relax();
	}
	return false;
}

void irq_log_handler(struct exception_frame *frame)
{
	u32 iar = gic_ack();

	if ((iar & 0x3ff) >= GIC_INTID_SPECIAL) {
		irq_log.spurious++;
		return;
	}
	irq_log.ticks = counter();
	if (irq_log.count < IRQ_LOG_MAX)
		irq_log.iar[irq_log.count] = iar;
	irq_log.count++;
	/* The line of a timer would stay up: a probe that wants that brings its own handler. */
	if ((iar & 0x3ff) == INTID_VTIMER)
		sysreg_write(cntv_ctl_el0, 3);
	if ((iar & 0x3ff) == INTID_PTIMER)
		sysreg_write(cntp_ctl_el0, 3);
	isb();
	gic_eoi(iar);
}

void irq_log_clear(void)
{
	memset(&irq_log, 0, sizeof(irq_log));
}

bool irq_wait_count(u32 count)
{
	irq_enable();
	for (u32 i = 0; i < POLL_ROUNDS && *(volatile u32 *)&irq_log.count < count; i++)
		cpu_relax();
	irq_disable();
	return irq_log.count >= count;
}
