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
 * Encode @virq for a list register and move its latch there.
 *
 * Pending and active together only for what the hardware may hold so: not with HW set (the pending
 * state is then the distributor's; "ICH_LR<n>_EL2", State), not for a GICv2 SGI, whose next
 * instance may come from another requester. A disabled interrupt that is active is not pending
 * here, or the guest would get it after its completion.
 */
EXERCISE(3.3)
static u64 vgic_encode(const struct vm *vm, struct virq *virq)
{
	TODO(3.3);
}

/*
 * Fill the list registers of this CPU with the interrupts of @vcpu's ordered list, from list
 * register 0 on. When there are more than list registers, vgic_choose_overflow() picks and says
 * which maintenance interrupts to ask for. List registers that held something before and are not
 * needed now become zero. ICH_HCR_EL2 is written when it changes, and when it counted completions.
 * Folds first if the list registers are loaded. Afterwards they are.
 */
EXERCISE(3.3)
void vgic_flush(struct vcpu *vcpu)
{
	TODO(3.3);
}

/*
 * An hw interrupt that still is pending although its line fell (the guest reprogrammed its timer
 * before it took the interrupt) is withdrawn, and with it the physical active state that would
 * keep the next one from arriving. Where the hardware does not deactivate the physical interrupt
 * when the guest completes (gic->completes_hw), it is done here.
 */
EXERCISE(3.4)
static void virq_resample(struct vcpu *vcpu, struct virq *virq, bool pending)
{
	TODO(3.4);
}

/*
 * Take over what list register value @lr tells about @virq: active state; the latch, if it still
 * is pending; the line, if it is tied to the hardware. Then carry out what was requested in the
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

EXERCISE(3.4)
void vgic_pull(struct vcpu *vcpu)
{
	TODO(3.4);
}
