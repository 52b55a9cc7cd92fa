// SPDX-License-Identifier: MIT
/*
 * The timers of a vCPU.
 *
 * CNTV is the guest's own while it is loaded: it programs the hardware without a trap, and the
 * interrupt is linked to the physical PPI, so that its EOI needs no trap either. When the vCPU
 * leaves, the deadline goes on EL2's queue, and the physical PPI's active state, which belongs to
 * the interrupt that this vCPU is handling, is taken along. On expiry the handler looks again
 * (things may have changed), marks the PPI pending and wakes the vCPU.
 *
 * Reading the counters never traps. CNTVOFF_EL2 gives every VM a counter that starts at 0.
 * Manual: Arm ARM, "The Generic Timer in AArch64 state"; IHI 0069 for the active state.
 */
#include "el2_boot.h"
#include "exercise.h"
#include "timer.h"

#define CNT_NEVER (~0UL)

/**
 * vtimer_deadline() - the physical count at which a virtual timer is due
 *
 * A timer's condition is met when count - offset >= CVAL, all unsigned 64 bit. A sum that does not
 * fit is a count that no counter reaches: CNT_NEVER.
 */
EXERCISE(4.1)
static u64 vtimer_deadline(u64 cval, u64 offset)
{
	TODO(4.1);
}

static bool ctl_can_fire(u64 ctl)
{
	return (ctl & (CNT_CTL_ENABLE | CNT_CTL_IMASK)) == CNT_CTL_ENABLE;
}

/* The line of CNTV while its vCPU is loaded here. */
static bool vtimer_is_asserted(struct vcpu *vcpu)
{
	(void)vcpu;
	return (read_sysreg(cntv_ctl_el0) & (CNT_CTL_ENABLE | CNT_CTL_IMASK | CNT_CTL_ISTATUS)) ==
	       (CNT_CTL_ENABLE | CNT_CTL_ISTATUS);
}

/**
 * vtimer_expired() - the background deadline of a vCPU that is not loaded has come
 *
 * Look again: only a timer that is enabled, not masked and due makes PPI 27 pending
 * (vgic_set_line(), which also wakes the vCPU).
 */
EXERCISE(4.4)
static void vtimer_expired(struct deadline *deadline)
{
	TODO(4.4);
}

/**
 * vtimer_load() - the vCPU's virtual timer goes into the hardware
 *
 * Cancel the background deadline. The physical PPI must be active exactly while the vCPU has the
 * interrupt pending or active (vgic_is_live()): its EOI will deactivate it, and until then it must
 * not fire again. (Nothing needs to be written if it is not, and cpu->cntv_active, which is kept in
 * step, says that no vCPU can have left it active.) Then CNTVOFF, CNTKCTL, CVAL, an ISB, CTL.
 */
EXERCISE(4.2)
static void vtimer_load(struct vcpu *vcpu)
{
	TODO(4.2);
}

/**
 * vtimer_save() - the vCPU's virtual timer leaves the hardware
 *
 * Keep CTL (ENABLE, IMASK), CVAL and CNTKCTL, and switch the hardware timer off, with an ISB, so
 * that it cannot fire into the next vCPU. If the timer can still fire, let the background deadline
 * watch it, unless it has fired (ISTATUS) and the interrupt is on its way (vgic_is_live()).
 */
EXERCISE(4.2)
static void vtimer_save(struct vcpu *vcpu)
{
	TODO(4.2);
}

/**
 * vtimer_interrupt() - the physical CNTV fired: it belongs to the vCPU that is loaded
 *
 * Raise PPI 27 in its interrupt controller and leave the physical interrupt active, which
 * cpu->cntv_active notes: the guest's EOI deactivates it through the list register. Nothing is
 * forwarded when the line has fallen in the meantime, or no vCPU is loaded (then the timer is off).
 */
EXERCISE(4.4)
static enum irq_result vtimer_interrupt(struct cpu *cpu, u32 intid)
{
	TODO(4.4);
}

/* ---- CNTP, emulated ---- */

static bool ptimer_is_due(const struct vtimer *timer, u64 now)
{
	return now >= timer->physical.cval;
}

/**
 * ptimer_update() - bring the line of PPI 30 and the deadline in step with the registers
 *
 * The line is up while the timer is enabled, not masked and due. It has a deadline while it is
 * enabled, not masked and not due yet; otherwise none. timer->lock is held.
 */
EXERCISE(4.5)
static void ptimer_update(struct vcpu *vcpu)
{
	TODO(4.5);
}

/*
 * The guest writes CNTP. The deadline may expire at the same time on a CPU that the vCPU has left;
 * whoever comes second has to see what the first has made of registers, line and deadline.
 */
static void ptimer_write(struct vcpu *vcpu, u64 cval, u32 ctl)
{
	struct vtimer *timer = &vcpu->vtimer;

	spin_lock(&timer->lock);
	timer->physical.cval = cval;
	timer->physical.ctl = ctl;
	ptimer_update(vcpu);
	spin_unlock(&timer->lock);
}

