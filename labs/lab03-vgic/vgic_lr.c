// SPDX-License-Identifier: MIT
/*
 * List registers: a cache of the ordered list.
 *
 * vgic_flush() fills them from memory before the guest is entered, vgic_fold() brings back what
 * the guest made of them. Folding is lazy: an exit that asks nothing of the interrupt controller
 * leaves them in the hardware and pays nothing. The guest changes a list register only by
 * acknowledging (pending to active) and completing (active to inactive), so
 *  - a pending state that is gone was acknowledged: the latch that lr_latched stands for is used up
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
#include "virq.h"

/*
 * Encode @virq for a list register of @vcpu, and move its latch there.
 *
 * State: active if it is; pending if it is forwarded. Both together only for what may become
 * pending by the guest's completion alone: not with HW set (the pending state is then the
 * distributor's; "ICH_LR<n>_EL2", State), not for a GICv2 SGI, not when it is routed to another
 * vCPU by now. EOI asks for a maintenance interrupt on completion: when there is more to deliver
 * then that the list register does not know of (a line that is up, another requester, another
 * vCPU), or something to be done (hw without gic->completes_hw).
 */
EXERCISE(3.3)
static u64 vgic_encode(struct vcpu *vcpu, struct virq *virq)
{
	TODO(3.3);
}

/*
 * Fill the list registers of this CPU with the interrupts of @vcpu's ordered list, from list
 * register 0 on. When there are more than list registers, vgic_choose_overflow() picks and says
 * which maintenance interrupts to ask for. List registers that held something before and are not
 * needed now become zero. ICH_HCR_EL2 is written when it changes, and when it counted completions.
 * Folds first if the list registers are loaded, and re-samples hw lines. Afterwards they are.
 */
EXERCISE(3.3)
static void vgic_flush_ordered(struct vcpu *vcpu)
{
	TODO(3.3);
}

void vgic_flush(struct vcpu *vcpu)
{
	struct vgic_cpu *interface = &vcpu->vgic;

	if (interface->loaded)
		vgic_fold(vcpu);
	interface->loaded = true;
	/* Nearly always there is nothing to deliver: a switch should not pay for more. */
	if (!list_is_empty(&interface->ordered) || interface->lr_used) {
		vgic_flush_ordered(vcpu);
	} else if (interface->hcr != ICH_HCR_EL2_EN) {
		interface->hcr = ICH_HCR_EL2_EN;
		gic->write_hcr(ICH_HCR_EL2_EN);
	}
}

/*
 * Take over what list register value @lr tells about @virq: active state; the latch, if it still
 * is pending; the line, if it is tied to the hardware (and deactivate the physical interrupt when
 * the guest has completed it and gic->completes_hw is not set). Then carry out what was requested in the
 * meantime and put it on the list where it belongs now.
 */
EXERCISE(3.4)
static void virq_merge(struct vcpu *vcpu, struct virq *virq, u64 lr)
{
	TODO(3.4);
}

/*
 * Read back every list register that was filled, merge each into its interrupt, and account for
 * completions of active interrupts that had none (vgic_retire_spilled()). The registers keep their
 * contents until vgic_flush(); vgic.lr_used still tells which those are.
 */
EXERCISE(3.4)
void vgic_fold(struct vcpu *vcpu)
{
	TODO(3.4);
}

/*
 * An hw interrupt that still is pending although its line fell (the guest reprogrammed its timer
 * before it took the interrupt) is withdrawn, and with it the physical active state that would
 * keep the next one from arriving. For every interrupt in vgic.hw_mask of @vcpu, which is here.
 */
EXERCISE(3.4)
void vgic_resample(struct vcpu *vcpu)
{
	TODO(3.4);
}

EXERCISE(3.4)
void vgic_pull(struct vcpu *vcpu)
{
	TODO(3.4);
}
