// SPDX-License-Identifier: MIT
/*
 * List registers: a cache of the head of each vCPU's ap_list.
 *
 * vgic_flush() fills them from memory before the guest is entered; vgic_fold() reads back what the
 * guest made of them. In between, one interrupt that changes on the CPU of its vCPU is folded alone and
 * goes into a free list register at once (vgic_irq_fold(), vgic_put()): the others need not be looked
 * at for that. Folding is lazy: an exit that asks nothing of the interrupt controller leaves list
 * registers in the hardware and pays nothing. A guest changes a list register only by
 * acknowledging (pending to active) and by completing (active to inactive). So
 *  - a pending state that is gone was acknowledged: the latch behind latch_in_lr is used up
 *  - a hw interrupt that is inactive was completed: the hardware has deactivated the physical one,
 *    if it can
 * The line of a level-sensitive interrupt stays in memory. When the guest completes such an
 * interrupt while the line is up, a maintenance interrupt (EOI) leads back here, and the interrupt
 * is pending again.
 *
 * Locks: vgic_flush() takes vgic.lock; the callers of all others hold it. Head of vgic.c.
 * Manual: IHI 0069, "ICH_LR<n>_EL2", "Usage model for the List registers".
 */
#include "exercise.h"
#include "el2_boot.h"
#include "internal.h"

/* What the guest's completion of @irq does: @more is to come then. */
EXERCISE_PRIVATE(3.3)
static u64 vgic_encode_completion(const struct vgic_irq *irq, bool more)
{
	if (irq->hw && gic->completes_hw)
		return ICH_LR_EL2_HW | (u64)irq->pintid << ICH_LR_EL2_PINTID_SHIFT;
	return irq->hw || more ? ICH_LR_EL2_EOI : 0;
}

/* Of a GICv2 SGI. */
EXERCISE_PRIVATE(3.3)
static u64 vgic_encode_source(struct vgic_irq *irq)
{
	u64 lr = ICH_LR_EL2_STATE_ACTIVE;

	if (!irq->active) {
		irq->active_source = (u8)__builtin_ctz(irq->sources);
		irq->sources &= (u8) ~(1 << irq->active_source);
		irq->latch_in_lr = true;
		lr = ICH_LR_EL2_STATE_PENDING;
	}
	lr |= (u64)irq->active_source << ICH_LR_EL2_SOURCE_SHIFT;
	return lr | vgic_encode_completion(irq, irq->sources);
}

EXERCISE_PRIVATE(3.3)
static u64 vgic_encode_pending(struct vgic_irq *irq)
{
	irq->latch_in_lr = irq->pending_latch;
	irq->pending_latch = false;
	return ICH_LR_EL2_STATE_PENDING;
}

EXERCISE_PRIVATE(3.3)
static u64 vgic_encode_active(struct vcpu *vcpu, struct vgic_irq *irq)
{
	bool forwarded = vgic_irq_is_forwarded(vcpu->vm, irq);
	bool stays = vgic_target_vcpu(vcpu->vm, irq) == vcpu;
	bool line = !irq->edge && irq->line_level;
	u64 lr = ICH_LR_EL2_STATE_ACTIVE;

	if (forwarded && stays && !irq->hw && !(line && vgic_irq_is_watched(irq)))
		lr |= vgic_encode_pending(irq);
	return lr | vgic_encode_completion(irq, forwarded && (line || !stays));
}

/*
 * Exercise 3.3: the value of a list register of @vcpu that takes @irq over.
 *
 * INTID, group, priority; the state is active if the interrupt is, and pending if it
 * vgic_irq_is_forwarded(). Active and pending together is for interrupts that become pending by the
 * guest's completion alone. An active one goes without pending if it is hw (its pending state is
 * the distributor's: "ICH_LR<n>_EL2", State), a GICv2 SGI, by now another vCPU's
 * (vgic_target_vcpu()), or level-sensitive with a line that is up and watched
 * (vgic_irq_is_watched()): the handler is about to make the device quiet, and pending would be an
 * interrupt that nobody raised. Where pending goes, the latch moves from pending_latch to latch_in_lr.
 *
 * GICv2 SGI (vgic_irq_counts_sources()): the list register takes one requester, at
 * ICH_LR_EL2_SOURCE_SHIFT. An active SGI has it in active_source. One that is not active is pending
 * from the lowest requester in sources, which moves to active_source, and latch_in_lr is set. The
 * next requester may be another CPU: it waits for the completion.
 *
 * HW with the physical INTID: a hw interrupt, if gic->completes_hw. EOI, which asks for a
 * maintenance interrupt at completion: any other that has something to come then. That is
 *  - a hw interrupt
 *  - one that is forwarded, and level-sensitive with its line up
 *  - one that is forwarded, and by now another vCPU's
 *  - a GICv2 SGI with requesters left
 */
