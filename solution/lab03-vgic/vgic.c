// SPDX-License-Identifier: MIT
/*
 * The state of virtual interrupts, and where each belongs.
 *
 * Memory is the truth: struct vgic_irq says whether an interrupt is pending, active, enabled. Each
 * vCPU has one list, ordered by priority, of the interrupts that concern it now: those that are
 * active there and those that wait to be delivered. vgic_target_oracle() alone decides who that is;
 * whatever changes an interrupt ends in vgic_irq_update(), which asks it and moves the interrupt.
 *
 * List registers are a cache (vgic_lr.c). While a vCPU runs on another CPU they cannot be read. The
 * rule: change memory, then have that CPU fold and refill. So that nothing is lost, what the list
 * register took over was moved out of memory (pending_latch to latch_in_lr), and orders to change
 * the active state are left in irq->request. Who has to know what became of an interrupt there
 * waits until that CPU has folded (vgic_settle()). While it waits it holds no lock that the other
 * could need, and its own list registers are folded: nobody waits for one who waits.
 *
 * Locks: the VM's device_lock, then vgic.lock, then run-queue locks (by vcpu_wake()).
 * Manual: IHI 0069, "Interrupt handling and prioritization"; IHI 0048 for GICv2.
 */
#include "exercise.h"
#include "el2_boot.h"
#include "internal.h"

struct vgic_irq *vgic_irq_find(struct vcpu *vcpu, u32 intid)
{
	if (intid < GIC_PRIVATE_COUNT)
		return &vcpu->vgic.private_irqs[intid];
	return &vcpu->vm->vgic.spis[intid - GIC_PRIVATE_COUNT];
}

/*
 * vgic_irq_is_pending(): see internal.h. A latch counts wherever it is, in memory or moved to a
 * list register (latch_in_lr), and so does any requester of a GICv2 SGI.
 */
EXERCISE(3.2)
bool vgic_irq_is_pending(const struct vgic_irq *irq)
{
	if (irq->pending_latch || irq->latch_in_lr || irq->sources)
		return true;
	return irq->line_level && (!irq->edge || irq->hw);
}

bool vgic_irq_is_forwarded(const struct vm *vm, const struct vgic_irq *irq)
{
	u32 group = irq->group1 ? GICD_CTLR_ENABLE_GRP1 : GICD_CTLR_ENABLE_GRP0;

	return irq->enabled && (vm->vgic.ctlr & group) && vgic_irq_is_pending(irq);
}

/*
 * GICD_IROUTER with Interrupt_Routing_Mode 1: any CPU. The first that is on will do. Not inlined:
 * it takes locks, and interrupts that say where they go should not pay for that.
 */
EXERCISE_PRIVATE(3.3)
static __attribute__((noinline)) struct vcpu *vgic_any_vcpu(struct vm *vm)
{
	u32 index = 0;

	while (index + 1 < vm->vcpu_count && vcpu_is_off(vm->vcpus[index]))
		index++;
	return vm->vcpus[index];
}

/*
 * vgic_target_vcpu(): an SGI or PPI belongs to its owner, irq->vcpu. An SPI goes where irq->route
 * says:
 *  - GICv3: the value of GICD_IROUTER. It holds an affinity, of which our vCPUs use Aff0 alone, so
 *    it is the index of a vCPU; any other affinity names none. With Interrupt_Routing_Mode 1
 *    (GICD_IROUTER_MODE) any CPU may have it: the first that is not vcpu_is_off(), or the last.
 *  - GICv2: the byte of GICD_ITARGETSR, a set of CPU interfaces, of which the lowest takes it; an
 *    empty set is nobody. A GICv2 with one CPU has no choice, whatever the byte (IHI 0048,
 *    "GICD_ITARGETSRn": RAZ/WI in a uniprocessor implementation).
 */
EXERCISE(3.3)
struct vcpu *vgic_target_vcpu(struct vm *vm, const struct vgic_irq *irq)
{
	u64 index = irq->route;

	if (irq->intid < GIC_PRIVATE_COUNT)
		return irq->vcpu;
	if (gic->version == 2 && vm->vcpu_count == 1)
		index = 0;
	else if (gic->version == 2)
		index = irq->route ? (u64)__builtin_ctzl(irq->route) : VCPU_MAX;
	else if (irq->route & GICD_IROUTER_MODE)
		return vgic_any_vcpu(vm);
	return index < vm->vcpu_count ? vm->vcpus[index] : NULL;
}

/*
 * vgic_target_oracle(): see internal.h. An interrupt that software made active without anybody
 * acknowledging it (ISACTIVER) may be an SPI with no vCPU yet: it belongs where it is routed.
 */
