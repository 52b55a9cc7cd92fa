// SPDX-License-Identifier: MIT
/*
 * List registers: a cache of the head of each vCPU's ap_list.
 *
 * vgic_flush() fills them from memory before the guest is entered, vgic_fold() brings back what
 * the guest made of them. Folding is lazy: an exit that asks nothing of the interrupt controller
 * leaves them in the hardware and pays nothing. The guest changes a list register only by
 * acknowledging (pending to active) and completing (active to inactive), so
 *  - a pending state that is gone was acknowledged: what latch_in_lr stands for is used up
 *  - an hw interrupt that is inactive was completed: the hardware has deactivated the physical one,
 *    if it can
 * The line of a level-sensitive interrupt stays in memory; when the guest completes one whose line
 * is still up, the EOI maintenance interrupt brings it back here to be pending again.
 *
 * Locks: vgic.lock is held by every caller; head of vgic.c.
 * Manual: IHI 0069, "ICH_LR<n>_EL2", "Usage model for the List registers".
 */
#include "exercise.h"
#include "el2_boot.h"
#include "internal.h"

/*
 * A GICv2 SGI takes one of its requesters along. The next one may differ, so it cannot be "pending
 * and active" here: it comes after the completion of this one.
 */
EXERCISE_PRIVATE(3.3)
static u64 vgic_encode_source(struct vgic_irq *irq)
{
	u64 lr = 0;

	if (!irq->active) {
		irq->active_source = (u8)__builtin_ctz(irq->sources);
		irq->sources &= (u8) ~(1 << irq->active_source);
		irq->latch_in_lr = true;
		lr |= ICH_LR_EL2_STATE_PENDING;
	}
	return lr | (u64)irq->active_source << ICH_LR_EL2_SOURCE_SHIFT;
}

/*
 * Encode @irq for a list register of @vcpu, and move its latch there.
 *
 * State: active if it is; pending if it is forwarded. Both together only for what may become
 * pending by the guest's completion alone: not for hw (the pending state is then the
 * distributor's; "ICH_LR<n>_EL2", State), not for a GICv2 SGI, not when its vgic_target_vcpu() is
 * another vCPU by now. Pending moves the latch: what pending_latch says goes to latch_in_lr.
 *
 * GICv2 SGI (vgic_irq_counts_sources()): the list register takes one requester along, in bits from
 * ICH_LR_EL2_SOURCE_SHIFT. If it is active, that is active_source. If not, it is pending with the
 * lowest requester of sources, which moves from there to active_source, and latch_in_lr is set. The
 * next requester may differ, so it waits for the completion of this one.
 *
 * HW with the physical INTID for a hw interrupt where gic->completes_hw. EOI, which asks for a
 * maintenance interrupt on completion, on all others that have something to come: hw without
 * gic->completes_hw, always; a level that is forwarded with its line up; one that is forwarded and
 * belongs to another vCPU; a GICv2 SGI with requesters left.
 */
EXERCISE(3.3)
static u64 vgic_encode(struct vcpu *vcpu, struct vgic_irq *irq)
{
	bool forwarded = vgic_irq_is_forwarded(vcpu->vm, irq);
	bool stays = vgic_target_vcpu(vcpu->vm, irq) == vcpu;
	u64 lr = irq->intid | (u64)irq->priority << ICH_LR_EL2_PRIORITY_SHIFT;
	bool more = forwarded && ((!irq->edge && irq->line_level) || !stays);

	if (irq->group1)
		lr |= ICH_LR_EL2_GROUP;
	if (irq->active)
		lr |= ICH_LR_EL2_STATE_ACTIVE;
	if (vgic_irq_counts_sources(irq)) {
		lr |= vgic_encode_source(irq);
		more = irq->sources;
	} else if (forwarded && !(irq->active && (irq->hw || !stays))) {
		irq->latch_in_lr = irq->pending_latch;
		irq->pending_latch = false;
		lr |= ICH_LR_EL2_STATE_PENDING;
	}
	if (irq->hw && gic->completes_hw)
		lr |= ICH_LR_EL2_HW | (u64)irq->pintid << ICH_LR_EL2_PINTID_SHIFT;
	else if (irq->hw || more)
		lr |= ICH_LR_EL2_EOI;
	return lr;
}

/*
 * ICH_HCR_EL2 while every live interrupt of @vcpu has a list register. With other vCPUs around, one
 * of them may deactivate an SPI that is in a list register of ours (EOImode 1; IHI 0069,
 * "ICC_DIR_EL1"): its write must not be lost in its own interface, so it traps.
 */
static u64 vgic_quiet_hcr(const struct vcpu *vcpu)
{
	return ICH_HCR_EL2_EN | (vcpu->vm->vcpu_count > 1 ? ICH_HCR_EL2_TDIR : 0);
}

/*
 * Fill the list registers of this CPU with the interrupts of @vcpu's ap_list, from list
 * register 0 on; each irq knows its own (irq->lr), and vgic.lr[] keeps what was written. When
 * there are more than list registers, vgic_choose_overflow() picks and says which maintenance
 * interrupts to ask for in addition to vgic_quiet_hcr(). List registers that held something before
 * (vgic.lr_used, which then tells what is filled now) and are not needed become zero. ICH_HCR_EL2
 * is written when it differs from vgic.hcr, and with LRENPIE always: the write resets EOIcount,
 * which vgic_fold() has accounted for. vgic_flush() has folded before.
 */
