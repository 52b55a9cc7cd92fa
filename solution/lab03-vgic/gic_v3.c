// SPDX-License-Identifier: MIT
/*
 * GICv3: distributor and redistributors in memory, CPU interface and virtual interface in system
 * registers. EL2's interrupts are Group 1 of the only security state (GICD_CTLR.DS).
 *
 * Ordering: the CPU does not order a system register access against a device access. A DSB follows
 * a write that the distributor has to see before the CPU goes on; an ISB follows a change of an
 * ICC_ or ICH_ register on which the next instruction depends. Entry to the guest by ERET needs
 * neither.
 *
 * State: redistributor[]; each CPU writes its own entry. No lock.
 * Manual: IHI 0069, "GIC initialization", "Distributor register descriptions".
 */
#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"
#include "mailbox.h"
#include "sysreg.h"

static u64 redistributor[PLAT_CPU_MAX];

static u64 gicr_sgi(u32 offset)
{
	return redistributor[this_cpu()->index] + GICR_SGI_FRAME + offset;
}

/* SGIs and PPIs have their registers in the redistributor, SPIs in the distributor. */
static u64 gic_v3_bank(u32 intid, u32 offset)
{
	return intid < GIC_PRIVATE_COUNT ? gicr_sgi(offset) : PLAT_GICD_BASE + offset;
}

/*
 * Register Write Pending: a write to GICD_CTLR or ICENABLER that switches something off takes
 * effect some time later. Until RWP reads 0 the interrupt may still be signalled, and its trigger
 * must not change (IHI 0069, "GICD_CTLR", "GICR_CTLR", RWP; "GICD_ICFGR<n>").
 */
static void gicd_wait(void)
{
	while (mmio_read32(PLAT_GICD_BASE + GICD_CTLR) & GICD_CTLR_RWP)
		asm volatile("yield");
}

/* The same for this CPU's SGIs and PPIs. */
static void gicr_wait(void)
{
	while (mmio_read32(redistributor[this_cpu()->index] + GICR_CTLR) & GICR_CTLR_RWP)
		asm volatile("yield");
}

/*
 * Exercise 3.1: set up the distributor, whatever firmware left in it.
 *
 * All groups go off first, and affinity routing (GICD_CTLR.ARE) stays as firmware left it: a change
 * from 1 to 0 is UNPREDICTABLE, and so is one to 1 while a group is on (IHI 0069, "Changing affinity
 * routing enables"). Then affinity routing goes on. Every SPI that GICD_TYPER counts (in blocks of
 * 32) is disabled; when that has come into effect, each becomes not pending, not active, Group 1, and
 * gets GIC_PRIORITY. Group 1 goes on last. gicd_wait() follows each write to GICD_CTLR, and the last
 * write to GICD_ICENABLER<n>.
 */
EXERCISE(3.1)
static void gic_v3_init(void)
{
	u32 lines = mmio_read32(PLAT_GICD_BASE + GICD_TYPER) & GICD_TYPER_ITLINES_MASK;

	mmio_write32(PLAT_GICD_BASE + GICD_CTLR,
		     mmio_read32(PLAT_GICD_BASE + GICD_CTLR) & GICD_CTLR_ARE);
	gicd_wait();
	mmio_write32(PLAT_GICD_BASE + GICD_CTLR, GICD_CTLR_ARE);
	gicd_wait();
	for (u32 word = 1; word <= lines; word++)
		mmio_write32(PLAT_GICD_BASE + GICD_ICENABLER + word * 4, ~0U);
	gicd_wait();
	for (u32 word = 1; word <= lines; word++) {
		u64 base = PLAT_GICD_BASE + word * 4;

		mmio_write32(base + GICD_ICPENDR, ~0U);
		mmio_write32(base + GICD_ICACTIVER, ~0U);
		mmio_write32(base + GICD_IGROUPR, ~0U);
		for (u32 n = 0; n < 32; n += 4)
			mmio_write32(PLAT_GICD_BASE + GICD_IPRIORITYR + word * 32 + n,
				     GIC_PRIORITY * 0x01010101U);
	}
	mmio_write32(PLAT_GICD_BASE + GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_ENABLE_GRP1);
	gicd_wait();
}

