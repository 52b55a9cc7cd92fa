/* SPDX-License-Identifier: MIT */
/*
 * One driver for both versions: GICv3's system registers, GICv2's memory-mapped interface.
 * State: the version, asked once because reading an ID register costs an exit, and the log of the
 * default handler.
 */
#include "gic.h"

#include "cpu.h"
#include "lib/string.h"

#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_SGI1R_EL1 S3_0_C12_C11_5
#define ICC_DIR_EL1 S3_0_C12_C11_1
#define ICC_RPR_EL1 S3_0_C12_C11_3
#define ICC_IAR1_EL1 S3_0_C12_C12_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_HPPIR1_EL1 S3_0_C12_C12_2
#define ICC_BPR1_EL1 S3_0_C12_C12_3
#define ICC_CTLR_EL1 S3_0_C12_C12_4
#define ICC_SRE_EL1 S3_0_C12_C12_5
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7

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
	return gic_version() == 3 && intid < 32 ? GICR_SGI_BASE : GICD_BASE;
}

void gic_bit_set(u64 array, u32 intid)
{
	write32(gic_frame(intid) + array + intid / 32 * 4, 1u << (intid % 32));
}

bool gic_bit_get(u64 array, u32 intid)
{
	return read32(gic_frame(intid) + array + intid / 32 * 4) >> (intid % 32) & 1;
}

static void gic_v3_init(void)
{
	write32(GICR_WAKER, read32(GICR_WAKER) & ~2u);
	for (u32 i = 0; i < POLL_ROUNDS && (read32(GICR_WAKER) & 4); i++)
		cpu_relax();
	write32(GICR_SGI_BASE + GIC_IGROUPR, ~0u);
	for (u32 n = 32; n < INTID_LIMIT; n += 32)
		write32(GICD_BASE + GIC_IGROUPR + n / 8, ~0u);
	for (u32 n = 32; n < INTID_LIMIT; n++)
		write64(GICD_IROUTER(n), 0);
	write32(GICD_CTLR, 0x12); /* ARE, group 1 */
	sysreg_write(ICC_SRE_EL1, sysreg_read(ICC_SRE_EL1) | 1);
	isb();
	sysreg_write(ICC_PMR_EL1, 0xff);
	sysreg_write(ICC_BPR1_EL1, 0);
	sysreg_write(ICC_CTLR_EL1, sysreg_read(ICC_CTLR_EL1) & ~2UL);
	sysreg_write(ICC_IGRPEN1_EL1, 1);
	isb();
}

static void gic_v2_init(void)
{
	for (u32 n = 32; n < INTID_LIMIT; n += 4)
		write32(GICD_BASE + GIC_ITARGETSR + n, 0x01010101);
	write32(GICD_CTLR, 1);
	write32(GICC_PMR, 0xff);
	write32(GICC_BPR, 0);
	write32(GICC_CTLR, 1);
}

void gic_init(void)
{
	for (u32 n = 0; n < INTID_LIMIT; n += 32) {
		write32(gic_frame(n) + GIC_ICENABLER + n / 8, ~0u);
		write32(gic_frame(n) + GIC_ICPENDR + n / 8, ~0u);
		write32(gic_frame(n) + GIC_ICACTIVER + n / 8, ~0u);
	}
	for (u32 n = 0; n < INTID_LIMIT; n += 4)
		write32(gic_frame(n) + GIC_IPRIORITYR + n, PRIORITY_DEFAULT * 0x01010101u);
	if (gic_version() == 3)
		gic_v3_init();
	else
		gic_v2_init();
	irq_log_clear();
}

void gic_enable(u32 intid)
{
	gic_bit_set(GIC_ISENABLER, intid);
}

void gic_disable(u32 intid)
{
	gic_bit_set(GIC_ICENABLER, intid);
}

/* GICv2 has no pending bits for SGIs in ISPENDR: they are pended by SPENDSGIR, one byte each. */
void gic_set_pending(u32 intid)
{
	if (gic_version() == 2 && intid < 16)
		write8(GICD_SPENDSGIR + intid, 1);
	else
		gic_bit_set(GIC_ISPENDR, intid);
}

