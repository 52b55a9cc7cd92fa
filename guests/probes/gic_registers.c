// SPDX-License-Identifier: MIT
/*
 * The register map of the distributor and, on GICv3, of the redistributor: which registers are
 * constant, keep what was written or are reserved, and which access sizes exist. IHI 0069 "The GIC
 * memory-mapped register descriptions"; IHI 0048 chapter 4.
 */
#include "gic.h"
#include "probe.h"

static bool v3;

static bool faults(u64 address)
{
	u64 value[2] = {address, 0};

	return insn_try(MODE_EL1H, 0xb9400001, value); /* ldr w1, [x0] */
}

static void constants(void)
{
	u32 typer = read32(GICD_BASE + GICD_TYPER),
	    pidr2 = read32(GICD_BASE + (v3 ? GICV3_PIDR2 : GICV2_PIDR2));

	report_equal("GICD_TYPER.ITLinesNumber: 256 INTIDs", typer & GICD_TYPER_ITLINES_MASK, 7);
	report_equal("GICD_TYPER: no LPIs, no second security state",
		     typer & (v3 ? 1 << 17 | 1 << 10 : 1 << 10), 0);
	report_equal("PIDR2 tells the architecture", pidr2 >> 4 & 0xf, gic_version());
	write32(GICD_BASE + GICD_TYPER, ~typer);
	write32(GICD_BASE + GICD_IIDR, 0);
	report_equal("GICD_TYPER ignores writes", read32(GICD_BASE + GICD_TYPER), typer);
}

static void priority_registers(void)
{
	u64 array = GICD_BASE + GICD_IPRIORITYR;

	write32(array + 48, 0x10203040);
	report_equal("a priority word holds four bytes", read32(array + 48), 0x10203040);
	write8(array + 49, 0x88);
	report_equal("a byte store changes one", read32(array + 48), 0x10208840);
	report_equal("a byte load reads one", read8(array + 51), 0x10);
	write8(array + 50, 0xff);
	report_equal("at least five bits of priority", read8(array + 50) & 0xf8, 0xf8);
	/* QEMU's own distributor keeps all eight, whatever its CPU interface has. */
	report(!guest.hypervisor || read8(array + 50) == 0xf8,
	       "and no more than a list register has: the others are RAZ/WI", read8(array + 50),
	       0xf8);
	write32(array + 48, 0xa0a0a0a0);
}

static void configuration_registers(void)
{
	u64 array = GICD_BASE + GICD_ICFGR;

	write32(array + 8, 0xffffffff);
	report_equal("ICFGR keeps the odd bits", read32(array + 8) & 0xaaaaaaaa, 0xaaaaaaaa);
	write32(array + 8, 0x55555555);
	report_equal("and clears them, whatever the even bits are", read32(array + 8) & 0xaaaaaaaa,
		     0);
	write32(array + 8, 0xaaaaaaaa);
	report_equal("the odd ones tell", read32(array + 8) & 0xaaaaaaaa, 0xaaaaaaaa);
	write32(array + 8, 0);
	report_equal("SGIs are edge-triggered, and stay so",
		     read32(gic_frame(0) + GICD_ICFGR) & 0xaaaaaaaa, 0xaaaaaaaa);
}

static void routing(void)
{
	if (v3) {
		/* GICD_TYPER.No1N: without 1-of-N delivery the routing mode is RES0. */
		u64 mode = read32(GICD_BASE + GICD_TYPER) >> 25 & 1 ? 0 : 1UL << 31;

		write64(GICD_BASE + GICD_IROUTER + 8 * 50, 1UL << 31);
		report_equal("IROUTER keeps the routing mode where there is one (64-bit access)",
			     read64(GICD_BASE + GICD_IROUTER + 8 * 50) & 0xffffffff, mode);
		write32(GICD_BASE + GICD_IROUTER + 8 * 50, 0);
		report_equal("its halves can be accessed",
			     read32(GICD_BASE + GICD_IROUTER + 8 * 50), 0);
		write64(GICD_BASE + GICD_IROUTER + 8 * 50, 0);
	} else {
		write8(GICD_BASE + GICD_ITARGETSR + 50, 1);
		report(read8(GICD_BASE + GICD_ITARGETSR + 50) <= 1,
		       "ITARGETSR names CPU 0 or is fixed (one CPU)",
		       read8(GICD_BASE + GICD_ITARGETSR + 50), 1);
		write8(GICD_BASE + GICD_ITARGETSR + 50, 0xfe);
		report_equal("CPUs that do not exist cannot be targets",
			     read8(GICD_BASE + GICD_ITARGETSR + 50) & 0xfe, 0);
		write8(GICD_BASE + GICD_ITARGETSR + 50, 1);
	}
}

