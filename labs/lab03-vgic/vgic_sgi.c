// SPDX-License-Identifier: MIT
/*
 * The registers of the GICv3 CPU interface that trap: those that reach beyond it.
 *
 * With HCR_EL2.IMO and FMO set, the hardware gives the guest a virtual interface (ICV_*) for all
 * but the generation of SGIs, which is a message to other vCPUs and always traps (IHI 0069,
 * "ICC_SGI1R_EL1"). ICC_DIR_EL1 traps only while ICH_HCR_EL2.TDIR asks for it: then an active
 * interrupt may have no list register of this vCPU. On a GICv2 guests send SGIs by GICD_SGIR
 * (dev_gicd.c) and deactivate through a page of its own (dev_gicc.c).
 *
 * Locks: vgic.lock; head of vgic.c.
 */
#include "exercise.h"
#include "el2_boot.h"
#include "internal.h"
#include "lib/bits.h"

/*
 * Exercise 3.7: what a write of @value to ICC_SGI1R_EL1 (@group1) or ICC_SGI0R_EL1 does.
 *
 * The SGI becomes pending at every vCPU of the sender's VM that @value names, if it belongs to the
 * register's group there; elsewhere nothing happens (IHI 0069, "Use of control registers for SGI
 * forwarding"). An SGI is edge-triggered: it sets pending_latch, and vgic_irq_latched() follows. Under
 * vgic.lock.
 *
 * Fields: Aff3 [55:48], RS [47:44], IRM 40, Aff2 [39:32], INTID [27:24], Aff1 [23:16], TargetList
 * [15:0]. IRM 1: every vCPU but the sender, whatever the rest says. IRM 0: the vCPUs of that
 * Aff3.Aff2.Aff1 whose Aff0 is 16 * RS + n for a bit n of the target list; the sender may be among
 * them. vCPU n has Aff0 n, and zero for the rest; there are at most VCPU_MAX.
 */
EXERCISE(3.7)
static void vgic_send_sgi(struct vcpu *sender, u64 value, bool group1)
{
	TODO(3.7);
}

/* Write-only: a read is UNDEFINED. */
enum trap_result icc_sgi1r(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (!access->is_write)
		return TRAP_REFLECT;
	vgic_send_sgi(vcpu, access->value, true);
	return TRAP_SKIP_INSN;
}

/* ICC_ASGI1R_EL1 reaches the other security state's Group 1, which here is Group 0 (DS = 1). */
enum trap_result icc_sgi0r(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (!access->is_write)
		return TRAP_REFLECT;
	vgic_send_sgi(vcpu, access->value, false);
	return TRAP_SKIP_INSN;
}

/*
 * Exercise 3.7: SGI @intid (0-15) of a GICv2 becomes pending at @to, requested by @from.
 *
 * It is pending once for each requester, a bit of irq->sources by the index of @from; sent twice
 * before it is taken, it is one. vgic_irq_latched() follows. Under vgic.lock.
 */
EXERCISE(3.7)
void vmm_irq_send(struct vcpu *to, struct vcpu *from, u32 intid)
{
	TODO(3.7);
}

/*
 * With EOImode 1 any vCPU may deactivate an SPI, also one that is active at another (IHI 0069,
 * "Interrupt handling state machine").
 */
void vmm_irq_deactivate(struct vcpu *vcpu, u32 intid)
{
	struct vm *vm = vcpu->vm;
	struct vgic_irq *irq;

	if (intid >= GUEST_INTID_COUNT)
		return;
	irq = vgic_irq_find(vcpu, intid);
	spin_lock(&vm->vgic.lock);
	vgic_pull(irq->vcpu);
	if (irq->active || irq->lr != VGIC_NO_LR) {
		vgic_irq_set_active(irq->vcpu, irq, false);
		vgic_irq_resample(vm, irq);
		vgic_irq_update(vm, irq);
	}
	spin_unlock(&vm->vgic.lock);
}

enum trap_result icc_dir(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (!access->is_write)
		return TRAP_REFLECT;
	vmm_irq_deactivate(vcpu, access->value & 0xffffff);
	return TRAP_SKIP_INSN;
}

/* System registers only: SRE, DFB and DIB read as one, writes are ignored (ICC_SRE_EL2.Enable). */
enum trap_result icc_sre(struct vcpu *vcpu, struct sysreg_access *access)
{
	access->value = 7;
	return TRAP_SKIP_INSN;
}
