// SPDX-License-Identifier: MIT
/*
 * The distributor that a guest sees: GICv3 with affinity routing always on, or GICv2; one security
 * state; 256 INTIDs; no LPIs, no message-based SPIs.
 *
 * Each version is a table, one entry for every 128 bytes of the first page and for every 8 KiB of
 * the rest, so that a lookup is an index. Most entries are banks, one field of every interrupt,
 * and name the functions that take a bank apart. What a table does not name reads as zero and
 * ignores writes, as does an access of a size that the register does not have (IHI 0069,
 * "GIC memory-mapped register access").
 *
 * The device_lock is held; interrupt state has a lock of its own behind vmm.h.
 * Manual: IHI 0069 and IHI 0048, "Distributor register descriptions".
 */
#include "exercise.h"
#include "lib/bits.h"
#include "lib/types.h"
#include "vmm_irq.h"

#define INTIDS 256
#define PRIVATE_INTIDS 32
#define SIZE_32 4
#define SIZE_8_32 (1 | 4)
#define SIZE_32_64 (4 | 8)

#define IIDR 0x43b /* implementer Arm, product 0: as the machine's own */
#define CTLR_GRPS 3
#define CTLR_ARE BIT(4)
#define CTLR_DS BIT(6)
#define TYPER_LINES (INTIDS / 32 - 1)
#define TYPER_CPUS_SHIFT 5
#define TYPER_ID_BITS (9UL << 19) /* ten bits of INTID */
#define TYPER_A3V BIT(24)

struct gicd_register {
	struct irq_bank bank;
	u8 sizes; /* sum of the access sizes that it has */
	u64 (*read)(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size);
	void (*write)(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
		      u64 value);
};

/* CoreSight identification, the last 48 bytes of the frame: PIDR4-7, PIDR0-3, CIDR0-3. */
static u64 id_register(u64 offset, u8 architecture_revision)
{
	static const u8 ids[] = {0x44, 0, 0, 0, 0x92, 0xb4, 0x0b, 0, 0x0d, 0xf0, 0x05, 0xb1};
	u64 index = ((offset & 0x3f) - 0x10) / 4;

	if ((offset & 0x3f) < 0x10)
		return 0;
	return index == 6 ? ids[6] | architecture_revision << 4 : ids[index];
}

static u64 v3_head_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	if (offset == 0x8)
		return IIDR;
	if (offset == 0x4)
		return TYPER_LINES | TYPER_ID_BITS | TYPER_A3V;
	if (offset == 0x0)
		return vmm_irq_groups(vcpu) | CTLR_ARE | CTLR_DS;
	return 0; /* STATUSR; message-based SPIs */
}

static u64 v2_head_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	if (offset == 0x8)
		return IIDR;
	if (offset == 0x4)
		return TYPER_LINES | (vmm_vcpu_count(vmm_vm(vcpu)) - 1) << TYPER_CPUS_SHIFT;
	return offset == 0x0 ? vmm_irq_groups(vcpu) : 0;
}

/* Affinity routing cannot be turned off, and nothing is ever pending: RWP reads as zero. */
static void head_write(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
		       u64 value)
{
	if (offset == 0 && (value & CTLR_GRPS) != vmm_irq_groups(vcpu))
		vmm_irq_set_groups(vcpu, value & CTLR_GRPS);
}

static u64 v3_id_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	return offset >= 0xffc0 ? id_register(offset, 3) : 0;
}

static u64 v2_id_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	return offset >= 0xfc0 ? id_register(offset, 2) : 0;
}

static const struct irq_bank sgi_clear = {IRQ_SOURCES, BANK_CLEAR, 0xf10, 0, 16};
static const struct irq_bank sgi_set = {IRQ_SOURCES, BANK_SET, 0xf20, 0, 16};

/*
 * GICD_CPENDSGIR<n> and GICD_SPENDSGIR<n>: a byte an SGI, a bit a requester; GICD_SGIR reads zero.
 */
static u64 v2_sgi_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	if (offset < sgi_clear.base)
		return 0;
	return vmm_irq_bank_read(vcpu, offset < sgi_set.base ? &sgi_clear : &sgi_set, offset, size);
}

/*
 * GICD_SGIR: TargetListFilter [25:24] says who gets it: 0 the list [23:16], a bit a CPU interface;
 * 1 all but the writer; 2 the writer alone; 3 is reserved, nobody. The SGI [3:0] becomes pending
 * there with the writer as its source (vmm_irq_send()). Bits of CPUs that do not exist are
 * ignored.
 */
EXERCISE(3.7)
static void v2_send(struct vcpu *vcpu, u64 value)
{
	u32 self = vmm_vcpu_index(vcpu);
	u64 all = bits_mask(vmm_vcpu_count(vmm_vm(vcpu)) - 1, 0);
	const u64 targets[] = {bits_get(value, 23, 16), ~BIT(self), BIT(self), 0};
	u64 chosen = targets[bits_get(value, 25, 24)] & all;

	for (u32 index = 0; chosen >> index; index++) {
		if (chosen >> index & 1)
			vmm_irq_send(vmm_vcpu(vcpu, index), vcpu, value & 15);
	}
}