static void ptimer_expired(struct deadline *deadline)
{
	struct vtimer *timer = container_of(deadline, struct vtimer, physical_deadline);

	spin_lock(&timer->lock);
	ptimer_update(container_of(timer, struct vcpu, vtimer));
	spin_unlock(&timer->lock);
}

/**
 * cntp_ctl() - CNTP_CTL_EL0: ENABLE and IMASK are kept, by ptimer_write(); ISTATUS is computed and
 * reads 0 while the timer is disabled
 */
EXERCISE(4.5)
static enum trap_result cntp_ctl(struct vcpu *vcpu, struct sysreg_access *access)
{
	TODO(4.5);
}

static enum trap_result cntp_cval(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (access->is_write)
		ptimer_write(vcpu, access->value, vcpu->vtimer.physical.ctl);
	else
		access->value = vcpu->vtimer.physical.cval;
	return TRAP_SKIP_INSN;
}

/**
 * cntp_tval() - CNTP_TVAL_EL0, the 32-bit signed view of the distance to CVAL
 *
 * A write sets CVAL, by ptimer_write(), to the count plus the sign-extended low word; a read gives the
 * low word of CVAL minus the count.
 */
EXERCISE(4.5)
static enum trap_result cntp_tval(struct vcpu *vcpu, struct sysreg_access *access)
{
	TODO(4.5);
}

/* CNTPCT_EL0: EL1PCTEN lets it through, but QEMU 7.2 traps EL0's reads by EL1PCEN. */
static enum trap_result cntpct(struct vcpu *vcpu, struct sysreg_access *access)
{
	(void)vcpu;
	if (access->is_write)
		return TRAP_REFLECT;
	access->value = timer_now();
	return TRAP_SKIP_INSN;
}

SYSREG_HANDLER(3, 3, 14, 0, 1, cntpct);
SYSREG_HANDLER(3, 3, 14, 2, 0, cntp_tval);
SYSREG_HANDLER(3, 3, 14, 2, 1, cntp_ctl);
SYSREG_HANDLER(3, 3, 14, 2, 2, cntp_cval);

/* ---- the layer ---- */

/*
 * The timers of a vCPU that is OFF stop. Another CPU may be about to call what expired there: it finds
 * them off.
 */
static void vtimer_stop(struct vcpu *vcpu)
{
	struct vtimer *timer = &vcpu->vtimer;

	spin_lock(&timer->lock);
	timer->cntv_ctl = timer->cntv_cval = timer->cntkctl = 0;
	timer->physical = (struct emulated_timer){.ctl = 0};
	deadline_cancel(&timer->physical_deadline);
	deadline_cancel(&timer->background);
	spin_unlock(&timer->lock);
}

static void vtimer_reset(struct vcpu *vcpu)
{
	vtimer_stop(vcpu);
	vcpu->vtimer.offset = vcpu->vm->counter_offset;
	vcpu->hcr |= HCR_EL2_TWI;
	vgic_map_hw(vcpu, PLAT_INTID_CNTV, PLAT_INTID_CNTV, vtimer_is_asserted);
	vgic_set_line(vcpu, PLAT_INTID_CNTP, false);
}

/**
 * vtimer_vm_create() - the VM's counter starts at 0 now
 *
 * Virtual count = physical count - CNTVOFF_EL2, which is vm->counter_offset.
 */
EXERCISE(4.1)
static int vtimer_vm_create(struct vm *vm)
{
	TODO(4.1);
}

/* Deadlines are made once: a reset of a vCPU may meet them on the queue of some CPU. */
static int vtimer_create(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct vtimer *timer = &vm->vcpus[i]->vtimer;

		if (timer->background.expire)
			continue;
		timer->lock = (struct spinlock)SPINLOCK_INIT("vtimer");
		deadline_init(&timer->background, vtimer_expired);
		deadline_init(&timer->physical_deadline, ptimer_expired);
	}
	return vtimer_vm_create(vm);
}

static void vtimer_vm_destroy(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vtimer_stop(vm->vcpus[i]);
}

static int vtimer_init_cpu(struct cpu *cpu)
{
	timer_init_cpu(cpu);
	sched_init_cpu(cpu);
	return 0;
}

static void vtimer_enter(struct vcpu *vcpu, u32 work)
{
	if (work & ENTRY_TURN)
		sched_begin_turn(vcpu);
}

IRQ_HANDLER(PLAT_INTID_CNTV, IRQ_LEVEL, vtimer_interrupt);

LAYER(4, vtimer, .init_cpu = vtimer_init_cpu, .vm_create = vtimer_create,
      .vm_destroy = vtimer_vm_destroy, .vcpu_reset = vtimer_reset, .vcpu_load = vtimer_load,
      .vcpu_save = vtimer_save, .vcpu_enter = vtimer_enter, .console_waits = timer_console_waits);