EXERCISE(3.3)
static __attribute__((noinline)) void vgic_flush_ap_list(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;
	struct vgic_irq *chosen[VGIC_LR_MAX];
	u64 hcr = vgic_quiet_hcr(vcpu);
	unsigned count = 0;
	struct list *node;
	u32 used;

	list_for_each (node, &interface->ap_list) {
		if (count == gic->lr_count) {
			hcr |= vgic_choose_overflow(vcpu, chosen, gic->lr_count, &count);
			break;
		}
		chosen[count++] = container_of(node, struct vgic_irq, node);
	}
	used = (1U << count) - 1;
	for (unsigned n = 0; (used | interface->lr_used) >> n; n++) {
		interface->lr[n] = n < count ? vgic_encode(vcpu, chosen[n]) : 0;
		if (n < count)
			chosen[n]->lr = (u8)n;
		gic->write_lr(n, interface->lr[n]);
	}
	interface->lr_used = used;
	if (hcr != interface->hcr || hcr & ICH_HCR_EL2_LRENPIE)
		gic->write_hcr(hcr);
	interface->hcr = hcr;
}

void vgic_flush(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;
	u64 hcr = vgic_quiet_hcr(vcpu);

	if (interface->loaded) {
		vgic_fold(vcpu);
		__atomic_store_n(&interface->refills, interface->refills + 1, __ATOMIC_RELAXED);
	}
	vgic_resample(vcpu);
	interface->loaded = true;
	/* Nearly always there is nothing to deliver: a switch should not pay for more. */
	if (!list_is_empty(&interface->ap_list) || interface->lr_used) {
		vgic_flush_ap_list(vcpu);
	} else if (interface->hcr != hcr) {
		interface->hcr = hcr;
		gic->write_hcr(hcr);
	}
}

/*
 * Take over what list register value @lr tells about @irq, which no list register holds any more
 * (irq->lr): active state; the latch that was moved there, if it still is pending (of a GICv2 SGI:
 * its requester, back into sources); for hw the line, which is up while it is pending, and the
 * deactivation of the physical interrupt when the guest has completed it and gic->completes_hw is
 * not set. Then carry out what was requested in the meantime, and relist it
 * (vgic_irq_relist_folded()).
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
	if (irq->hw)
		irq->line_level = pending;
	if (irq->hw && !pending && !irq->active && !gic->completes_hw)
		gic->set_active(irq->pintid, false);
	if (irq->request != VGIC_IRQ_NO_REQUEST)
		vgic_irq_set_active(vcpu, irq, irq->request == VGIC_IRQ_ACTIVATE);
	vgic_irq_relist_folded(vcpu, irq);
}

/*
 * Account for completions of active interrupts that had no list register (vgic_retire_spilled(),
 * if vgic.hcr asked for their count), then read back every list register that was filled, note it
 * in vgic.lr[] and merge it into the interrupt that its vINTID names. vgic.loaded ends before the
 * first merge. The registers keep their contents until vgic_flush(); vgic.lr_used still tells
 * which those are.
 */
EXERCISE(3.4)
void vgic_fold(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;

	if (interface->hcr & ICH_HCR_EL2_LRENPIE)
		vgic_retire_spilled(vcpu);
	interface->loaded = false;
	for (unsigned n = 0; interface->lr_used >> n; n++) {
		u64 lr = gic->read_lr(n);

		interface->lr[n] = lr;
		vgic_irq_merge(vcpu, vgic_irq_find(vcpu, lr & ICH_LR_EL2_VINTID_MASK), lr);
	}
}

/*
 * An hw interrupt that still is pending although its line fell (the guest reprogrammed its timer
 * before it took the interrupt) is withdrawn, and with it the physical active state that would keep
 * the next one from arriving. For every interrupt in vgic.hw_mask of @vcpu, which is here and
 * folded: carry out a request that another CPU left (vgic_irq_set_active()) and relist; then, if
 * its line is up in memory and is_asserted() says no, lower it; the physical interrupt is
 * deactivated unless the guest has it active or its pending_latch is set; relist.
 */
EXERCISE(3.4)
void vgic_resample(struct vcpu *vcpu)
{
	for (u32 mask = vcpu->vgic.hw_mask; mask; mask &= mask - 1) {
		struct vgic_irq *irq = &vcpu->vgic.private_irqs[__builtin_ctz(mask)];

		if (!irq->line_level && irq->request == VGIC_IRQ_NO_REQUEST)
			continue;
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

/* vgic_pull(): see internal.h. The refill is left to the entry: REQ_VGIC. */
EXERCISE(3.4)
void vgic_pull(struct vcpu *vcpu)
{
	if (!vcpu || !vcpu->vgic.loaded || !vgic_is_here(vcpu))
		return;
	vgic_fold(vcpu);
	vgic_resample(vcpu);
	vcpu_make_request(vcpu, REQ_VGIC);
}