EXERCISE(3.3)
static u64 vgic_encode(struct vcpu *vcpu, struct vgic_irq *irq)
{
	u64 lr = irq->intid | (u64)irq->priority << ICH_LR_EL2_PRIORITY_SHIFT;

	if (irq->group1)
		lr |= ICH_LR_EL2_GROUP;
	if (vgic_irq_counts_sources(irq))
		return lr | vgic_encode_source(irq);
	if (irq->active)
		return lr | vgic_encode_active(vcpu, irq);
	/* It is on the ap_list because it is forwarded to this vCPU. */
	lr |= vgic_encode_pending(irq);
	return lr | vgic_encode_completion(irq, !irq->edge && irq->line_level);
}

void vgic_put(struct vcpu *vcpu, struct vgic_irq *irq)
{
	struct vgic_cpu *interface = &vcpu->vgic;
	u64 lr = vgic_encode(vcpu, irq);
	unsigned n = (unsigned)__builtin_ctz(interface->lr_free);

	irq->lr = (u8)n;
	irq->changed = false;
	interface->lr[n] = lr;
	interface->lr_used |= 1U << n;
	interface->lr_free &= ~(1U << n);
	gic->write_lr(n, lr);
}

/*
 * Whatever the guest has made of the list register: one that is pending stays so, one that is active
 * will be pending once more, one that was completed is pending anew.
 */
void vgic_latch_in_place(struct vgic_irq *irq)
{
	u64 lr = gic->read_lr(irq->lr) | ICH_LR_EL2_STATE_PENDING;

	irq->pending_latch = false;
	irq->sources = 0;
	irq->latch_in_lr = true;
	irq->vcpu->vgic.lr[irq->lr] = lr;
	gic->write_lr(irq->lr, lr);
}

/*
 * Exercise 3.3: fill the list registers of this CPU from the ap_list of @vcpu, which is folded.
 *
 * At first vgic_free_lrs(). Each interrupt gets a list register by vgic_put(). If the ap_list has more
 * than gic->lr_count, vgic_choose_overflow() picks; then vgic.lr_free becomes 0, since what is left
 * out comes first. A list register that was filled before (vgic.lr_used as it was) and is not needed
 * now becomes zero, in vgic.lr[] too.
 *
 * Return: the maintenance interrupts to ask for, which vgic_choose_overflow() names; else 0.
 */
EXERCISE(3.3)
static __attribute__((noinline)) u64 vgic_flush_ap_list(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;
	struct vgic_irq *chosen[VGIC_LR_MAX];
	u32 used = interface->lr_used;
	u64 maintenance = 0;
	unsigned count = 0;
	struct list *node;

	list_for_each (node, &interface->ap_list) {
		if (count == gic->lr_count) {
			maintenance = vgic_choose_overflow(vcpu, chosen, gic->lr_count, &count);
			break;
		}
		chosen[count++] = container_of(node, struct vgic_irq, node);
	}
	vgic_free_lrs(vcpu);
	for (unsigned n = 0; n < count; n++)
		vgic_put(vcpu, chosen[n]);
	for (unsigned n = count; used >> n; n++) {
		interface->lr[n] = 0;
		gic->write_lr(n, 0);
	}
	if (maintenance)
		interface->lr_free = 0;
	return maintenance;
}

/*
 * @vcpu is folded. ICH_HCR_EL2 is written if it changes; with LRENPIE always, since the write resets
 * EOIcount.
 */