static void groups(void)
{
	u64 at = gic_frame(40) + GICD_IGROUPR + 4;

	write32(at, 0xffffffff);
	report_equal("IGROUPR can put interrupts in group 1", read32(at), 0xffffffff);
	if (!v3)
		write32(at, 0);
}

static void out_of_range(void)
{
	u64 bad = 0;

	/* INTIDs 256.. do not exist: their bits and bytes are RAZ/WI. */
	for (u64 array = GICD_ISENABLER; array <= GICD_ICACTIVER; array += 0x80) {
		write32(GICD_BASE + array + 0x20, ~0u);
		bad += read32(GICD_BASE + array + 0x20) != 0;
	}
	write32(GICD_BASE + GICD_IPRIORITYR + 256, 0xf8f8f8f8);
	bad += read32(GICD_BASE + GICD_IPRIORITYR + 256) != 0;
	write32(GICD_BASE + GICD_ICFGR + 64, ~0u);
	bad += read32(GICD_BASE + GICD_ICFGR + 64) != 0;
	report_equal("interrupts that do not exist: RAZ/WI", bad, 0);
}

static void reserved(void)
{
	static const u16 offsets[] = {0x00c, 0x020, 0x03c, 0x060, 0xd00, 0xfb0, 0xfc0};
	u64 bad = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		if (faults(GICD_BASE + offsets[i])) {
			bad |= BIT(i + 16);
			continue;
		}
		write32(GICD_BASE + offsets[i], ~0u);
		bad |= read32(GICD_BASE + offsets[i]) ? BIT(i) : 0;
	}
	report_equal("reserved registers: RAZ/WI, no fault", bad, 0);
}

static void redistributor(void)
{
	u64 typer = read64(GICR_BASE + GICR_TYPER);

	report_equal("GICR_TYPER: last, processor 0, no LPIs", typer & 0xffff11, 0x10);
	report_equal("GICR_TYPER: affinity is MPIDR's", typer >> 32,
		     sysreg_read(mpidr_el1) & 0xffffff);
	report_equal("its halves can be read alone", read32(GICR_BASE + GICR_TYPER),
		     typer & 0xffffffff);
	report_equal("GICR PIDR2 tells GICv3", read32(GICR_BASE + GICV3_PIDR2) >> 4 & 0xf, 3);
	report_equal("GICR_WAKER: awake", read32(GICR_BASE + GICR_WAKER) & 6, 0);
	write32(GICR_SGI_BASE + GICD_ISENABLER, 1u << 20);
	report_equal("a PPI is enabled in the redistributor",
		     read32(GICR_SGI_BASE + GICD_ISENABLER) >> 20 & 1, 1);
	report_equal("and not seen in the distributor", read32(GICD_BASE + GICD_ISENABLER), 0);
	write32(GICR_SGI_BASE + GICD_ICENABLER, 1u << 20);
	report(faults(GICR_BASE + GUEST_GICR_STRIDE),
	       "behind the last redistributor there is nothing", 0, 1);
}

static void banked_in_distributor(void)
{
	write32(GICD_BASE + GICD_ISENABLER, 1u << 20);
	report_equal("a PPI is enabled in the distributor", gic_bit_get(GICD_ISENABLER, 20), 1);
	write32(GICD_BASE + GICD_ICENABLER, 1u << 20);
	report_equal("and disabled", gic_bit_get(GICD_ISENABLER, 20), 0);
	report_equal("GICC_IIDR: architecture 2", read32(GICC_BASE + GICC_IIDR) >> 16 & 0xf, 2);
}

void probe(void)
{
	gic_init();
	v3 = gic_version() == 3;
	constants();
	priority_registers();
	configuration_registers();
	routing();
	groups();
	out_of_range();
	reserved();
	if (v3)
		redistributor();
	else
		banked_in_distributor();
}