EXERCISE(3.3)
struct vcpu *vgic_target_oracle(struct vm *vm, const struct vgic_irq *irq)
{
	if (!irq->active && !vgic_irq_is_forwarded(vm, irq))
		return NULL;
	if (irq->active && irq->vcpu)
		return irq->vcpu;
	return vgic_target_vcpu(vm, irq);
}

EXERCISE_PRIVATE(3.3)
static void vgic_irq_insert(struct vcpu *vcpu, struct vgic_irq *irq)
{
	struct list *node;

	list_for_each (node, &vcpu->vgic.ap_list) {
		const struct vgic_irq *other = container_of(node, struct vgic_irq, node);

		if (other->listed_priority > irq->priority ||
		    (other->listed_priority == irq->priority && other->intid > irq->intid))
			break;
	}
	irq->listed_priority = irq->priority;
	list_insert_before(node, &irq->node);
}

/*
 * vgic_irq_relist(): ascending by priority value, equal ones by INTID, each where its
 * listed_priority puts it. An interrupt that stands there already, and whose priority is still
 * that, is not moved; one whose priority has changed is. irq->vcpu of an SPI follows, NULL when it
 * is on no list; that of an SGI or PPI is its owner for ever.
 */
EXERCISE(3.3)
struct vcpu *vgic_irq_relist(struct vm *vm, struct vgic_irq *irq)
{
	struct vcpu *target;

	if (irq->lr != VGIC_NO_LR)
		return irq->vcpu;
	target = vgic_target_oracle(vm, irq);
	if (!list_is_empty(&irq->node)) {
		if (target == irq->vcpu && irq->listed_priority == irq->priority)
			return target;
		list_remove(&irq->node);
	}
	if (irq->intid >= GIC_PRIVATE_COUNT)
		irq->vcpu = target;
	if (target)
		vgic_irq_insert(target, irq);
	return target;
}

void vgic_irq_relist_folded(struct vcpu *vcpu, struct vgic_irq *irq)
{
	struct vcpu *target = vgic_irq_relist(vcpu->vm, irq);

	if (target && target != vcpu)
		vgic_notify(target);
}

void vgic_irq_update(struct vm *vm, struct vgic_irq *irq)
{
	struct vcpu *target = vgic_irq_relist(vm, irq);

	if (target)
		vgic_notify(target);
}

/*
 * A vCPU that runs looks for itself before it enters its guest; on another CPU it has to be made
 * to. One that waits in WFI is woken only if the interrupt would be signalled to it: its interface
 * is in memory, or still in the hardware of a CPU that idles.
 */
void vgic_notify(struct vcpu *vcpu)
{
	bool waits_here = vgic_is_here(vcpu) && vcpu->state == VCPU_BLOCKED;

	vcpu_make_request(vcpu, REQ_VGIC);
	if (waits_here) {
		vgic_pull(vcpu);
		gic->save(&vcpu->vgic);
	}
	if ((vcpu->vgic.resident && !waits_here) || vgic_would_signal(vcpu->vm, vcpu))
		vcpu_wake(vcpu);
}

/*
 * While a list register holds @irq its active state in memory is not the truth: leave a request
 * (VGIC_IRQ_ACTIVATE, VGIC_IRQ_DEACTIVATE), which vgic_irq_merge() carries out. So does a hw
 * interrupt whose vCPU is resident on another CPU, for vgic_resample(): only that CPU reaches its
 * physical PPI. When a hw interrupt of a vCPU that is here ends, the physical one is deactivated
 * (gic->set_active()); of one that is resident nowhere, layer 4 sets the physical state when it is
 * loaded. A guest's write to ISACTIVER never makes the physical interrupt active: only EL2's own
 * acknowledge does, which layer 4 knows of. Otherwise one VM could leave it active and the next
 * one's timer dead. @vcpu is NULL for an SPI on no list.
 */
EXERCISE(3.2)
void vgic_irq_set_active(struct vcpu *vcpu, struct vgic_irq *irq, bool active)
{
	bool elsewhere = irq->hw && vcpu->vgic.resident && !vgic_is_here(vcpu);

	if (irq->lr != VGIC_NO_LR || elsewhere) {
		irq->request = active ? VGIC_IRQ_ACTIVATE : VGIC_IRQ_DEACTIVATE;
		vgic_notify(vcpu);
		return;
	}
	irq->request = VGIC_IRQ_NO_REQUEST;
	irq->active = active;
	if (irq->hw && !active && vgic_is_here(vcpu))
		gic->set_active(irq->pintid, false);
}

/*
 * vgic_set_line(): under vgic.lock. A VM that has ended has no SPIs any more (vgic.spis is NULL):
 * nothing happens. A level that does not change changes nothing; a rising one latches an
 * edge-triggered interrupt that is not hw. Ends in vgic_irq_update().
 *
 * A hw line only rises here: that it fell shows when the list register is folded. So it is pulled
 * first, or the completion of the last interrupt would be taken for the end of this one.
 */