/*
 * Exercise 3.1: the address of the redistributor of the CPU with MPIDR_EL1 @mpidr.
 *
 * Redistributors follow each other from PLAT_GICR_BASE to the one with GICR_TYPER.Last. Each is
 * GICR_STRIDE bytes long, twice that with GICR_TYPER.VLPIS. GICR_TYPER[63:32] is the affinity of
 * its CPU in the order Aff3.Aff2.Aff1.Aff0. If none belongs to this CPU: config_error().
 */
EXERCISE(3.1)
static u64 gicr_find(u64 mpidr)
{
	u64 affinity = (mpidr >> 8 & 0xff000000) | (mpidr & 0xffffff);
	u64 frame = PLAT_GICR_BASE;

	for (;;) {
		u64 typer = mmio_read64(frame + GICR_TYPER);

		if (typer >> GICR_TYPER_AFFINITY_SHIFT == affinity)
			return frame;
		if (typer & GICR_TYPER_LAST)
			config_error("GIC: no redistributor for the CPU with MPIDR %lx", mpidr);
		frame += typer & GICR_TYPER_VLPIS ? 2 * GICR_STRIDE : GICR_STRIDE;
	}
}

/*
 * The layer counts on five bits of priority, in the CPU interface and in the virtual one: then each
 * group has one register of active priorities. It also needs a trap of ICC_DIR_EL1 alone.
 */
static void gic_v3_require(u64 vtr)
{
	if ((vtr >> ICH_VTR_EL2_PRE_BITS_SHIFT & 7) != 4 ||
	    (read_sysreg(icc_ctlr_el1) >> ICC_CTLR_EL1_PRI_BITS_SHIFT & 7) != 4)
		config_error("GIC: the CPU interface does not have 5 bits of priority");
	if (!(vtr & ICH_VTR_EL2_TDS))
		config_error("GIC: ICH_HCR_EL2.TDIR is not implemented");
}

/*
 * Exercise 3.1: set up this CPU's part of the GIC, whatever firmware left in it.
 *
 * Redistributor: redistributor[] gets its address. It wakes up: ProcessorSleep is cleared, and
 * ChildrenAsleep reads 0 before anything else happens. SGIs and PPIs are disabled; when that has
 * come into effect (gicr_wait()), each becomes not pending, not active, Group 1, and gets
 * GIC_PRIORITY.
 *
 * CPU interface: system registers on, in ICC_SRE_EL2 with Enable clear (so a guest's access to
 * ICC_SRE_EL1 traps), then in ICC_SRE_EL1. gic_v3_require() checks ICH_VTR_EL2. No priority is
 * active (ICC_AP0R0_EL1, ICC_AP1R0_EL1 zero), the priority mask is open, the binary point
 * ICC_BPR1_EL1 is 0, EOImode 1 (priority drop apart from deactivation), Group 1 enabled.
 *
 * Virtual interface: lr_count is ICH_VTR_EL2.ListRegs + 1; the interface is off, every list
 * register zero (gic_v3.write_lr(), whose function stands below). The active priorities are
 * gic_v3_load()'s to write.
 */
