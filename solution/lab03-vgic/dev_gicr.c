// SPDX-License-Identifier: MIT
/*
 * The redistributors that a guest sees on a GICv3: two frames of 64 KiB a vCPU, one after the
 * other. RD_base tells who it belongs to; SGI_base has the registers of its SGIs and PPIs, at the
 * offsets where the distributor has those of SPIs. Any vCPU may access any frame. No LPIs: their
 * tables' addresses read as zero. Registers that are not named read as zero and ignore writes.
 *
 * The device_lock is held; interrupt state has a lock of its own behind vmm.h.
 * Manual: IHI 0069, "Redistributor register descriptions".
 */
#include "exercise.h"
#include "lib/bits.h"
#include "lib/types.h"
#include "vmm_irq.h"

#define FRAME_SHIFT 17
#define SGI_BASE 0x10000
#define PRIVATE_INTIDS 32
#define VCPU_LIMIT 8
#define IIDR 0x43b
#define WAKER_SLEEP BIT(1)
#define WAKER_CHILDREN_ASLEEP BIT(2)

/* Whether each redistributor sleeps. It only shows: interrupts are delivered all the same. */
struct gicr_state {
	bool sleeps[VCPU_LIMIT];
};

#define BANK(field, style, base) ((struct irq_bank){field, style, base, 0, PRIVATE_INTIDS})

/* One entry for every 128 bytes of SGI_base; 1-bit and 2-bit fields are accessed by words. */
static const struct irq_bank sgi_banks[] = {
	[0x080 >> 7] = BANK(IRQ_GROUP, BANK_PLAIN, 0x080),
	[0x100 >> 7] = BANK(IRQ_ENABLED, BANK_SET, 0x100),
	[0x180 >> 7] = BANK(IRQ_ENABLED, BANK_CLEAR, 0x180),
	[0x200 >> 7] = BANK(IRQ_PENDING, BANK_SET, 0x200),
	[0x280 >> 7] = BANK(IRQ_PENDING, BANK_CLEAR, 0x280),
	[0x300 >> 7] = BANK(IRQ_ACTIVE, BANK_SET, 0x300),
	[0x380 >> 7] = BANK(IRQ_ACTIVE, BANK_CLEAR, 0x380),
	[0x400 >> 7] = BANK(IRQ_PRIORITY, BANK_PLAIN, 0x400),
	[0xc00 >> 7] = BANK(IRQ_CONFIG, BANK_PLAIN, 0xc00),
};

/* The bank that an access to SGI_base concerns, or NULL: no such register, or not of that size. */
EXERCISE(3.6)
static const struct irq_bank *sgi_bank(u64 offset, unsigned size)
{
	u64 index = offset >> 7;

	if (index >= ARRAY_SIZE(sgi_banks) || !sgi_banks[index].end)
		return NULL;
	if (size != 4 && !(size == 1 && sgi_banks[index].field == IRQ_PRIORITY))
		return NULL;
	return &sgi_banks[index];
}

/*
 * GICR_TYPER: affinity in [63:32] (only Aff0 is not zero), processor number in [23:8], Last in 4.
 */
EXERCISE(3.6)
static u64 gicr_typer(struct vcpu *vcpu)
{
	u64 index = vmm_vcpu_index(vcpu);
	u64 last = index + 1 == vmm_vcpu_count(vmm_vm(vcpu));

	return index << 32 | index << 8 | last << 4;
}

static u64 rd_read(const struct gicr_state *gicr, struct vcpu *vcpu, u64 offset, unsigned size)
{
	static const u8 ids[] = {0x44, 0, 0, 0, 0x93, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};

	if (offset == 0x08 && size >= 4)
		return gicr_typer(vcpu);
	if (offset == 0x0c && size == 4)
		return gicr_typer(vcpu) >> 32;
	if (size != 4)
		return 0;
	if (offset == 0x04)
		return IIDR;
	if (offset == 0x14 && gicr->sleeps[vmm_vcpu_index(vcpu)])
		return WAKER_SLEEP | WAKER_CHILDREN_ASLEEP;
	return offset >= 0xffd0 ? ids[(offset - 0xffd0) / 4] : 0;
}

static u64 gicr_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	struct vcpu *owner = vmm_vcpu(vcpu, (u32)(offset >> FRAME_SHIFT));
	const struct irq_bank *bank;

	offset &= BIT(FRAME_SHIFT) - 1;
	if (!owner)
		return 0;
	if (offset < SGI_BASE)
		return rd_read(state, owner, offset, size);
	bank = sgi_bank(offset - SGI_BASE, size);
	return bank ? vmm_irq_bank_read(owner, bank, offset - SGI_BASE, size) : 0;
}

static void gicr_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
	struct vcpu *owner = vmm_vcpu(vcpu, (u32)(offset >> FRAME_SHIFT));
	struct gicr_state *gicr = state;
	const struct irq_bank *bank;

	offset &= BIT(FRAME_SHIFT) - 1;
	if (!owner)
		return;
	if (offset == 0x14 && size == 4)
		gicr->sleeps[vmm_vcpu_index(owner)] = value & WAKER_SLEEP;
	if (offset < SGI_BASE)
		return;
	bank = sgi_bank(offset - SGI_BASE, size);
	if (bank)
		vmm_irq_bank_write(owner, bank, offset - SGI_BASE, size, value);
}

/* After power-on every redistributor sleeps (IHI 0069, "GICR_WAKER"). */
static void gicr_reset(struct vm *vm, void *state)
{
	struct gicr_state *gicr = state;

	for (u32 index = 0; index < VCPU_LIMIT; index++)
		gicr->sleeps[index] = true;
}

static u64 gicr_bytes(struct vm *vm)
{
	return (u64)vmm_vcpu_count(vm) << FRAME_SHIFT;
}

const struct device device_gicr = {
	.name = "gicr",
	.base = 0x080a0000,
	.state_bytes = sizeof(struct gicr_state),
	.gic_version = 3,
	.region_bytes = gicr_bytes,
	.reset = gicr_reset,
	.read = gicr_read,
	.write = gicr_write,
};