EXERCISE(3.2)
void vgic_set_line(struct vcpu *vcpu, u32 intid, bool level)
{
	struct vm *vm = vcpu->vm;
	struct vgic_irq *irq;

	spin_lock(&vm->vgic.lock);
	if (!vm->vgic.spis) { /* the VM has ended */
		spin_unlock(&vm->vgic.lock);
		return;
	}
	irq = vgic_irq_find(vcpu, intid);
	if (irq->hw)
		vgic_pull(vcpu);
	if (irq->line_level != level) {
		irq->line_level = level;
		if (level && irq->edge && !irq->hw)
			irq->pending_latch = true;
		vgic_irq_update(vm, irq);
	}
	spin_unlock(&vm->vgic.lock);
}

void vgic_map_hw(struct vcpu *vcpu, u32 intid, u32 pintid, bool (*is_asserted)(struct vcpu *))
{
	struct vgic_irq *irq = vgic_irq_find(vcpu, intid);

	spin_lock(&vcpu->vm->vgic.lock);
	vcpu->vgic.hw_mask |= 1U << intid;
	irq->hw = true;
	irq->pintid = (u16)pintid;
	irq->is_asserted = is_asserted;
	spin_unlock(&vcpu->vm->vgic.lock);
}

bool vgic_is_live(struct vcpu *vcpu, u32 intid)
{
	const struct vgic_irq *irq = &vcpu->vgic.private_irqs[intid];
	bool live;

	spin_lock(&vcpu->vm->vgic.lock);
	if (vcpu->vgic.loaded)
		vgic_pull(vcpu);
	live = irq->active || vgic_irq_is_pending(irq);
	spin_unlock(&vcpu->vm->vgic.lock);
	return live;
}

/*
 * Group priority of an interrupt (IHI 0069, "Priority grouping"): ICV_BPR0_EL1 cuts off its lowest
 * BPR + 1 bits; ICV_BPR1_EL1 counts from one, unless ICV_CTLR_EL1.CBPR makes BPR0 serve both.
 */
EXERCISE_PRIVATE(3.8)
static u32 vgic_group_priority(u64 vmcr, const struct vgic_irq *irq)
{
	u32 cut = ((vmcr >> ICH_VMCR_EL2_VBPR0_SHIFT) & 7) + 1;

	if (irq->group1 && !(vmcr & ICH_VMCR_EL2_VCBPR))
		cut = (vmcr >> ICH_VMCR_EL2_VBPR1_SHIFT) & 7;
	return irq->priority & (0xffU << cut);
}

/*
 * What the virtual interface would do if it were in the hardware, from vcpu->vgic and memory: true
 * when some interrupt of the ap_list is forwarded and not active, its group is enabled at the
 * interface (VENG0, VENG1), its priority is higher than the mask (a smaller number than VPMR), and
 * its group priority higher than the running priority (IHI 0069, "Interrupt prioritization",
 * "Preemption").
 *
 * Running priority: with five bits of preemption level bit n of the active-priority registers, of
 * both groups together, stands for n << 3; the lowest bit that is set counts. None set: idle,
 * lower than any priority.
 *
 * Group priority ("Priority grouping"): the priority with its lowest bits, the subpriority, taken
 * as zero. For Group 0 these are VBPR0 + 1 bits. For Group 1 they are VBPR1 bits, since its binary
 * point counts from one; with VCBPR set, VBPR0 serves both groups.
 */
EXERCISE(3.8)
bool vgic_would_signal(const struct vm *vm, const struct vcpu *vcpu)
{
	u64 vmcr = vcpu->vgic.vmcr;
	u32 mask = (vmcr >> ICH_VMCR_EL2_VPMR_SHIFT) & 0xff;
	u32 levels = (u32)(vcpu->vgic.ap0r | vcpu->vgic.ap1r);
	u32 running = levels ? (u32)__builtin_ctz(levels) << 3 : 0x100;
	struct list *node;

	list_for_each (node, &vcpu->vgic.ap_list) {
		const struct vgic_irq *irq = container_of(node, struct vgic_irq, node);
		u64 group = irq->group1 ? ICH_VMCR_EL2_VENG1 : ICH_VMCR_EL2_VENG0;

		if (irq->active || !vgic_irq_is_forwarded(vm, irq) || !(vmcr & group))
			continue;
		if (irq->priority < mask && vgic_group_priority(vmcr, irq) < running)
			return true;
	}
	return false;
}

bool vgic_has_deliverable(struct vcpu *vcpu)
{
	bool deliverable;

	spin_lock(&vcpu->vm->vgic.lock);
	vgic_pull(vcpu);
	if (vgic_is_here(vcpu))
		gic->save(&vcpu->vgic);
	deliverable = vgic_would_signal(vcpu->vm, vcpu);
	spin_unlock(&vcpu->vm->vgic.lock);
	return deliverable;
}
