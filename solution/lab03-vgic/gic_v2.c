// SPDX-License-Identifier: MIT
/*
 * GICv2: everything is memory-mapped. GICD is the distributor, with a bank of registers a CPU for
 * SGIs and PPIs; GICC the CPU interface of EL2; GICH the control of the virtual interface that
 * guests see as GICV (vgic_world.c maps it). EL2's interrupts are Group 0 of the only security
 * state, signalled as IRQ. List registers have 32 bits here and are converted.
 *
 * Accesses to the GIC go to device memory and stay in program order among themselves, but not with
 * those to another device: between these and GICC_IAR or GICC_EOIR stands a DSB.
 * Manual: IHI 0048, "GIC CPU interface register descriptions", "GIC virtual interface control
 * register descriptions".
 */
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"
#include "sysreg.h"

static u8 interface_bit[PLAT_CPU_MAX]; /* written once by each CPU, before anybody sends to it */

static u32 gicd_read(u32 offset)
{
	return mmio_read32(PLAT_GICD_BASE + offset);
}

static void gicd_write(u32 offset, u32 value)
{
	mmio_write32(PLAT_GICD_BASE + offset, value);
}

static void gic_v2_init(void)
{
	u32 lines = gicd_read(GICD_TYPER) & GICD_TYPER_ITLINES_MASK;

	gicd_write(GICD_CTLR, 0);
	for (u32 word = 1; word <= lines; word++) {
		gicd_write(GICD_ICENABLER + word * 4, ~0U);
		gicd_write(GICD_ICPENDR + word * 4, ~0U);
		gicd_write(GICD_ICACTIVER + word * 4, ~0U);
		gicd_write(GICD_IGROUPR + word * 4, 0);
		for (u32 n = 0; n < 32; n += 4)
			gicd_write(GICD_IPRIORITYR + word * 32 + n, GIC_PRIORITY * 0x01010101U);
	}
	gicd_write(GICD_CTLR, GICD_CTLR_ENABLE_GRP0);
}

/* The first bytes of GICD_ITARGETSR<n> are read-only and tell the interface number of this CPU. */
static void gic_v2_init_cpu(struct cpu *cpu)
{
	interface_bit[cpu->index] = (u8)gicd_read(GICD_ITARGETSR);
	gicd_write(GICD_ICENABLER, ~0U);
	gicd_write(GICD_ICPENDR, ~0U);
	for (u32 n = 0; n < 16; n += 4)
		gicd_write(GICD_CPENDSGIR + n, ~0U);
	gicd_write(GICD_ICACTIVER, ~0U);
	gicd_write(GICD_IGROUPR, 0);
	for (u32 n = 0; n < GIC_PRIVATE_COUNT; n += 4)
		gicd_write(GICD_IPRIORITYR + n, GIC_PRIORITY * 0x01010101U);
	for (u32 n = 0; n < 32; n += 4)
		mmio_write32(PLAT_GICC_BASE + GICC_APR + n, 0);
	mmio_write32(PLAT_GICC_BASE + GICC_PMR, 0xff);
	mmio_write32(PLAT_GICC_BASE + GICC_BPR, 0);
	mmio_write32(PLAT_GICC_BASE + GICC_CTLR, GICC_CTLR_ENABLE_GRP0 | GICC_CTLR_EOIMODE);
	gic_v2.lr_count = (mmio_read32(PLAT_GICH_BASE + GICH_VTR) & GICH_VTR_LIST_REGS_MASK) + 1;
	if (gic_v2.lr_count > VGIC_LR_MAX)
		gic_v2.lr_count = VGIC_LR_MAX;
	mmio_write32(PLAT_GICH_BASE + GICH_HCR, 0);
	for (unsigned n = 0; n < gic_v2.lr_count; n++)
		mmio_write32(PLAT_GICH_BASE + GICH_LR + 4 * n, 0);
}

static void gic_v2_enable(u32 intid, bool edge)
{
	u32 icfgr = GICD_ICFGR + intid / 16 * 4;
	u32 shift = intid % 16 * 2;

	if (intid >= GIC_SGI_COUNT)
		gicd_write(icfgr, (gicd_read(icfgr) & ~(3U << shift)) | (edge ? GICD_ICFGR_EDGE : 0)
										<< shift);
	if (intid >= GIC_PRIVATE_COUNT)
		mmio_write8(PLAT_GICD_BASE + GICD_ITARGETSR + intid,
			    interface_bit[this_cpu()->index]);
	gicd_write(GICD_ISENABLER + intid / 32 * 4, 1U << intid % 32);
}

static void gic_v2_disable(u32 intid)
{
	gicd_write(GICD_ICENABLER + intid / 32 * 4, 1U << intid % 32);
}

/* The DSB keeps the handler's device accesses behind the acknowledge. */
static u32 gic_v2_acknowledge(void)
{
	u32 iar = mmio_read32(PLAT_GICC_BASE + GICC_IAR);

	dsb_sy();
	return iar;
}

/* DSB: the handler's device accesses have silenced a level before the interrupt may fire again. */
static void gic_v2_end(u32 iar)
{
	dsb_sy();
	mmio_write32(PLAT_GICC_BASE + GICC_EOIR, iar);
}

static void gic_v2_deactivate(u32 iar)
{
	mmio_write32(PLAT_GICC_BASE + GICC_DIR, iar);
	dsb_sy();
}

