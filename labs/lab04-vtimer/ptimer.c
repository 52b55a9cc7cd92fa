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
	if (ctl_can_fire(vcpu->vtimer.cntp.ctl))
		TODO(4.5);
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
	if (access->is_write && (access->value & CNT_CTL_ENABLE))
		TODO(4.5);
	access->value = 0; /* it is off */
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
	TODO(4.5);
}

/* CNTPCT_EL0: EL1PCTEN = 1 lets a read through, but QEMU 7.2 traps EL0's by EL1PCEN = 0. */
enum trap_result cntpct(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (access->is_write)
		return TRAP_REFLECT;
	access->value = counter_read();
	return TRAP_SKIP_INSN;
}