EXERCISE(3.1)
static void gic_v3_init_cpu(struct cpu *cpu)
{
	u64 frame = gicr_find(read_sysreg(mpidr_el1)), vtr = read_sysreg(ich_vtr_el2);

	redistributor[cpu->index] = frame;
	mmio_write32(frame + GICR_WAKER,
		     mmio_read32(frame + GICR_WAKER) & ~(u32)GICR_WAKER_PROCESSOR_SLEEP);
	while (mmio_read32(frame + GICR_WAKER) & GICR_WAKER_CHILDREN_ASLEEP)
		asm volatile("yield");
	mmio_write32(gicr_sgi(GICD_ICENABLER), ~0U);
	gicr_wait();
	mmio_write32(gicr_sgi(GICD_ICPENDR), ~0U);
	mmio_write32(gicr_sgi(GICD_ICACTIVER), ~0U);
	mmio_write32(gicr_sgi(GICD_IGROUPR), ~0U);
	for (u32 n = 0; n < GIC_PRIVATE_COUNT; n += 4)
		mmio_write32(gicr_sgi(GICD_IPRIORITYR) + n, GIC_PRIORITY * 0x01010101U);

	write_sysreg(icc_sre_el2, ICC_SRE_ELX_SRE_DFB_DIB);
	isb(); /* the ICC_ registers below exist only once SRE is in effect */
	write_sysreg(icc_sre_el1, ICC_SRE_ELX_SRE_DFB_DIB);
	gic_v3_require(vtr);
	write_sysreg(icc_ap0r0_el1, 0);
	write_sysreg(icc_ap1r0_el1, 0);
	write_sysreg(icc_pmr_el1, 0xff);
	write_sysreg(icc_ctlr_el1, ICC_CTLR_EL1_EOIMODE);
	isb(); /* with CBPR of ICC_CTLR_EL1 clear, ICC_BPR1_EL1 can be written */
	write_sysreg(icc_bpr1_el1, 0);
	write_sysreg(icc_igrpen1_el1, 1);
	gic_v3.lr_count = (vtr & ICH_VTR_EL2_LIST_REGS_MASK) + 1;
	write_sysreg(ich_hcr_el2, 0);
	for (unsigned n = 0; n < gic_v3.lr_count; n++)
		gic_v3.write_lr(n, 0);
	isb();
}

/*
 * Exercise 3.1: configure the trigger of @intid, route an SPI to this CPU, enable.
 *
 * GICD_ICFGR<n> has two bits an interrupt, of which the upper one is 1 for an edge
 * (GICD_ICFGR_EDGE); the trigger of an SGI cannot change. An SPI goes to the affinity of this CPU,
 * with Interrupt_Routing_Mode 0.
 */
EXERCISE(3.1)
static void gic_v3_enable(u32 intid, bool edge)
{
	u64 icfgr = gic_v3_bank(intid, GICD_ICFGR + intid / 16 * 4);
	u32 shift = intid % 16 * 2;

	if (intid >= GIC_SGI_COUNT)
		mmio_write32(icfgr, (mmio_read32(icfgr) & ~(3U << shift)) |
					    (edge ? GICD_ICFGR_EDGE : 0) << shift);
	if (intid >= GIC_PRIVATE_COUNT)
		mmio_write64(PLAT_GICD_BASE + GICD_IROUTER + 8 * intid,
			     read_sysreg(mpidr_el1) & MPIDR_EL1_AFFINITY);
	mmio_write32(gic_v3_bank(intid, GICD_ISENABLER + intid / 32 * 4), 1U << intid % 32);
}

static void gic_v3_disable(u32 intid)
{
	if (intid >= GIC_INTID_SPECIAL)
		return;
	mmio_write32(gic_v3_bank(intid, GICD_ICENABLER + intid / 32 * 4), 1U << intid % 32);
	if (intid < GIC_PRIVATE_COUNT)
		gicr_wait();
	else
		gicd_wait();
	dsb_sy();
}

/* The DSB keeps the handler's device accesses behind the acknowledge (IHI 0069, "ICC_IAR1_EL1"). */
static u32 gic_v3_acknowledge(void)
{
	u32 iar = (u32)read_sysreg(icc_iar1_el1);

	dsb_sy();
	return iar;
}

/*
 * DSB: the handler's device accesses have silenced a level before the interrupt may fire again.
 * ISB: the priority has dropped before EL2 deactivates the interrupt or acknowledges the next one.
 */
static void gic_v3_end(u32 iar)
{
	dsb_sy();
	write_sysreg(icc_eoir1_el1, iar);
	isb();
}

static void gic_v3_deactivate(u32 iar)
{
	write_sysreg(icc_dir_el1, iar);
	isb();
}

/*
 * CPU n has Aff0 n and no other affinity, so its bit of the target list is n, and all other fields of
 * ICC_SGI1R_EL1 are zero. DSB: a write to a system register is not ordered against accesses to memory. ISB: the SGI leaves
 * now, and not when the CPU next happens to synchronize.
 */
static void gic_v3_send_sgi(u32 intid, const struct cpu *cpu)
{
	dsb_ishst();
	write_sysreg(icc_sgi1r_el1, (u64)intid << ICC_SGI1R_EL1_INTID_SHIFT | BIT(cpu->index));
	isb();
}

