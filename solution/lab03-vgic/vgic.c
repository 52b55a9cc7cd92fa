// SPDX-License-Identifier: MIT
/*
 * The state of virtual interrupts, and the vCPU at which each belongs.
 *
 * Memory is the truth: struct vgic_irq says whether an interrupt is pending, active, enabled. Each
 * vCPU has one ap_list, ordered by priority: the interrupts that are active there, and those that
 * wait to be delivered there. vgic_target_oracle() alone decides on which ap_list an interrupt
 * belongs. Whatever changes an interrupt ends in vgic_irq_update(), which asks the oracle and moves
 * it.
 *
 * List registers are a cache (vgic_lr.c), which other CPUs cannot read while the vCPU runs. They
 * change memory and have its CPU fold and refill. Nothing is lost: what a list register took over
 * was moved out of memory (pending_latch to latch_in_lr), and a change of the active state waits in
 * irq->request. A CPU that has to know what became of such an interrupt waits until the other one
 * has folded (vgic_settle()). Meanwhile it holds no lock that the other could need, and has folded
 * its own list registers: no CPU waits for one that waits.
 *
 * Locks: the VM's device_lock, then vgic.lock, then run-queue locks (by vcpu_wake()).
 * Manual: IHI 0069, "Interrupt handling and prioritization"; IHI 0048 for GICv2.
 */
#include "exercise.h"
#include "el2_boot.h"
#include "internal.h"

/*
 * Exercise 3.2: whether @irq is pending, or active and pending.
 *
 * A latch makes it pending: pending_latch in memory, latch_in_lr where a list register took it
 * over. So does a requester of a GICv2 SGI (sources). A level-sensitive interrupt is also pending
 * while its line is up (IHI 0069, "Interrupt handling state machine"); so is a hw interrupt of
 * either kind.
 */
EXERCISE(3.2)
bool vgic_irq_is_pending(const struct vgic_irq *irq)
{
	if (irq->pending_latch || irq->latch_in_lr || irq->sources)
		return true;
	return irq->line_level && (!irq->edge || irq->hw);
}

/*
 * Of the vCPUs in @set, where bit n is vCPU n, the first that is not off, or the first; NULL: there is
 * none. Not inlined: it takes locks, for which an interrupt that names its vCPU should not pay.
 */
EXERCISE_PRIVATE(3.3)
static __attribute__((noinline)) struct vcpu *vgic_first_on(struct vm *vm, u64 set)
{
	set &= BIT(vm->vcpu_count) - 1;
	for (u64 rest = set; rest; rest &= rest - 1) {
		struct vcpu *vcpu = vm->vcpus[__builtin_ctzl(rest)];

		if (!vcpu_is_off(vcpu))
			return vcpu;
	}
	return set ? vm->vcpus[__builtin_ctzl(set)] : NULL;
}

