// SPDX-License-Identifier: MIT
/*
 * The redistributors that a guest sees on a GICv3: two frames of 64 KiB a vCPU, one after the
 * other. The first tells whose they are; the second, the SGI frame, has the registers of its SGIs
 * and PPIs, at the offsets where the distributor has those of SPIs. Any vCPU may access any frame.
 * There are no LPIs: the addresses of their tables read as zero. Registers that are not named read
 * as zero and ignore writes.
 *
 * The device_lock is held; interrupt state has a lock of its own behind vmm_irq.h.
 * Manual: IHI 0069, "Redistributor register descriptions".
 */
#include "exercise.h"
#include "lib/bits.h"
#include "lib/gic_regs.h"
#include "lib/types.h"
#include "vmm_irq.h"

/* Bit n: vCPU n has woken its redistributor. It only shows: interrupts are delivered all the same. */
struct gicr_state {
	u64 awake;
};

#define BANK(reg, field, style) [(reg) >> 7] = {field, style, reg, 0, GIC_PRIVATE_COUNT}

/* One entry for every 128 bytes of the SGI frame; 1-bit and 2-bit fields are accessed by words. */
static const struct irq_bank sgi_banks[] = {
	BANK(GICD_IGROUPR, IRQ_GROUP, BANK_PLAIN),
	BANK(GICD_ISENABLER, IRQ_ENABLED, BANK_SET),
	BANK(GICD_ICENABLER, IRQ_ENABLED, BANK_CLEAR),
	BANK(GICD_ISPENDR, IRQ_PENDING, BANK_SET),
	BANK(GICD_ICPENDR, IRQ_PENDING, BANK_CLEAR),
	BANK(GICD_ISACTIVER, IRQ_ACTIVE, BANK_SET),
	BANK(GICD_ICACTIVER, IRQ_ACTIVE, BANK_CLEAR),
	BANK(GICD_IPRIORITYR, IRQ_PRIORITY, BANK_PLAIN),
	BANK(GICD_ICFGR, IRQ_CONFIG, BANK_PLAIN),
};

/*
 * Exercise 3.6: the bank that an access at @offset of the SGI frame concerns, or NULL.
 *
 * Entries of sgi_banks[] without interrupts (end) are no registers. A register is accessed by 4
 * bytes; IRQ_PRIORITY also by one.
 */
EXERCISE(3.6)
static const struct irq_bank *sgi_bank(u64 offset, unsigned size)
{
	TODO(3.6);
}

/*
 * Exercise 3.6: GICR_TYPER of @vcpu's redistributor: affinity in [63:32] (only Aff0 is not zero),
 * processor number in [23:8], Last in 4.
 */
EXERCISE(3.6)
static u64 gicr_typer(struct vcpu *vcpu)
{
	TODO(3.6);
}

static u64 rd_read(const struct gicr_state *gicr, struct vcpu *vcpu, u64 offset, unsigned size)
{
	static const u8 ids[] = {0x44, 0, 0, 0, 0x93, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};

	if (offset == GICR_TYPER && size >= 4)
		return gicr_typer(vcpu);
	if (offset == GICR_TYPER + 4 && size == 4)
		return gicr_typer(vcpu) >> 32;
	if (size != 4)
		return 0;
	if (offset == GICR_IIDR)
		return GIC_IIDR_ARM;
	if (offset == GICR_WAKER && !(gicr->awake >> vmm_vcpu_index(vcpu) & 1))
		return GICR_WAKER_PROCESSOR_SLEEP | GICR_WAKER_CHILDREN_ASLEEP;
	return offset >= GICV3_PIDR4 ? ids[(offset - GICV3_PIDR4) / 4] : 0;
}

static u64 gicr_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	struct vcpu *owner = vmm_vcpu(vcpu, (u32)(offset / GUEST_GICR_STRIDE));
	const struct irq_bank *bank;

	offset %= GUEST_GICR_STRIDE;
	if (!owner)
		return 0;
	if (offset < GICR_SGI_FRAME)
		return rd_read(state, owner, offset, size);
	bank = sgi_bank(offset - GICR_SGI_FRAME, size);
	return bank ? vmm_irq_bank_read(owner, bank, offset - GICR_SGI_FRAME, size) : 0;
}

static void gicr_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
	u32 index = (u32)(offset / GUEST_GICR_STRIDE);
	struct vcpu *owner = vmm_vcpu(vcpu, index);
	struct gicr_state *gicr = state;
	const struct irq_bank *bank;

	offset %= GUEST_GICR_STRIDE;
	if (!owner)
		return;
	if (offset == GICR_WAKER && size == 4)
		gicr->awake =
			bits_set(gicr->awake, index, index, !(value & GICR_WAKER_PROCESSOR_SLEEP));
	if (offset < GICR_SGI_FRAME)
		return;
	bank = sgi_bank(offset - GICR_SGI_FRAME, size);
	if (bank)
		vmm_irq_bank_write(owner, bank, offset - GICR_SGI_FRAME, size, value);
}

static u64 gicr_bytes(struct vm *vm)
{
	return (u64)vmm_vcpu_count(vm) * GUEST_GICR_STRIDE;
}

const struct device device_gicr = {
	.name = "gicr",
	.base = GUEST_GICR_BASE,
	.state_bytes = sizeof(struct gicr_state),
	.gic_version = 3,
	.region_bytes = gicr_bytes,
	.read = gicr_read,
	.write = gicr_write,
};
