// SPDX-License-Identifier: MIT
/*
 * What the models of distributor and redistributor read and write: one field of many interrupts.
 *
 * The models are tables of banks (dev_gicd.c, dev_gicr.c); here an access to a bank is taken apart
 * into interrupts. Memory tells most fields. Only for those that a list register may know better
 * (pending, active, sources) are list registers folded. A change ends in vgic_irq_update().
 *
 * Locks: the device_lock, which the models' caller holds; vgic.lock nests inside it.
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

/* GICD_IROUTER<n>: an affinity and Interrupt_Routing_Mode. */
#define ROUTE_MASK (MPIDR_EL1_AFFINITY | GICD_IROUTER_MODE)

/*
 * Exercise 3.6: the value of @field of @irq, in the low bits.
 *
 * IRQ_PENDING: vgic_irq_is_pending(); a hw interrupt whose owner is here also shows its physical
 * line, passed on or not (is_asserted()). IRQ_CONFIG: 2 for an edge, 0 for a level. IRQ_TARGETS of
 * an SGI or PPI: the bit of its owner's index. The rest is in struct vgic_irq.
 */
EXERCISE(3.6)
static u64 vgic_irq_get(const struct vgic_irq *irq, enum irq_field field)
{
	TODO(3.6);
}

/*
 * Exercise 3.6: replace the bits @mask of @field of @irq by those of @value. The caller has pulled,
 * and relists.
 *
 * What software cannot change stays: the trigger of an SGI, its enable on a GICv2 (IHI 0048,
 * "GICD_ISENABLERn": permanently enabled, as on the machine that our guests expect), targets of
 * SGIs and PPIs, targets that do not exist (bits of GICD_ITARGETSR<n> from the number of vCPUs on),
 * unimplemented priority bits (VGIC_PRIORITY_MASK), reserved bits of GICD_IROUTER<n> (ROUTE_MASK).
 *
 * IRQ_PENDING: ISPENDR sets pending_latch; ICPENDR takes it away, with the part of it that a list
 * register took over, latch_in_lr. Neither changes the line, which is the device's: a level whose
 * line is up stays pending. SGIs of a GICv2 ignore both, since they have registers of their own.
 * IRQ_SOURCES (GICD_SPENDSGIR<n>, GICD_CPENDSGIR<n>): one bit for each requester, also for a CPU
 * that does not exist: the guest asked for it. When the bit of active_source is taken away, whether
 * sources has it or not, latch_in_lr goes too: it stands for that requester.
 * IRQ_ACTIVE: vgic_irq_set_active().
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
 * vgic_settle() - before a register of @irq is read: have memory tell how the interrupt is now
 * @vm: the VM of @irq, and of the vCPU that reads, which is here
 *
 * If the vCPU on whose ap_list @irq is runs on another CPU, where the interrupt may have changed,
 * this CPU waits until that one has folded. Meanwhile it lets go of vgic.lock and of the VM's
 * device_lock, which are both held.
 */
static void vgic_settle(struct vm *vm, struct vgic_irq *irq)
{
	struct vcpu *owner = irq->vcpu;
	u32 seen;

	spin_assert_held(&vm->device_lock);
	spin_assert_held(&vm->vgic.lock);
	vgic_pull(owner);
	if (!owner || !owner->vgic.loaded || (irq->lr == VGIC_NO_LR && !irq->active))
		return;
	/* Another CPU's list register holds it; or it is active without one, and may be completed. */
	vgic_pull(this_cpu()->vcpu);
	irq->changed = true;
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
 * Exercise 3.6: the fields of all interrupts that a read covers, lowest INTID in the lowest bits.
 *
 * INTIDs outside of [bank->first, bank->end) read as zero; a read is of these alone or of none. At an offset inside a field of 64 bits
 * the other half is read. Before a field that a list register may know better (pending, active,
 * sources): vgic_settle(). Under vgic.lock, but for fields that a write to a register alone changes.
 */
EXERCISE(3.6)
u64 vmm_irq_bank_read(struct vcpu *vcpu, const struct irq_bank *bank, u64 offset, unsigned size)
{
	TODO(3.6);
}

/*
 * Exercise 3.6: apply a write to every interrupt that it covers and about which @value has
 * something to say: in a BANK_SET or BANK_CLEAR bank those with a one, in a BANK_PLAIN bank all.
 *
 * A field of 64 bits may be written by halves: the other half stays. For each interrupt: pull the
 * vCPU on whose ap_list it is, so that the change meets the truth; vgic_irq_put();
 * vgic_irq_update(). All under one hold of vgic.lock.
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
 * Exercise 3.6: vgic.ctlr becomes the two group enables of @groups.
 *
 * All interrupts of a group come or go at once: pull every vCPU, and vgic_irq_update() each of its
 * SGIs and PPIs and every SPI. Under vgic.lock.
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
