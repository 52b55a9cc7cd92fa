// SPDX-License-Identifier: MIT
/*
 * More interrupts than list registers.
 *
 * One has to be in a list register: the highest-priority interrupt that can be delivered, for which
 * the guest would wait in vain. Active ones should be there, since the guest then completes them
 * without help, and so should further pending ones. So the list registers take the head of the
 * ap_list, whatever it is, and the last one is kept for the first deliverable interrupt if that
 * does not stand there anyway. For what is left out, the hardware is asked to interrupt:
 *
 *  pending left out	NPIE	no list register is pending any more: refill
 *  active left out	LRENPIE	the guest completed one that has no list register
 *			TDIR	... and with EOImode 1 we must see which one
 *  pending, its group off	VGrp<n>EIE: the guest switches that group on
 *  both groups on	VGrp0DIE, VGrp1DIE: the guest switches one off, whose interrupts
 *			now fill list registers for nothing
 *
 * A condition that holds again after the refill that it asked for is a storm: the guest executes
 * nothing any more. None of these does, whatever the guest has done:
 *  NPIE	a pending interrupt whose group is on is left out only if another one such is in a list
 *	register, and pending there
 *  LRENPIE	the write of ICH_HCR_EL2 sets EOIcount to 0
 *  VGrp<n>EIE, VGrp<n>DIE	the opposite of what ICH_VMCR_EL2 says now
 *  EOI in a list register	completed ones are folded, and their list registers written anew
 * VGrp<n>DIE with the other group off would tell nothing: once both are off, nothing can be
 * delivered until the guest switches one on, and VGrp<n>EIE tells of those that are left out.
 * QEMU's GICv3 raises VGrp0D whenever Group 1 is off: asked for with Group 0 alone on, it would
 * never end.
 *
 * Locks: vgic.lock is held by every caller; head of vgic.c.
 * Manual: IHI 0069, "Maintenance interrupts", "ICH_HCR_EL2".
 */
#include "exercise.h"
#include "el2_boot.h"
#include "internal.h"

/*
 * Exercise 3.5: pick from an ap_list that is longer than @room.
 *
 * The virtual interface says which groups the guest has enabled there (gic->read_vmcr(): VENG0,
 * VENG1). An interrupt is *barred* when its group is not and it waits for delivery: not active, or
 * active and forwarded once more, so that completion makes it wait. It is *deliverable* when it is
 * neither active nor barred. Priority mask and running priority play no part: the hardware looks at
 * those. Barred interrupts never get a list register here: they could fill all of them and hold up
 * the others, and NPIE would not fire. The rest get one in order while there is room. But while no
 * deliverable one has got a list register and one is still to come, the last place is kept for the
 * first of these.
 *
 * Return: VGrp0DIE and VGrp1DIE if both groups are enabled, else neither; and for each interrupt
 * that got no list register:
 *  - active: LRENPIE and TDIR
 *  - not active, its group not enabled: VGrp0EIE or VGrp1EIE
 *  - any other: NPIE
 */
EXERCISE(3.5)
u64 vgic_choose_overflow(struct vcpu *vcpu, struct vgic_irq *chosen[], unsigned room,
			 unsigned *count)
{
	TODO(3.5);
}

/*
 * Exercise 3.5: deactivate what the guest completed without a list register.
 *
 * ICH_HCR_EL2.EOIcount says how many. With EOImode 0 a guest completes in the reverse order of
 * acknowledging, and each acknowledged interrupt preempted one of lower priority: so they were the
 * highest-priority ones of those left out. From the head of the ap_list, as many active interrupts
 * without a list register become inactive (vgic_irq_set_active()), have their lines sampled
 * (vgic_irq_resample()) and go through vgic_irq_relist_folded(), which may take them off the list
 * that is being walked.
 */
EXERCISE(3.5)
void vgic_retire_spilled(struct vcpu *vcpu)
{
	TODO(3.5);
}

/*
 * Exercise 3.5: handle the maintenance interrupt of this CPU's virtual interface.
 *
 * Its conditions are levels that the hardware computes from ICH_HCR_EL2 and the list registers: it
 * stays up until both are written anew. Under vgic.lock: pull; switch the interface off, in the
 * hardware and in vgic.hcr, so that vgic_flush() switches it on again; have the entry refill
 * (REQ_VGIC). A CPU with no vCPU, or whose vCPU is not resident, has nothing to do. Always
 * IRQ_HANDLED.
 */
EXERCISE(3.5)
enum irq_result vgic_maintenance(struct cpu *cpu, u32 intid)
{
	TODO(3.5);
}