static void vgic_refill(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;
	u64 hcr = vgic_quiet_hcr(vcpu);

	vgic_resample(vcpu);
	vgic_set_loaded(interface, true);
	/* Nearly always nothing is to be delivered: a world switch pays for no more than this. */
	if (!list_is_empty(&interface->ap_list) || interface->lr_used)
		hcr |= vgic_flush_ap_list(vcpu);
	if (interface->hcr != hcr || hcr & ICH_HCR_EL2_LRENPIE) {
		interface->hcr = hcr;
		gic->write_hcr(hcr);
	}
}

/*
 * The list registers have room for the whole ap_list: those interrupts that have changed get theirs
 * written anew, those without one get a free one. Return: whether there is room for all still.
 */
static bool vgic_refill_changed(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;
	struct list *node, *next;

	vgic_resample(vcpu);
	for (node = interface->ap_list.next; node != &interface->ap_list; node = next) {
		struct vgic_irq *irq = container_of(node, struct vgic_irq, node);

		next = node->next;
		if (irq->lr != VGIC_NO_LR && !irq->changed) {
			if ((irq->pending_latch || irq->sources) &&
			    vgic_latches_in_place(vcpu->vm, irq))
				vgic_latch_in_place(irq);
			continue;
		}
		if (irq->lr != VGIC_NO_LR) {
			vgic_irq_fold(irq);
			if (vgic_irq_relist_folded(vcpu, irq) != vcpu)
				continue;
		}
		if (!interface->lr_free)
			return false;
		vgic_put(vcpu, irq);
	}
	return true;
}

void vgic_flush(struct vcpu *vcpu)
{
	struct spinlock *lock = &vcpu->vm->vgic.lock;
	struct vgic_cpu *interface = &vcpu->vgic;
	bool done = false;

	spin_lock(lock);
	if (interface->loaded) {
		done = vgic_is_quiet(vcpu) && vgic_refill_changed(vcpu);
		if (!done)
			vgic_fold(vcpu);
		__atomic_store_n(&interface->refills, interface->refills + 1, __ATOMIC_RELAXED);
	}
	if (!done)
		vgic_refill(vcpu);
	spin_unlock(lock);
}

/*
 * Exercise 3.4: take over what the guest made of @irq, whose list register has the value @lr.
 *
 * No list register holds the interrupt any more (irq->lr), and none its latch (latch_in_lr). Its
 * active state is what @lr says. If @lr still is pending, a latch that was there comes back:
 * pending_latch, or for a GICv2 SGI its active_source in sources. The line_level of a hw interrupt
 * is up exactly if @lr is pending. If @lr of a hw interrupt is neither pending nor active, the
 * guest has completed it, and without gic->completes_hw the physical one becomes inactive here
 * (gic->set_active()). One that is not hw, and whose list register asked to be told of its completion
 * (EOI), has its line sampled when it is not pending any more: vgic_irq_resample().
 *
 * Then a request that was left meanwhile is carried out by vgic_irq_set_active().
 */
EXERCISE(3.4)
static void vgic_irq_merge(struct vcpu *vcpu, struct vgic_irq *irq, u64 lr)
{
	bool pending = lr & ICH_LR_EL2_STATE_PENDING;

	irq->lr = VGIC_NO_LR;
	irq->active = lr & ICH_LR_EL2_STATE_ACTIVE;
	if (pending && irq->latch_in_lr && vgic_irq_counts_sources(irq))
		irq->sources |= (u8)(1 << irq->active_source);
	else if (pending && irq->latch_in_lr)
		irq->pending_latch = true;
	irq->latch_in_lr = false;
	if (irq->hw) {
		irq->line_level = pending;
		if (!pending && !irq->active && !gic->completes_hw)
			gic->set_active(irq->pintid, false);
	} else if (lr & ICH_LR_EL2_EOI && !pending) {
		vgic_irq_resample(vcpu->vm, irq);
	}
	if (irq->request != VGIC_IRQ_NO_REQUEST)
		vgic_irq_set_active(vcpu, irq, irq->request == VGIC_IRQ_ACTIVATE);
}

void vgic_irq_fold(struct vgic_irq *irq)
{
	struct vcpu *vcpu = irq->vcpu;
	struct vgic_cpu *interface = &vcpu->vgic;
	unsigned n = irq->lr;
	u64 lr;

	if (!vgic_is_quiet(vcpu)) {
		vgic_pull(vcpu);
		return;
	}
	lr = gic->read_lr(n);
	gic->write_lr(n, 0);
	interface->lr[n] = 0;
	interface->lr_used &= ~(1U << n);
	interface->lr_free |= 1U << n;
	vgic_irq_merge(vcpu, irq, lr);
}

