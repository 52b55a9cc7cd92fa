// SPDX-License-Identifier: MIT
/*
 * The virtual interface at a world switch, and the life of a VM's interrupt controller.
 *
 * The CPU has one virtual interface: list registers, priority mask, group enables, active
 * priorities. A vCPU that leaves folds its list registers and takes the rest along in vcpu->vgic.
 * In between the interface is off, so that no maintenance interrupt speaks for a vCPU that is gone.
 * On a GICv2 the guest reaches the interface by memory: the physical GICV page is mapped where its
 * machine has GICC. All VMs have that page; the world switch multiplexes it.
 *
 * Locks: vgic.lock; head of vgic.c.
 * Manual: IHI 0069, "Context switching"; IHI 0048, "Virtual CPU interface".
 */
#include "exercise.h"
#include "el2_boot.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "internal.h"

/*
 * Power-on state of one interrupt: disabled, idle, Group 0, highest priority, level-sensitive; an
 * SGI is edge-triggered, on a GICv2 enabled; an SPI is routed to vCPU 0. The input line stays as it
 * is, and so does the tie to a physical interrupt: neither is the interrupt controller's.
 */
static void vgic_irq_reset(struct vgic_irq *irq, struct vcpu *owner, u32 intid)
{
	list_init(&irq->node);
	irq->vcpu = owner;
	irq->intid = (u16)intid;
	irq->lr = VGIC_NO_LR;
	irq->route = gic->version == 2 ? 1 : 0;
	irq->priority = 0;
	irq->sources = 0;
	irq->enabled = vgic_irq_counts_sources(irq);
	irq->pending_latch = irq->latch_in_lr = irq->active = irq->group1 = false;
	irq->edge = intid < GIC_SGI_COUNT;
	irq->request = VGIC_IRQ_NO_REQUEST;
	if (irq->hw)
		irq->line_level = false;
}

static void vgic_reset(struct vm *vm)
{
	spin_lock(&vm->vgic.lock);
	vm->vgic.ctlr = 0;
	for (u32 index = 0; index < vm->vcpu_count; index++) {
		struct vcpu *vcpu = vm->vcpus[index];

		list_init(&vcpu->vgic.ap_list);
		vgic_free_lrs(vcpu);
		for (u32 intid = 0; intid < GIC_PRIVATE_COUNT; intid++)
			vgic_irq_reset(&vcpu->vgic.private_irqs[intid], vcpu, intid);
	}
	for (u32 intid = GIC_PRIVATE_COUNT; intid < GUEST_INTID_COUNT; intid++)
		vgic_irq_reset(&vm->vgic.spis[intid - GIC_PRIVATE_COUNT], NULL, intid);
	spin_unlock(&vm->vgic.lock);
}

/*
 * Exercise 3.8: take the virtual interface of @vcpu out of this CPU. Under vgic.lock.
 *
 * Fold if vgic.loaded. gic->save() reads priority mask, group enables and active priorities into
 * memory. The interface goes off, here and in vgic.hcr; list registers that were filled
 * (vgic.lr_used) become zero for the next vCPU, and free for this one (vgic_free_lrs()). It is not
 * vgic.resident any more: who raises an interrupt from now on finds all state in memory.
 */
EXERCISE(3.8)
void vgic_vcpu_save(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;
	struct spinlock *lock = &vcpu->vm->vgic.lock;

	spin_lock(lock);
	if (interface->loaded)
		vgic_fold(vcpu);
	gic->save(interface);
	gic->write_hcr(0);
	for (unsigned n = 0; interface->lr_used >> n; n++)
		gic->write_lr(n, 0);
	vgic_free_lrs(vcpu);
	interface->hcr = 0;
	interface->resident = false;
	spin_unlock(lock);
}

/*
 * Exercise 3.8: the inverse. gic->load() writes mask, groups and active priorities, vgic.resident
 * says so; under vgic.lock. The entry fills the list registers and switches the interface on: ask
 * for that (REQ_VGIC).
 */
