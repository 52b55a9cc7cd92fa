// SPDX-License-Identifier: MIT
/*
 * What the models of distributor and redistributor read and write: one field of many interrupts.
 *
 * The models are tables (dev_gicd.c, dev_gicr.c) of banks; here a bank is taken apart into
 * interrupts, each under vgic.lock. Only fields that a list register may know better (pending,
 * active) fold it. A change always ends in vgic_irq_update().
 *
 * Locks: the device_lock is held by the models' caller; vgic.lock nests inside it.
 * Manual: IHI 0069 and IHI 0048, "Distributor register descriptions".
 */
#include "exercise.h"
#include "el2_boot.h"
#include "lib/bits.h"
#include "internal.h"

static const u8 field_bits[] = {
	[IRQ_GROUP] = 1,   [IRQ_ENABLED] = 1, [IRQ_PENDING] = 1,
	[IRQ_ACTIVE] = 1,  [IRQ_CONFIG] = 2,  [IRQ_PRIORITY] = 8,
	[IRQ_TARGETS] = 8, [IRQ_SOURCES] = 8, [IRQ_ROUTE] = 64,
};

/* GICD_IROUTER<n>: Aff3, Interrupt_Routing_Mode, and Aff2.Aff1.Aff0. */
#define ROUTE_MASK (0xff00ffffffUL | GICD_IROUTER_MODE)

/*
 * The value of @field of @irq, in the low bits. Pending is what a register shows:
 * vgic_irq_is_pending(), and for hw also the physical line itself, whether or not it was forwarded
 * yet (is_asserted(), which can be asked when the owner is here). IRQ_CONFIG is 2 for an edge, 0
 * for a level. IRQ_TARGETS of an SGI or PPI is the bit of its owner's index.
 */
EXERCISE(3.6)
static u64 vgic_irq_get(const struct vgic_irq *irq, enum irq_field field)
{
	TODO(3.6);
}

/*
 * Replace the bits @mask of @field of @irq by those of @value. What software cannot change stays:
 * the trigger of an SGI, its enable on a GICv2 (IHI 0048, "GICD_ISENABLERn": permanently enabled,
 * as on the machine that our guests expect), targets of SGIs and PPIs, targets that do not exist
 * (bits of GICD_ITARGETSR from the number of vCPUs on), unimplemented priority bits
 * (VGIC_PRIORITY_MASK), reserved bits of GICD_IROUTER (ROUTE_MASK).
 *
 * IRQ_PENDING sets the latch (ISPENDR), or takes it away with the part of it that a list register
 * took over, latch_in_lr (ICPENDR). The line is the device's: a level whose line is up stays
 * pending. SGIs of a GICv2 ignore both: they have registers of their own, IRQ_SOURCES
 * (GICD_SPENDSGIR<n>, GICD_CPENDSGIR<n>), one bit for each requester. Taking away the bit of
 * active_source also takes latch_in_lr, which stands for that requester. IRQ_ACTIVE goes through
 * vgic_irq_set_active(). The caller has pulled, and relists.
 */
EXERCISE(3.6)
static void vgic_irq_put(struct vcpu *vcpu, struct vgic_irq *irq, enum irq_field field, u64 value,
			 u64 mask)
{
	TODO(3.6);
}

/* The INTID whose field begins @offset bytes into @bank. */
static u32 bank_intid(const struct irq_bank *bank, u64 offset)
{
	return (u32)((offset - bank->base) * 8 / field_bits[bank->field]);
}

/* Whether the CPU of @owner has not folded since its count of refills was @seen. */
static bool vgic_is_unread(const struct vcpu *owner, u32 seen)
{
	return __atomic_load_n(&owner->vgic.loaded, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&owner->vgic.refills, __ATOMIC_RELAXED) == seen;
}

/**
 * vgic_settle() - before a register of @irq is read: have memory tell how it is now
 * @vm: whose interrupt it is, and the vCPU's that reads, which is here
 *
 * vgic_pull() of the vCPU whose list @irq is on. If that is loaded on another CPU, where @irq may
 * have changed, that CPU is made to fold. vgic.lock and the VM's device_lock, both held, are let go
 * meanwhile and taken again.
 */
static void vgic_settle(struct vm *vm, const struct vgic_irq *irq)
{
	struct vcpu *owner = irq->vcpu;
	u32 seen;

	vgic_pull(owner);
	if (!owner || !owner->vgic.loaded || (irq->lr == VGIC_NO_LR && !irq->active))
		return;
	/* In list registers of another CPU, or active without one and perhaps completed there. */
	vgic_pull(this_cpu()->vcpu);
	seen = owner->vgic.refills;
	vgic_notify(owner);
	spin_unlock(&vm->vgic.lock);
	spin_unlock(&vm->device_lock);
	while (vgic_is_unread(owner, seen))
		cpu_relax();
	spin_lock(&vm->device_lock);
	spin_lock(&vm->vgic.lock);
}

/*
 * Collect the fields of all interrupts that the access covers, lowest INTID in the lowest bits.
 * INTIDs outside of [bank->first, bank->end) read as zero. At an offset inside a field of 64
 * bits the other half is read. Fields that a list register may know better (pending, active,
 * sources) are read after vgic_settle(). Under vgic.lock.
 */
EXERCISE(3.6)
u64 vmm_irq_bank_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	TODO(3.6);
}

/*
 * Apply a write to every interrupt that it covers and that @value has something to say about: in a
 * BANK_SET or BANK_CLEAR bank those with a one, in a BANK_PLAIN one all. A field of 64 bits may be
 * written by halves: the other half stays. For each: pull the vCPU whose list it is on, so that
 * the change meets the truth; vgic_irq_put(); vgic_irq_update(). All under one hold of vgic.lock.
 */
EXERCISE(3.6)
void vmm_irq_bank_write(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size,
			u64 value)
{
	TODO(3.6);
}

u32 vmm_irq_groups(struct vcpu *vcpu)
{
	return vcpu->vm->vgic.ctlr;
}

/*
 * Keep the two group enables of @groups in vgic.ctlr. All interrupts of a group come or go at once:
 * pull every vCPU, and vgic_irq_update() each of its SGIs and PPIs and every SPI. Under vgic.lock.
 */
EXERCISE(3.6)
void vmm_irq_set_groups(struct vcpu *vcpu, u32 groups)
{
	TODO(3.6);
}

u32 vmm_vcpu_count(const struct vm *vm)
{
	return vm->vcpu_count;
}

struct vcpu *vmm_vcpu(struct vcpu *vcpu, u32 index)
{
	return index < vcpu->vm->vcpu_count ? vcpu->vm->vcpus[index] : NULL;
}

u32 vmm_vcpu_index(const struct vcpu *vcpu)
{
	return vcpu->index;
}

struct vm *vmm_vm(struct vcpu *vcpu)
{
	return vcpu->vm;
}