/*
 * Exercise 3.3: the vCPU that @irq is for, or NULL.
 *
 * An SGI or PPI is for its owner, irq->vcpu. An SPI is for the vCPU that irq->route names:
 *  - GICv3: the value of GICD_IROUTER<n>, an affinity. Our vCPUs use Aff0 alone, so the value is
 *    the index of a vCPU; any other names none. With Interrupt_Routing_Mode 1 (GICD_IROUTER_MODE)
 *    any vCPU may have it: the first that is not vcpu_is_off() takes it, or the first of all.
 *  - GICv2: its byte of GICD_ITARGETSR<n>, a set of CPU interfaces. Of several, too, the first that
 *    is not vcpu_is_off() takes it, or the first; an empty set names none. A VM of one vCPU has no choice, whatever the byte says (IHI 0048,
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
	else if (gic->version == 2 && irq->route & (irq->route - 1))
		return vgic_first_on(vm, irq->route);
	else if (gic->version == 2)
		index = irq->route ? (u64)__builtin_ctzl(irq->route) : VCPU_MAX;
	else if (irq->route & GICD_IROUTER_MODE)
		return vgic_first_on(vm, ~0UL);
	return index < vm->vcpu_count ? vm->vcpus[index] : NULL;
}

/*
 * Exercise 3.3: the vCPU on whose ap_list @irq belongs, or NULL.
 *
 * An active interrupt belongs where it was acknowledged, irq->vcpu. That is NULL for an SPI which
 * software made active (ISACTIVER) while it was on no ap_list: it belongs to vgic_target_vcpu(). So
 * does an interrupt that vgic_irq_is_forwarded(). Any other belongs nowhere.
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
 * Exercise 3.3: put @irq on the ap_list where vgic_target_oracle() wants it, or on none.
 *
 * While a list register holds the interrupt (irq->lr), it stays where it is: only the fold tells
 * its state. An ap_list ascends by listed_priority, among equal ones by INTID. An interrupt that is
 * on the right ap_list already, and whose listed_priority is its priority, is not moved. One that
 * is moved takes its priority for its listed_priority. irq->vcpu of an SPI follows, NULL on no
 * ap_list; that of an SGI or PPI is its owner for ever.
 *
 * Return: the vCPU on whose ap_list it is now, or NULL.
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

struct vcpu *vgic_irq_relist_folded(struct vcpu *vcpu, struct vgic_irq *irq)
{
	struct vcpu *target;

	spin_assert_held(&vcpu->vm->vgic.lock);
	target = vgic_irq_relist(vcpu->vm, irq);
	if (target && target != vcpu)
		vgic_notify(target);
	return target;
}

void vgic_irq_update(struct vm *vm, struct vgic_irq *irq)
{
	struct vcpu *target;

	spin_assert_held(&vm->vgic.lock);
	vgic_irq_pull(irq);
	if (irq->lr != VGIC_NO_LR) { /* of another CPU, which has to fold it */
		irq->changed = true;
		vgic_notify(irq->vcpu);
		return;
	}
	target = vgic_irq_relist(vm, irq);
	if (!target)
		return;
	if (vgic_takes_at_once(target))
		vgic_put(target, irq);
	else
		vgic_notify(target);
}

void vgic_irq_latched(struct vm *vm, struct vgic_irq *irq)
{
	if (!vgic_latches_in_place(vm, irq))
		vgic_irq_update(vm, irq);
	else if (!vcpu_runs_here(irq->vcpu))
		vgic_notify(irq->vcpu);
	else if (vgic_is_quiet(irq->vcpu))
		vgic_latch_in_place(irq);
	else
		vgic_irq_update(vm, irq);
}

/*
 * A vCPU that runs looks at its requests before it enters its guest; on another CPU it has to be
 * kicked first. vcpu_kick() may count on vgic.lock: vgic_has_deliverable() and vgic_vcpu_load() take it,
 * too. One that sleeps in WFI wakes up only for an interrupt that would be signalled to it. Its
 * interface, which tells, is in memory, or still in the hardware of this CPU, which idles.
 */
void vgic_notify(struct vcpu *vcpu)
{
	bool waits_here;

	vcpu_make_request(vcpu, REQ_VGIC);
	if (vcpu_kick(vcpu))
		return;
	waits_here = vgic_is_here(vcpu) && vcpu_state(vcpu) == VCPU_BLOCKED;
	if (waits_here) {
		vgic_pull(vcpu);
		gic->save(&vcpu->vgic);
	}
	if ((vcpu->vgic.resident && !waits_here) || vgic_would_signal(vcpu->vm, vcpu))
		vcpu_wake(vcpu);
}

/*
 * Exercise 3.2: make @irq active or inactive.
 *
 * Two cases are the business of the CPU that runs @vcpu: a list register holds @irq, so its active
 * state in memory is not the truth; or @irq is hw and @vcpu is resident but not here, so only that
 * CPU reaches the physical PPI. Then leave a request (VGIC_IRQ_ACTIVATE, VGIC_IRQ_DEACTIVATE) for
 * its next fold, and vgic_notify(). Otherwise the change takes effect now, and no request remains.
 * When a hw interrupt of a vCPU that is here (vgic_is_here()) is made inactive, the physical one is,
 * too (gic->set_active()), whether @irq was active or not.
 *
 * A write to ISACTIVER never makes the physical interrupt active: a VM could leave it so, and the
 * next VM's timer dead.
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
 * Exercise 3.2: the input line of @intid is at @level. All under vgic.lock.
 *
 * When the VM has ended (vgic.spis is NULL), nothing happens; nor does it when the level is the one
 * that it was, unless the interrupt is hw. Otherwise line_level changes, a rising level sets
 * pending_latch of an edge-triggered interrupt that is not hw, and vgic_irq_update() follows.
 *
 * A hw interrupt alone: a list register may still hold its last instance, which the guest has
 * completed, and whose fold lowers line_level. So vgic_irq_pull() goes first, or that fold would take
 * this instance away; and the rest follows even when the level is the one that it was.
 */