static void gic_v3_set_active(u32 intid, bool active)
{
	mmio_write32(gicr_sgi(active ? GICD_ISACTIVER : GICD_ICACTIVER), 1U << intid);
	dsb_sy();
}

#define LR_CASE_READ(n)                                                                            \
	case n:                                                                                    \
		return read_sysreg(ich_lr##n##_el2)
#define LR_CASE_WRITE(n)                                                                           \
	case n:                                                                                    \
		write_sysreg(ich_lr##n##_el2, value);                                              \
		return

/* The instruction names the system register: one case for each. */
static u64 gic_v3_read_lr(unsigned n)
{
	switch (n) {
		LR_CASE_READ(0);
		LR_CASE_READ(1);
		LR_CASE_READ(2);
		LR_CASE_READ(3);
		LR_CASE_READ(4);
		LR_CASE_READ(5);
		LR_CASE_READ(6);
		LR_CASE_READ(7);
		LR_CASE_READ(8);
		LR_CASE_READ(9);
		LR_CASE_READ(10);
		LR_CASE_READ(11);
		LR_CASE_READ(12);
		LR_CASE_READ(13);
		LR_CASE_READ(14);
		LR_CASE_READ(15);
	}
	return 0;
}

static void gic_v3_write_lr(unsigned n, u64 value)
{
	switch (n) {
		LR_CASE_WRITE(0);
		LR_CASE_WRITE(1);
		LR_CASE_WRITE(2);
		LR_CASE_WRITE(3);
		LR_CASE_WRITE(4);
		LR_CASE_WRITE(5);
		LR_CASE_WRITE(6);
		LR_CASE_WRITE(7);
		LR_CASE_WRITE(8);
		LR_CASE_WRITE(9);
		LR_CASE_WRITE(10);
		LR_CASE_WRITE(11);
		LR_CASE_WRITE(12);
		LR_CASE_WRITE(13);
		LR_CASE_WRITE(14);
		LR_CASE_WRITE(15);
	}
}

static u64 gic_v3_read_hcr(void)
{
	return read_sysreg(ich_hcr_el2);
}

/* ISB: a maintenance interrupt without a reason has left before EL2 acknowledges the next one. */
static void gic_v3_write_hcr(u64 value)
{
	write_sysreg(ich_hcr_el2, value);
	isb();
}

static u64 gic_v3_read_vmcr(void)
{
	return read_sysreg(ich_vmcr_el2);
}

/*
 * Exercise 3.8: read ICH_VMCR_EL2 and the active priorities of both groups, ICH_AP0R0_EL2 and
 * ICH_AP1R0_EL2, into vmcr, ap0r and ap1r of @interface.
 */
EXERCISE(3.8)
static void gic_v3_save(struct vgic_cpu *interface)
{
	interface->vmcr = read_sysreg(ich_vmcr_el2);
	interface->ap0r = read_sysreg(ich_ap0r0_el2);
	interface->ap1r = read_sysreg(ich_ap1r0_el2);
}

/*
 * Exercise 3.8: write the same three registers from @interface. No barrier: the guest first uses
 * them after an ERET, which is a context synchronization event.
 */
EXERCISE(3.8)
static void gic_v3_load(const struct vgic_cpu *interface)
{
	write_sysreg(ich_vmcr_el2, interface->vmcr);
	write_sysreg(ich_ap0r0_el2, interface->ap0r);
	write_sysreg(ich_ap1r0_el2, interface->ap1r);
}

struct gic_driver gic_v3 = {
	.version = 3,
	.intid_mask = 0xffffff,
	.completes_hw = true,
	.init = gic_v3_init,
	.init_cpu = gic_v3_init_cpu,
	.enable = gic_v3_enable,
	.disable = gic_v3_disable,
	.acknowledge = gic_v3_acknowledge,
	.end = gic_v3_end,
	.deactivate = gic_v3_deactivate,
	.set_active = gic_v3_set_active,
	.send_sgi = gic_v3_send_sgi,
	.read_lr = gic_v3_read_lr,
	.write_lr = gic_v3_write_lr,
	.read_hcr = gic_v3_read_hcr,
	.write_hcr = gic_v3_write_hcr,
	.read_vmcr = gic_v3_read_vmcr,
	.save = gic_v3_save,
	.load = gic_v3_load,
};