/* Not inlined, for the same reason as vgic_sample(). */
EXERCISE_PRIVATE(3.4)
static __attribute__((noinline)) void vgic_fold_used(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;

	for (u32 used = interface->lr_used; used; used &= used - 1) {
		unsigned n = (unsigned)__builtin_ctz(used);
		u64 lr = gic->read_lr(n);
		struct vgic_irq *irq = vgic_irq_find(vcpu, lr & ICH_LR_EL2_VINTID_MASK);

		interface->lr[n] = lr;
		vgic_irq_merge(vcpu, irq, lr);
		vgic_irq_relist_folded(vcpu, irq);
	}
}

/*
 * Exercise 3.4: list registers of @vcpu, which is here and vgic.loaded, back into memory.
 *
 * If vgic.hcr has LRENPIE, vgic_retire_spilled() first accounts for completions of active
 * interrupts that have no list register. Then vgic.loaded ends (vgic_set_loaded()). Then each list register that was
 * filled (vgic.lr_used) is read, noted in vgic.lr[], and merged into the interrupt that its vINTID
 * names, which then goes through vgic_irq_relist_folded(). The list registers keep their contents, and vgic.lr_used its value, until vgic_flush().
 */
EXERCISE(3.4)
void vgic_fold(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;

	if (interface->hcr & ICH_HCR_EL2_LRENPIE)
		vgic_retire_spilled(vcpu);
	vgic_set_loaded(interface, false);
	if (interface->lr_used)
		vgic_fold_used(vcpu);
}

/* Not inlined: a world switch, which nearly always finds nothing here, saves no registers for it. */
EXERCISE_PRIVATE(3.4)
static __attribute__((noinline)) void vgic_sample(struct vcpu *vcpu, u32 mask)
{
	for (; mask; mask &= mask - 1) {
		struct vgic_irq *irq = &vcpu->vgic.private_irqs[__builtin_ctz(mask)];

		if (irq->request != VGIC_IRQ_NO_REQUEST)
			vgic_irq_set_active(vcpu, irq, irq->request == VGIC_IRQ_ACTIVATE);
		if (irq->line_level && !irq->is_asserted(vcpu)) {
			irq->line_level = false;
			if (!irq->active && !irq->pending_latch)
				gic->set_active(irq->pintid, false);
		}
		vgic_irq_relist(vcpu->vm, irq);
	}
}

/*
 * Exercise 3.4: sample the lines of those hw interrupts (vgic.hw_mask) of @vcpu, which is here, that
 * no list register holds.
 *
 * The line of one that is pending may have fallen: the guest reprogrammed its timer before it took
 * the interrupt. If line_level is up and is_asserted() says no, line_level falls. The physical
 * interrupt is still active, which would keep the next one from arriving: it becomes inactive
 * (gic->set_active()), unless the guest has the interrupt active or pending_latch is set.
 *
 * Before that, a request that another CPU left is carried out by vgic_irq_set_active(). After
 * either, relist.
 */
EXERCISE(3.4)
void vgic_resample(struct vcpu *vcpu)
{
	u32 some = 0;

	for (u32 mask = vcpu->vgic.hw_mask; mask; mask &= mask - 1) {
		const struct vgic_irq *irq = &vcpu->vgic.private_irqs[__builtin_ctz(mask)];

		if (!irq->line_level && !irq->request)
			continue;
		if (irq->lr == VGIC_NO_LR)
			some |= mask & -mask;
	}
	if (some)
		vgic_sample(vcpu, some);
}

/*
 * Exercise 3.4: if @vcpu is loaded here, fold, resample, and leave the refill to the entry
 * (REQ_VGIC). @vcpu may be NULL.
 */
EXERCISE(3.4)
void vgic_pull(struct vcpu *vcpu)
{
	if (!vcpu || !vcpu->vgic.loaded || !vgic_is_here(vcpu))
		return;
	spin_assert_held(&vcpu->vm->vgic.lock);
	vgic_fold(vcpu);
	vgic_resample(vcpu);
	vcpu_make_request(vcpu, REQ_VGIC);
}