EXERCISE(3.2)
void vgic_set_line(struct vcpu *vcpu, u32 intid, bool level)
{
	struct vm *vm = vcpu->vm;
	struct vgic_irq *irq;

	spin_lock(&vm->vgic.lock);
	if (!vm->vgic.spis) {
		spin_unlock(&vm->vgic.lock);
		return;
	}
	irq = vgic_irq_find(vcpu, intid);
	if (irq->hw)
		vgic_irq_pull(irq);
	if (irq->line_level != level || irq->hw) {
		irq->line_level = level;
		if (level && irq->edge && !irq->hw)
			irq->pending_latch = true;
		vgic_irq_update(vm, irq);
	}
	spin_unlock(&vm->vgic.lock);
}

void vgic_spi_line(struct vm *vm, u32 intid, bool level)
{
	vgic_set_line(vm->vcpus[0], intid, level);
}

void vgic_watch_spi(struct vm *vm, u32 intid, bool (*resample)(struct vm *vm, u32 intid))
{
	spin_lock(&vm->vgic.lock);
	vgic_irq_find(vm->vcpus[0], intid)->resample = resample;
	spin_unlock(&vm->vgic.lock);
}

void vgic_resample_spi(struct vm *vm, u32 intid)
{
	struct vgic_irq *irq;

	spin_lock(&vm->vgic.lock);
	irq = vgic_irq_find(vm->vcpus[0], intid);
	if (irq->resample) {
		irq->line_level = irq->resample(vm, intid);
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

/* IHI 0069, "Priority grouping". */
EXERCISE_PRIVATE(3.8)
static u32 vgic_group_priority(u64 vmcr, const struct vgic_irq *irq)
{
	u32 cut = ((vmcr >> ICH_VMCR_EL2_VBPR0_SHIFT) & 7) + 1;

	if (irq->group1 && !(vmcr & ICH_VMCR_EL2_VCBPR))
		cut = (vmcr >> ICH_VMCR_EL2_VBPR1_SHIFT) & 7;
	return irq->priority & (0xffU << cut);
}

/*
 * Exercise 3.8: whether the virtual interface would signal an interrupt to @vcpu, whose state is
 * all in memory: some interrupt on its ap_list is forwarded and not active; its group is enabled at
 * the interface (VENG0, VENG1 in vgic.vmcr); its priority is higher than the mask (a smaller number
 * than VPMR); its group priority is higher than the running priority (IHI 0069, "Interrupt
 * prioritization", "Preemption").
 *
 * Running priority: with five bits of preemption level, bit n of the active-priority registers
 * (ap0r and ap1r together) stands for priority n << 3. The lowest bit that is set counts; none:
 * idle, lower than any priority.
 *
 * Group priority: the priority with its lowest bits, the subpriority, taken as zero (IHI 0069,
 * "Priority grouping"). For Group 0 these are VBPR0 + 1 bits. For Group 1 they are VBPR1 bits,
 * since its binary point counts from one; with VCBPR, VBPR0 serves both groups.
 */
EXERCISE(3.8)
bool vgic_would_signal(const struct vm *vm, const struct vcpu *vcpu)
{
	u64 vmcr = vcpu->vgic.vmcr;
	u32 mask = (vmcr >> ICH_VMCR_EL2_VPMR_SHIFT) & 0xff;
	u32 levels = (u32)(vcpu->vgic.ap0r | vcpu->vgic.ap1r);
	u32 running = levels ? (u32)__builtin_ctz(levels) << 3 : 0x100;
	struct list *node;

	spin_assert_held(&vm->vgic.lock);
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
