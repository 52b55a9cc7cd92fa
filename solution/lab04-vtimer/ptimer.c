// SPDX-License-Identifier: MIT
/*
 * CNTP, the physical timer of a vCPU, is emulated: its registers trap (CNTHCTL_EL2.EL1PCEN = 0),
 * because a CPU has only one CNTP and no offset for it. EL2's deadline queue is its clock, whether
 * or not the vCPU is loaded.
 *
 * vtimer.lock protects it. The vCPU may write CNTP on one CPU while the deadline expires on
 * another, where the vCPU ran before; whoever comes second has to see what the first one made of
 * registers, line and deadline. Manual: Arm ARM, "The Generic Timer in AArch64 state".
 */
#include "exercise.h"
#include "internal.h"

static bool ptimer_is_due(const struct guest_timer *cntp, u64 now)
{
	return now >= cntp->cval;
}

/**
 * Exercise 4.5: ptimer_update() - CTL or CVAL of CNTP has changed, or its deadline has come
 *
 * The line is up while CNTP is enabled, not masked and due: say so by vgic_set_line(), whichever it
 * is. The deadline is armed for CVAL while CNTP is enabled, not masked and not due yet; otherwise
 * it is cancelled. vtimer.lock is held: spin_assert_held().
 */
EXERCISE(4.5)
static void ptimer_update(struct vcpu *vcpu)
{
	struct guest_timer *cntp = &vcpu->vtimer.cntp;
	bool can_fire = ctl_can_fire(cntp->ctl);
	bool due = ptimer_is_due(cntp, counter_read());

	spin_assert_held(&vcpu->vtimer.lock);
	if (can_fire && !due)
		deadline_arm(&cntp->deadline, cntp->cval);
	else
		deadline_cancel(&cntp->deadline);
	vgic_set_line(vcpu, PLAT_INTID_CNTP, can_fire && due);
}

/* The guest writes CNTP. */
static void ptimer_write(struct vcpu *vcpu, u64 cval, u64 ctl)
{
	struct vtimer *timers = &vcpu->vtimer;

	spin_lock(&timers->lock);
	timers->cntp.cval = cval;
	timers->cntp.ctl = ctl;
	ptimer_update(vcpu);
	spin_unlock(&timers->lock);
}

void ptimer_expired(struct deadline *deadline)
{
	struct vtimer *timers = container_of(deadline, struct vtimer, cntp.deadline);

	spin_lock(&timers->lock);
	ptimer_update(container_of(timers, struct vcpu, vtimer));
	spin_unlock(&timers->lock);
}

/**
 * Exercise 4.5: cntp_ctl() - a trapped access to CNTP_CTL_EL0
 *
 * A write keeps ENABLE and IMASK, by ptimer_write(). A read gives these two and ISTATUS, which is
 * computed: 1 while the timer is enabled and due; it reads 0 while the timer is disabled.
 *
 * Return: TRAP_SKIP_INSN.
 */
EXERCISE(4.5)
enum trap_result cntp_ctl(struct vcpu *vcpu, struct sysreg_access *access)
{
	const struct guest_timer *cntp = &vcpu->vtimer.cntp;

	if (access->is_write) {
		ptimer_write(vcpu, cntp->cval, access->value & (CNT_CTL_ENABLE | CNT_CTL_IMASK));
		return TRAP_SKIP_INSN;
	}
	access->value = cntp->ctl;
	if ((cntp->ctl & CNT_CTL_ENABLE) && ptimer_is_due(cntp, counter_read()))
		access->value |= CNT_CTL_ISTATUS;
	return TRAP_SKIP_INSN;
}

enum trap_result cntp_cval(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (access->is_write)
		ptimer_write(vcpu, access->value, vcpu->vtimer.cntp.ctl);
	else
		access->value = vcpu->vtimer.cntp.cval;
	return TRAP_SKIP_INSN;
}

/**
 * Exercise 4.5: cntp_tval() - a trapped access to CNTP_TVAL_EL0, a signed 32-bit distance to CVAL
 *
 * A write sets CVAL, by ptimer_write(), to the count plus the sign-extended low word of the value.
 * A read gives the low word of CVAL minus the count.
 *
 * Return: TRAP_SKIP_INSN.
 */
EXERCISE(4.5)
enum trap_result cntp_tval(struct vcpu *vcpu, struct sysreg_access *access)
{
	const struct guest_timer *cntp = &vcpu->vtimer.cntp;
	u64 now = counter_read();

	if (access->is_write)
		ptimer_write(vcpu, now + (u64)(s64)(s32)access->value, cntp->ctl);
	else
		access->value = (u32)(cntp->cval - now);
	return TRAP_SKIP_INSN;
}

/* CNTPCT_EL0: EL1PCTEN = 1 lets a read through, but QEMU 7.2 traps EL0's by EL1PCEN = 0. */
enum trap_result cntpct(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (access->is_write)
		return TRAP_REFLECT;
	access->value = counter_read();
	return TRAP_SKIP_INSN;
}