void gic_clear_pending(u32 intid)
{
	if (gic_version() == 2 && intid < 16)
		write8(GICD_CPENDSGIR + intid, 0xff);
	else
		gic_bit_set(GIC_ICPENDR, intid);
}

bool gic_is_pending(u32 intid)
{
	return gic_bit_get(GIC_ISPENDR, intid);
}

bool gic_is_active(u32 intid)
{
	return gic_bit_get(GIC_ISACTIVER, intid);
}

void gic_set_priority(u32 intid, u8 priority)
{
	write8(gic_frame(intid) + GIC_IPRIORITYR + intid, priority);
}

u8 gic_priority(u32 intid)
{
	return read8(gic_frame(intid) + GIC_IPRIORITYR + intid);
}

void gic_set_edge(u32 intid, bool edge)
{
	u64 at = gic_frame(intid) + GIC_ICFGR + intid / 16 * 4;
	u32 bit = 2u << (intid % 16 * 2);

	write32(at, edge ? read32(at) | bit : read32(at) & ~bit);
}

u32 gic_ack(void)
{
	u32 iar = gic_version() == 3 ? (u32)sysreg_read(ICC_IAR1_EL1) : read32(GICC_IAR);

	dsb();
	return iar;
}

void gic_eoi(u32 iar)
{
	if (gic_version() == 3) {
		sysreg_write(ICC_EOIR1_EL1, iar);
		isb();
	} else {
		write32(GICC_EOIR, iar);
	}
}

void gic_dir(u32 iar)
{
	if (gic_version() == 3) {
		sysreg_write(ICC_DIR_EL1, iar);
		isb();
	} else {
		write32(GICC_DIR, iar);
	}
}

void gic_set_split_eoi(bool split)
{
	if (gic_version() == 3) {
		sysreg_write(ICC_CTLR_EL1, (sysreg_read(ICC_CTLR_EL1) & ~2UL) | split << 1);
		isb();
	} else {
		write32(GICC_CTLR, 1u | (u32)split << 9);
	}
}

void gic_set_priority_mask(u8 mask)
{
	if (gic_version() == 3) {
		sysreg_write(ICC_PMR_EL1, mask);
		isb();
	} else {
		write32(GICC_PMR, mask);
	}
}

u8 gic_priority_mask(void)
{
	return gic_version() == 3 ? (u8)sysreg_read(ICC_PMR_EL1) : (u8)read32(GICC_PMR);
}

u8 gic_running_priority(void)
{
	return gic_version() == 3 ? (u8)sysreg_read(ICC_RPR_EL1) : (u8)read32(GICC_RPR);
}

u32 gic_highest_pending(void)
{
	return gic_version() == 3 ? (u32)sysreg_read(ICC_HPPIR1_EL1) : read32(GICC_HPPIR);
}

void gic_send_sgi(u32 intid, u32 targets)
{
	if (gic_version() == 3) {
		sysreg_write(ICC_SGI1R_EL1, (u64)intid << 24 | targets);
		isb();
	} else {
		write32(GICD_SGIR, targets << 16 | intid);
	}
}

void gic_send_sgi_self(u32 intid)
{
	if (gic_version() == 3)
		gic_send_sgi(intid, 1u << (sysreg_read(mpidr_el1) & 0xf));
	else
		write32(GICD_SGIR, 2u << 24 | intid);
}

void gic_send_sgi_others(u32 intid)
{
	if (gic_version() == 3) {
		sysreg_write(ICC_SGI1R_EL1, 1UL << 40 | (u64)intid << 24);
		isb();
	} else {
		write32(GICD_SGIR, 1u << 24 | intid);
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

	(void)frame;
	if ((iar & 0x3ff) >= 1020) {
		irq_log.spurious++;
		return;
	}
	irq_log.ticks = counter();
	if (irq_log.count < IRQ_LOG_MAX)
		irq_log.iar[irq_log.count] = iar;
	irq_log.count++;
	/* A level source would fire for ever: whoever wants level semantics brings a handler. */
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