/* DSB: an access to a device is not ordered against one to memory. */
static void gic_v2_send_sgi(u32 intid, const struct cpu *cpu)
{
	dsb_ishst();
	gicd_write(GICD_SGIR,
		   (u32)interface_bit[cpu->index] << GICD_SGIR_TARGET_LIST_SHIFT | intid);
}

static void gic_v2_set_active(u32 intid, bool active)
{
	gicd_write(active ? GICD_ISACTIVER : GICD_ICACTIVER, 1U << intid);
	dsb_sy();
}

/*
 * Exercise 3.8: GICH_LR<n> in the layout of ICH_LR<n>_EL2.
 *
 * From the top: HW 31, Group 1 30, State 29:28 (active above pending), Priority 27:23 (upper five
 * bits), PhysicalID 19:10, VirtualID 9:0. Without HW, PhysicalID holds the EOI bit (19) and the
 * requester of an SGI (12:10).
 */
EXERCISE(3.8)
static u64 gic_v2_read_lr(unsigned n)
{
	u64 value = mmio_read32(PLAT_GICH_BASE + GICH_LR + 4 * n);
	u64 lr = value & ICH_LR_EL2_VINTID_MASK;

	lr |= bits_get(value, 29, 28) << 62 | bits_get(value, 30, 30) << 60 |
	      bits_get(value, 27, 23) << (ICH_LR_EL2_PRIORITY_SHIFT + 3);
	if (value & GICH_LR_HW)
		return lr | ICH_LR_EL2_HW | bits_get(value, 19, 10) << ICH_LR_EL2_PINTID_SHIFT;
	lr |= bits_get(value, 12, 10) << ICH_LR_EL2_SOURCE_SHIFT;
	return value & GICH_LR_EOI ? lr | ICH_LR_EL2_EOI : lr;
}

/* Exercise 3.8: the inverse, from @lr in the layout of ICH_LR<n>_EL2 to list register @n. */
EXERCISE(3.8)
static void gic_v2_write_lr(unsigned n, u64 lr)
{
	u64 value = lr & ICH_LR_EL2_VINTID_MASK;

	value |= bits_get(lr, 63, 62) << 28 | bits_get(lr, 60, 60) << 30 |
		 bits_get(lr, 55, 51) << 23;
	if (lr & ICH_LR_EL2_HW)
		value |= GICH_LR_HW | bits_get(lr, 41, 32) << 10;
	else
		value |= bits_get(lr, 12, 10) << 10 | (lr & ICH_LR_EL2_EOI ? GICH_LR_EOI : 0);
	mmio_write32(PLAT_GICH_BASE + GICH_LR + 4 * n, (u32)value);
}

static u64 gic_v2_read_hcr(void)
{
	return mmio_read32(PLAT_GICH_BASE + GICH_HCR);
}

/* GICH_HCR has the bits of ICH_HCR_EL2 up to 7, and EOICount. TDIR it does not need: dev_gicc.c. */
static void gic_v2_write_hcr(u64 value)
{
	mmio_write32(PLAT_GICH_BASE + GICH_HCR, (u32)value & 0xff);
	dsb_sy();
}

static u64 gic_v2_read_vmcr(void)
{
	return mmio_read32(PLAT_GICH_BASE + GICH_VMCR);
}

/*
 * Exercise 3.8: read GICH_VMCR, whose fields stand where those of ICH_VMCR_EL2 do, into vmcr, and
 * GICH_APR into ap0r. A GICv2 has one register of active priorities for both groups: ap1r stays 0.
 */
EXERCISE(3.8)
static void gic_v2_save(struct vgic_cpu *interface)
{
	interface->vmcr = mmio_read32(PLAT_GICH_BASE + GICH_VMCR);
	interface->ap0r = mmio_read32(PLAT_GICH_BASE + GICH_APR);
}

/* Exercise 3.8: write both registers from @interface. */
EXERCISE(3.8)
static void gic_v2_load(const struct vgic_cpu *interface)
{
	mmio_write32(PLAT_GICH_BASE + GICH_VMCR, (u32)interface->vmcr);
	mmio_write32(PLAT_GICH_BASE + GICH_APR, (u32)interface->ap0r);
}

/*
 * When a guest completes an interrupt through a list register with HW, QEMU's GICv2 (7.2 and 10)
 * clears the physical active state, but does not look at the physical line again. A level that is
 * still up then goes unnoticed; for a timer, for ever. So HW is not used here.
 */
struct gic_driver gic_v2 = {
	.version = 2,
	.intid_mask = 0x3ff,
	.completes_hw = false,
	.init = gic_v2_init,
	.init_cpu = gic_v2_init_cpu,
	.enable = gic_v2_enable,
	.disable = gic_v2_disable,
	.acknowledge = gic_v2_acknowledge,
	.end = gic_v2_end,
	.deactivate = gic_v2_deactivate,
	.set_active = gic_v2_set_active,
	.send_sgi = gic_v2_send_sgi,
	.read_lr = gic_v2_read_lr,
	.write_lr = gic_v2_write_lr,
	.read_hcr = gic_v2_read_hcr,
	.write_hcr = gic_v2_write_hcr,
	.read_vmcr = gic_v2_read_vmcr,
	.save = gic_v2_save,
	.load = gic_v2_load,
};