EXERCISE(3.8)
void vgic_vcpu_load(struct vcpu *vcpu)
{
	struct spinlock *lock = &vcpu->vm->vgic.lock;

	spin_lock(lock);
	gic->load(&vcpu->vgic);
	vcpu->vgic.resident = true;
	spin_unlock(lock);
	vcpu_make_request(vcpu, REQ_VGIC);
}

/*
 * Exercise 3.8: the CPU interface of @vcpu after reset.
 *
 * Both groups are off, the priority mask is zero (nothing passes), no priority is active, vgic.hcr
 * is 0. The binary points are the least that five priority bits allow: VBPR0 2, VBPR1 3. On a GICv3
 * VFIQEn is set: with system registers Group 0 is always signalled as FIQ. The interrupts belong to
 * the distributor and stay: a CPU that is switched on finds what was sent to it. Under vgic.lock: who
 * sends to the vCPU meanwhile looks at its interface.
 */
EXERCISE(3.8)
void vgic_vcpu_reset(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;

	spin_lock(&vcpu->vm->vgic.lock);
	interface->ap0r = 0;
	interface->ap1r = 0;
	interface->hcr = 0;
	interface->vmcr = 2UL << ICH_VMCR_EL2_VBPR0_SHIFT | 3UL << ICH_VMCR_EL2_VBPR1_SHIFT;
	if (gic->version == 3)
		interface->vmcr |= ICH_VMCR_EL2_VFIQEN;
	spin_unlock(&vcpu->vm->vgic.lock);
}

/* SPIs that wait here and may go to any vCPU (Interrupt_Routing_Mode 1) go to one that is not off. */
void vgic_vcpu_off(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct list *node, *next;

	spin_lock(&vm->vgic.lock);
	for (node = vcpu->vgic.ap_list.next; node != &vcpu->vgic.ap_list; node = next) {
		struct vgic_irq *irq = container_of(node, struct vgic_irq, node);

		next = node->next;
		if (irq->intid >= GIC_PRIVATE_COUNT)
			vgic_irq_update(vm, irq);
	}
	spin_unlock(&vm->vgic.lock);
}

/*
 * Exercise 3.8: the interrupt controller of a new VM.
 *
 * vgic.spis gets memory for VGIC_SPI_COUNT interrupts (zeroed pages), vgic.lock a name ("vgic");
 * vgic_reset() brings everything to its state after power-on. On a GICv2 stage 2 maps the first
 * page of GICV at the guest's GICC address, as a device that can be read and written. The second
 * page, with GICC_DIR alone, stays away: dev_gicc.c.
 *
 * Return: 0, -ENOMEM, or what stage2_map() says.
 */
EXERCISE(3.8)
int vgic_vm_create(struct vm *vm)
{
	pa_t spis = page_alloc_zeroed(page_order_for(VGIC_SPI_COUNT * sizeof(struct vgic_irq)));

	if (!pa_is_valid(spis))
		return -ENOMEM;
	vm->vgic.lock.name = "vgic";
	vm->vgic.spis = phys_to_virt(spis);
	vgic_reset(vm);
	if (gic->version == 3)
		return 0;
	return stage2_map(vm, IPA(GUEST_GICC_BASE), PA(PLAT_GICV_BASE), PAGE_SIZE,
			  PROT_READ | PROT_WRITE | PROT_DEVICE);
}

/* Off all ap_lists, and then the memory goes. */
void vgic_vm_destroy(struct vm *vm)
{
	struct vgic_irq *spis = vm->vgic.spis;

	if (!spis)
		return;
	vgic_reset(vm);
	spin_lock(&vm->vgic.lock);
	vm->vgic.spis = NULL;
	spin_unlock(&vm->vgic.lock);
	page_free(virt_to_phys(spis), page_order_for(VGIC_SPI_COUNT * sizeof(struct vgic_irq)));
}