static void v2_sgi_write(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
			 u64 value)
{
	if (offset == 0xf00 && size == SIZE_32)
		v2_send(vcpu, value);
	else if (offset >= sgi_clear.base)
		vmm_irq_bank_write(vcpu, offset < sgi_set.base ? &sgi_clear : &sgi_set, offset,
				   size, value);
}

#define BANK(field, style, base, first, sizes)                                                     \
	((struct gicd_register){{field, style, base, first, INTIDS},                               \
				sizes,                                                             \
				vmm_irq_bank_read,                                                 \
				vmm_irq_bank_write})
#define AT(offset) ((offset) < 0x1000 ? (offset) >> 7 : 32 + ((offset) >> 13))

/* SGIs and PPIs are in the redistributors: their fields here read as zero and ignore writes. */
static const struct gicd_register v3_registers[] = {
	[AT(0x000)] = {{0}, SIZE_32, v3_head_read, head_write},
	[AT(0x080)] = BANK(IRQ_GROUP, BANK_PLAIN, 0x080, PRIVATE_INTIDS, SIZE_32),
	[AT(0x100)] = BANK(IRQ_ENABLED, BANK_SET, 0x100, PRIVATE_INTIDS, SIZE_32),
	[AT(0x180)] = BANK(IRQ_ENABLED, BANK_CLEAR, 0x180, PRIVATE_INTIDS, SIZE_32),
	[AT(0x200)] = BANK(IRQ_PENDING, BANK_SET, 0x200, PRIVATE_INTIDS, SIZE_32),
	[AT(0x280)] = BANK(IRQ_PENDING, BANK_CLEAR, 0x280, PRIVATE_INTIDS, SIZE_32),
	[AT(0x300)] = BANK(IRQ_ACTIVE, BANK_SET, 0x300, PRIVATE_INTIDS, SIZE_32),
	[AT(0x380)] = BANK(IRQ_ACTIVE, BANK_CLEAR, 0x380, PRIVATE_INTIDS, SIZE_32),
	[AT(0x400)... AT(0x7ff)] = BANK(IRQ_PRIORITY, BANK_PLAIN, 0x400, PRIVATE_INTIDS, SIZE_8_32),
	[AT(0xc00)... AT(0xcff)] = BANK(IRQ_CONFIG, BANK_PLAIN, 0xc00, PRIVATE_INTIDS, SIZE_32),
	[AT(0x6000)] = BANK(IRQ_ROUTE, BANK_PLAIN, 0x6000, PRIVATE_INTIDS, SIZE_32_64),
	[AT(0xe000)] = {{0}, SIZE_32, v3_id_read, NULL},
};

static const struct gicd_register v2_registers[] = {
	[AT(0x000)] = {{0}, SIZE_32, v2_head_read, head_write},
	[AT(0x080)] = BANK(IRQ_GROUP, BANK_PLAIN, 0x080, 0, SIZE_32),
	[AT(0x100)] = BANK(IRQ_ENABLED, BANK_SET, 0x100, 0, SIZE_32),
	[AT(0x180)] = BANK(IRQ_ENABLED, BANK_CLEAR, 0x180, 0, SIZE_32),
	[AT(0x200)] = BANK(IRQ_PENDING, BANK_SET, 0x200, 0, SIZE_32),
	[AT(0x280)] = BANK(IRQ_PENDING, BANK_CLEAR, 0x280, 0, SIZE_32),
	[AT(0x300)] = BANK(IRQ_ACTIVE, BANK_SET, 0x300, 0, SIZE_32),
	[AT(0x380)] = BANK(IRQ_ACTIVE, BANK_CLEAR, 0x380, 0, SIZE_32),
	[AT(0x400)... AT(0x7ff)] = BANK(IRQ_PRIORITY, BANK_PLAIN, 0x400, 0, SIZE_8_32),
	[AT(0x800)... AT(0xbff)] = BANK(IRQ_TARGETS, BANK_PLAIN, 0x800, 0, SIZE_8_32),
	[AT(0xc00)... AT(0xcff)] = BANK(IRQ_CONFIG, BANK_PLAIN, 0xc00, 0, SIZE_32),
	[AT(0xf00)] = {{0}, SIZE_8_32, v2_sgi_read, v2_sgi_write},
	[AT(0xf80)] = {{0}, SIZE_32, v2_id_read, NULL},
};

/*
 * Look the register up by @offset in a table of @count entries. Zero when there is none, or not
 * with @size bytes; every register that has a size can be read.
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

/* The same for a write: nothing happens when there is no such register, or none to write. */
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
	.base = 0x08000000,
	.size_bytes = 0x10000,
	.gic_version = 3,
	.read = v3_read,
	.write = v3_write,
};
const struct device device_gicd_v2 = {
	.name = "gicd_v2",
	.base = 0x08000000,
	.size_bytes = 0x10000,
	.gic_version = 2,
	.read = v2_read,
	.write = v2_write,
};
