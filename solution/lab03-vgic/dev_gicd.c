// SPDX-License-Identifier: MIT
/*
 * The distributor that a guest sees: GICv3 with affinity routing always on, or GICv2; one security
 * state; no LPIs, no message-based SPIs.
 *
 * Each version is a table with one entry for every 128 bytes of the first page and for every 8 KiB
 * of the rest, so that a lookup is an index. Most entries are banks, one field of every interrupt.
 * What a table does not name reads as zero and ignores writes, as does an access of a size that the
 * register does not have (IHI 0069, "GIC memory-mapped register access").
 *
 * The device_lock is held; interrupt state has a lock of its own behind vmm_irq.h.
 * Manual: IHI 0069 and IHI 0048, "Distributor register descriptions".
 */
#include "exercise.h"
#include "lib/bits.h"
#include "lib/gic_regs.h"
#include "lib/types.h"
#include "vmm_irq.h"

#define SIZE_32 4
#define SIZE_8_32 (1 | 4)
#define SIZE_32_64 (4 | 8)

#define CTLR_GROUPS (GICD_CTLR_ENABLE_GRP0 | GICD_CTLR_ENABLE_GRP1)
#define TYPER_LINES (GUEST_INTID_COUNT / 32 - 1)
#define TYPER_ID_BITS (9UL << GICD_TYPER_ID_BITS_SHIFT) /* ten bits of INTID */

struct gicd_register {
	struct irq_bank bank;
	u8 sizes; /* sum of the access sizes that it has */
	u64 (*read)(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size);
	void (*write)(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
		      u64 value);
};

/* CoreSight identification, the last 48 bytes of the frame: PIDR4-7, PIDR0-3, CIDR0-3. */
static u64 id_register(u64 index, u8 architecture_revision)
{
	static const u8 ids[] = {0x44, 0, 0, 0, 0x92, 0xb4, 0x0b, 0, 0x0d, 0xf0, 0x05, 0xb1};

	return index == 6 ? ids[6] | architecture_revision << 4 : ids[index];
}

static u64 v3_head_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	if (offset == GICD_IIDR)
		return GIC_IIDR_ARM;
	if (offset == GICD_TYPER)
		return TYPER_LINES | TYPER_ID_BITS | GICD_TYPER_A3V;
	if (offset == GICD_CTLR)
		return vmm_irq_groups(vcpu) | GICD_CTLR_ARE | GICD_CTLR_DS;
	return 0; /* STATUSR; message-based SPIs */
}

static u64 v2_head_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	if (offset == GICD_IIDR)
		return GIC_IIDR_ARM;
	if (offset == GICD_TYPER)
		return TYPER_LINES | (vmm_vcpu_count(vmm_vm(vcpu)) - 1) << GICD_TYPER_CPUS_SHIFT;
	return offset == GICD_CTLR ? vmm_irq_groups(vcpu) : 0;
}

/* Affinity routing cannot be turned off. A write takes effect at once: RWP reads as zero. */
static void head_write(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
		       u64 value)
{
	if (offset == GICD_CTLR && (value & CTLR_GROUPS) != vmm_irq_groups(vcpu))
		vmm_irq_set_groups(vcpu, value & CTLR_GROUPS);
}

static u64 v3_id_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	return offset >= GICV3_PIDR4 ? id_register((offset - GICV3_PIDR4) / 4, 3) : 0;
}

static u64 v2_id_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	return offset >= GICV2_PIDR4 ? id_register((offset - GICV2_PIDR4) / 4, 2) : 0;
}

static const struct irq_bank sgi_clear = {IRQ_SOURCES, BANK_CLEAR, GICD_CPENDSGIR, 0,
					  GIC_SGI_COUNT};
static const struct irq_bank sgi_set = {IRQ_SOURCES, BANK_SET, GICD_SPENDSGIR, 0, GIC_SGI_COUNT};

