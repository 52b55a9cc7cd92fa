// SPDX-License-Identifier: MIT
/*
 * The timers of a vCPU, and CNTV, the virtual one. (CNTP is emulated: ptimer.c.)
 *
 * While its vCPU is loaded, CNTV is the guest's own: it programs the hardware without a trap.
 * Physical PPI 27 is linked to the virtual one, so the guest's EOI needs no trap either. When the
 * vCPU leaves, CNTV's deadline goes on EL2's queue; on expiry EL2 makes the virtual PPI pending and
 * wakes the vCPU. The physical PPI's active state belongs to the interrupt that a vCPU is handling,
 * and so moves with the vCPU.
 *
 * Reading a counter never traps. CNTVOFF_EL2 gives every VM a virtual count that starts at 0.
 * Manual: Arm ARM, "The Generic Timer in AArch64 state"; IHI 0069 for the active state.
 */
#include "exercise.h"
#include "internal.h"

#define CNT_NEVER (~0UL)

/**
 * Exercise 4.1: vtimer_deadline() - the physical count at which CNTV with this CVAL is due
 * @offset: physical minus virtual count: CNTVOFF_EL2 of the vCPU's VM
 *
 * A timer's condition is met when count - offset >= CVAL, all unsigned 64 bit. A sum that does not
 * fit into 64 bits is a count that no counter reaches: CNT_NEVER.
 */
EXERCISE(4.1)
u64 vtimer_deadline(u64 cval, u64 offset)
{
	return cval > CNT_NEVER - offset ? CNT_NEVER : cval + offset;
}