/* GICD_CPENDSGIR<n> and GICD_SPENDSGIR<n>: a byte an SGI, a bit a requester; GICD_SGIR reads zero. */
static u64 v2_sgi_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	if (offset < sgi_clear.base)
		return 0;
	return vmm_irq_bank_read(vcpu, offset < sgi_set.base ? &sgi_clear : &sgi_set, offset, size);
}

/*
 * Exercise 3.7: what a write of @value to GICD_SGIR does.
 *
 * TargetListFilter [25:24] says who gets the SGI [3:0]: 0 the list [23:16], a bit a CPU interface;
 * 1 all but the writer; 2 the writer alone; 3 is reserved, nobody. Bits of CPUs that do not exist
 * are ignored. vmm_irq_send() makes it pending at each, with the writer as its source.
 */
EXERCISE(3.7)
static void v2_send(struct vcpu *vcpu, u64 value)
{
	u32 self = vmm_vcpu_index(vcpu);
	u64 all = bits_mask(vmm_vcpu_count(vmm_vm(vcpu)) - 1, 0);
	const u64 targets[] = {bits_get(value, 23, 16), ~BIT(self), BIT(self), 0};
	u64 chosen = targets[bits_get(value, 25, 24)] & all;

	for (; chosen; chosen &= chosen - 1)
		vmm_irq_send(vmm_vcpu(vcpu, (u32)__builtin_ctzl(chosen)), vcpu, value & 15);
}

static void v2_sgi_write(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
			 u64 value)
{
	if (offset == GICD_SGIR && size == SIZE_32)
		v2_send(vcpu, value);
	else if (offset >= sgi_clear.base)
		vmm_irq_bank_write(vcpu, offset < sgi_set.base ? &sgi_clear : &sgi_set, offset,
				   size, value);
}

#define AT(offset) ((offset) < 0x1000 ? (offset) >> 7 : 32 + ((offset) >> 13))
/* The registers from @reg on, with @bits for each interrupt. */
#define BANK(reg, bits, field, style, first, sizes)                                                \
	[AT(reg)... AT((reg) + GUEST_INTID_COUNT * (bits) / 8 - 1)] = {                            \
		{field, style, reg, first, GUEST_INTID_COUNT},                                     \
		sizes,                                                                             \
		vmm_irq_bank_read,                                                                 \
		vmm_irq_bank_write}

/* SGIs and PPIs are in the redistributors: their fields here read as zero and ignore writes. */
static const struct gicd_register v3_registers[] = {
	[AT(GICD_CTLR)] = {{0}, SIZE_32, v3_head_read, head_write},
	BANK(GICD_IGROUPR, 1, IRQ_GROUP, BANK_PLAIN, GIC_PRIVATE_COUNT, SIZE_32),
	BANK(GICD_ISENABLER, 1, IRQ_ENABLED, BANK_SET, GIC_PRIVATE_COUNT, SIZE_32),
	BANK(GICD_ICENABLER, 1, IRQ_ENABLED, BANK_CLEAR, GIC_PRIVATE_COUNT, SIZE_32),
	BANK(GICD_ISPENDR, 1, IRQ_PENDING, BANK_SET, GIC_PRIVATE_COUNT, SIZE_32),
	BANK(GICD_ICPENDR, 1, IRQ_PENDING, BANK_CLEAR, GIC_PRIVATE_COUNT, SIZE_32),
	BANK(GICD_ISACTIVER, 1, IRQ_ACTIVE, BANK_SET, GIC_PRIVATE_COUNT, SIZE_32),
	BANK(GICD_ICACTIVER, 1, IRQ_ACTIVE, BANK_CLEAR, GIC_PRIVATE_COUNT, SIZE_32),
	BANK(GICD_IPRIORITYR, 8, IRQ_PRIORITY, BANK_PLAIN, GIC_PRIVATE_COUNT, SIZE_8_32),
	BANK(GICD_ICFGR, 2, IRQ_CONFIG, BANK_PLAIN, GIC_PRIVATE_COUNT, SIZE_32),
	BANK(GICD_IROUTER, 64, IRQ_ROUTE, BANK_PLAIN, GIC_PRIVATE_COUNT, SIZE_32_64),
	[AT(GICV3_PIDR4)] = {{0}, SIZE_32, v3_id_read, NULL},
};

static const struct gicd_register v2_registers[] = {
	[AT(GICD_CTLR)] = {{0}, SIZE_32, v2_head_read, head_write},
	BANK(GICD_IGROUPR, 1, IRQ_GROUP, BANK_PLAIN, 0, SIZE_32),
	BANK(GICD_ISENABLER, 1, IRQ_ENABLED, BANK_SET, 0, SIZE_32),
	BANK(GICD_ICENABLER, 1, IRQ_ENABLED, BANK_CLEAR, 0, SIZE_32),
	BANK(GICD_ISPENDR, 1, IRQ_PENDING, BANK_SET, 0, SIZE_32),
	BANK(GICD_ICPENDR, 1, IRQ_PENDING, BANK_CLEAR, 0, SIZE_32),
	BANK(GICD_ISACTIVER, 1, IRQ_ACTIVE, BANK_SET, 0, SIZE_32),
	BANK(GICD_ICACTIVER, 1, IRQ_ACTIVE, BANK_CLEAR, 0, SIZE_32),
	BANK(GICD_IPRIORITYR, 8, IRQ_PRIORITY, BANK_PLAIN, 0, SIZE_8_32),
	BANK(GICD_ITARGETSR, 8, IRQ_TARGETS, BANK_PLAIN, 0, SIZE_8_32),
	BANK(GICD_ICFGR, 2, IRQ_CONFIG, BANK_PLAIN, 0, SIZE_32),
	[AT(GICD_SGIR)] = {{0}, SIZE_8_32, v2_sgi_read, v2_sgi_write},
	[AT(GICV2_PIDR4)] = {{0}, SIZE_32, v2_id_read, NULL},
};

/*
 * Exercise 3.6: read @size bytes at @offset of the distributor whose table is @registers.
 *
 * The table has @count entries; that of the register is at AT(@offset). Zero when there is none, or
 * not with @size bytes (sizes). Every register that has a size can be read.
 */
EXERCISE(3.6)
static u64 gicd_read(const struct gicd_register *registers, u64 count, struct vcpu *vcpu,
		     u64 offset, unsigned size)
{
	const struct gicd_register *reg = &registers[AT(offset)];

	if (AT(offset) >= count || !(reg->sizes & size))
		return 0;
	return reg->read(vcpu, &reg->bank, offset, size);
}

/* Exercise 3.6: the same for a write. Nothing happens without a register, or one to be written. */
EXERCISE(3.6)
static void gicd_write(const struct gicd_register *registers, u64 count, struct vcpu *vcpu,
		       u64 offset, unsigned size, u64 value)
{
	const struct gicd_register *reg = &registers[AT(offset)];

	if (AT(offset) >= count || !(reg->sizes & size) || !reg->write)
		return;
	reg->write(vcpu, &reg->bank, offset, size, value);
}

static u64 v3_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	return gicd_read(v3_registers, ARRAY_SIZE(v3_registers), vcpu, offset, size);
}

static void v3_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
	gicd_write(v3_registers, ARRAY_SIZE(v3_registers), vcpu, offset, size, value);
}

static u64 v2_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	return gicd_read(v2_registers, ARRAY_SIZE(v2_registers), vcpu, offset, size);
}

static void v2_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
	gicd_write(v2_registers, ARRAY_SIZE(v2_registers), vcpu, offset, size, value);
}

const struct device device_gicd_v3 = {
	.name = "gicd_v3",
	.base = GUEST_GICD_BASE,
	.size_bytes = GUEST_GICD_SIZE,
	.gic_version = 3,
	.read = v3_read,
	.write = v3_write,
};
const struct device device_gicd_v2 = {
	.name = "gicd_v2",
	.base = GUEST_GICD_BASE,
	.size_bytes = GUEST_GICD_SIZE,
	.gic_version = 2,
	.read = v2_read,
	.write = v2_write,
};