/* Whether CNTV's line is up. Its vCPU is loaded on this CPU. */
static bool vtimer_is_asserted(struct vcpu *vcpu)
{
	return (read_sysreg(cntv_ctl_el0) & (CNT_CTL_ENABLE | CNT_CTL_IMASK | CNT_CTL_ISTATUS)) ==
	       (CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
}

/**
 * Exercise 4.4: vtimer_expired() - the deadline of a vCPU's CNTV has come while it is not loaded
 *
 * Look again at CTL and at CVAL + offset, against counter_read(). Since the deadline was armed the
 * vCPU may have been loaded once more, here or on another CPU, and its guest may have switched the
 * timer off, masked or moved it. Only a timer that is enabled, not masked and due now makes PPI 27
 * pending, by vgic_set_line(), which also wakes the vCPU.
 *
 * While the vCPU is loaded, cntv in memory is what the last vtimer_save() left, and may say "due" of
 * a timer that has moved since. That does no harm: a line that is up is sampled in the hardware
 * (vtimer_is_asserted()) before the guest sees the interrupt, and WFI may end for no reason.
 */
EXERCISE(4.4)
static void vtimer_expired(struct deadline *deadline)
{
	struct guest_timer *cntv = container_of(deadline, struct guest_timer, deadline);
	struct vcpu *vcpu = container_of(cntv, struct vcpu, vtimer.cntv);

	if (ctl_can_fire(cntv->ctl) && vtimer_deadline(cntv->cval, cntv->offset) <= counter_read())
		vgic_set_line(vcpu, PLAT_INTID_CNTV, true);
}

/**
 * Exercise 4.2: vtimer_load() - put the vCPU's CNTV into the hardware of its CPU, which is this one
 *
 * Cancel its deadline. Make the physical PPI 27 active if the vCPU has the interrupt pending or
 * active (vgic_is_live()), else inactive (gic_set_active()), and note it in cpu->cntv_active. The
 * write may be left out only where the PPI is to be inactive and cpu->cntv_active says that it is.
 * Then write CNTVOFF_EL2, CNTKCTL_EL1, CNTV_CVAL_EL0; an ISB; and CNTV_CTL_EL0 last.
 */
EXERCISE(4.2)
void vtimer_load(struct vcpu *vcpu)
{
	struct guest_timer *cntv = &vcpu->vtimer.cntv;
	bool live = vgic_is_live(vcpu, PLAT_INTID_CNTV);

	if (deadline_is_armed(&cntv->deadline))
		deadline_cancel(&cntv->deadline);
	/* While active it does not fire again; the guest's EOI deactivates it. */
	if (live || vcpu->cpu->cntv_active)
		gic_set_active(PLAT_INTID_CNTV, live);
	vcpu->cpu->cntv_active = live;
	write_sysreg(cntvoff_el2, cntv->offset);
	write_sysreg(cntkctl_el1, vcpu->vtimer.cntkctl);
	write_sysreg(cntv_cval_el0, cntv->cval);
	isb();
	write_sysreg(cntv_ctl_el0, cntv->ctl);
}

/**
 * Exercise 4.2: vtimer_save() - take the vCPU's CNTV out of the hardware
 *
 * Keep CTL (ENABLE and IMASK), CVAL and CNTKCTL_EL1. Switch CNTV off, with an ISB, so that it
 * cannot fire into the next vCPU. If the timer can still fire (ctl_can_fire()), arm its deadline,
 * one of CNT_NEVER like any other, unless it has fired (ISTATUS) and its interrupt is on the way
 * (vgic_is_live()).
 */
EXERCISE(4.2)
void vtimer_save(struct vcpu *vcpu)
{
	struct guest_timer *cntv = &vcpu->vtimer.cntv;
	u64 ctl = read_sysreg(cntv_ctl_el0);

	cntv->ctl = ctl & (CNT_CTL_ENABLE | CNT_CTL_IMASK);
	cntv->cval = read_sysreg(cntv_cval_el0);
	vcpu->vtimer.cntkctl = read_sysreg(cntkctl_el1);
	write_sysreg(cntv_ctl_el0, 0);
	isb();
	if (ctl_can_fire(ctl) && !((ctl & CNT_CTL_ISTATUS) && vgic_is_live(vcpu, PLAT_INTID_CNTV)))
		deadline_arm(&cntv->deadline, vtimer_deadline(cntv->cval, cntv->offset));
}

/**
 * Exercise 4.4: vtimer_interrupt() - physical PPI 27 fired on @cpu: CNTV of the vCPU that is loaded
 *
 * Raise the line of PPI 27 at that vCPU (vgic_set_line()) and leave the physical interrupt active:
 * the guest's EOI deactivates it through the list register. cpu->cntv_active notes that. Nothing is
 * forwarded when the line has fallen in the meantime (vtimer_is_asserted()), or when no vCPU is
 * loaded: then nobody would deactivate the interrupt.
 *
 * Return: IRQ_FORWARDED, or IRQ_HANDLED when nothing was forwarded.
 */
EXERCISE(4.4)
enum irq_result vtimer_interrupt(struct cpu *cpu, u32 intid)
{
	if (!cpu->vcpu || !vtimer_is_asserted(cpu->vcpu))
		return IRQ_HANDLED;
	vgic_set_line(cpu->vcpu, intid, true);
	cpu->cntv_active = true;
	return IRQ_FORWARDED;
}

/* ---- creation and reset ---- */

/* No timer of @vcpu, which is OFF, fires any more. What has expired elsewhere finds both off. */
static void vtimer_stop(struct vcpu *vcpu)
{
	struct vtimer *timers = &vcpu->vtimer;

	spin_lock(&timers->lock);
	timers->cntv.ctl = timers->cntv.cval = timers->cntkctl = 0;
	timers->cntp.ctl = timers->cntp.cval = 0;
	deadline_cancel(&timers->cntp.deadline);
	deadline_cancel(&timers->cntv.deadline);
	spin_unlock(&timers->lock);
}

void vtimer_reset(struct vcpu *vcpu)
{
	vtimer_stop(vcpu);
	vcpu->vtimer.cntv.offset = vcpu->vm->counter_offset;
	vcpu->hcr |= HCR_EL2_TWI;
	vgic_map_hw(vcpu, PLAT_INTID_CNTV, PLAT_INTID_CNTV, vtimer_is_asserted);
	vgic_set_line(vcpu, PLAT_INTID_CNTP, false);
}

/**
 * Exercise 4.1: vtimer_start_count() - the virtual count of @vm is 0 now
 *
 * Virtual count = physical count - CNTVOFF_EL2, which is vm->counter_offset.
 */
EXERCISE(4.1)
static void vtimer_start_count(struct vm *vm)
{
	vm->counter_offset = counter_read();
}

/* A VM is built anew at each reset, when its deadlines may still be on some CPU's queue. */
int vtimer_vm_create(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct vtimer *timers = &vm->vcpus[i]->vtimer;

		if (timers->cntv.deadline.expire)
			continue;
		timers->lock = (struct spinlock)SPINLOCK_INIT("vtimer");
		deadline_init(&timers->cntv.deadline, vtimer_expired);
		deadline_init(&timers->cntp.deadline, ptimer_expired);
	}
	vtimer_start_count(vm);
	return 0;
}

void vtimer_vm_destroy(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vtimer_stop(vm->vcpus[i]);
}
