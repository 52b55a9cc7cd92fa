/* SPDX-License-Identifier: MIT */
/*
 * Inside layer 3: operations on interrupts in memory and on list registers. The VM's vgic.lock is
 * held for all of them.
 */
#ifndef STRATA_VIRQ_H
#define STRATA_VIRQ_H

#include "gic.h"
#include "vcpu.h"

/* ---- one interrupt in memory (vgic.c) ---- */

/** virq_find() - the interrupt @intid (below VGIC_INTID_COUNT) as @vcpu sees it */
struct virq *virq_find(struct vcpu *vcpu, u32 intid);

/** virq_counts_sources() - whether it is a GICv2 SGI, which is pending once for each requester */
static inline bool virq_counts_sources(const struct virq *virq)
{
	return virq->intid < 16 && gic->version == 2;
}

/**
 * virq_is_pending() - pending state, or pending half of "active and pending"
 *
 * Edge-triggered: an edge or a write to ISPENDR that was not acknowledged. Level-sensitive: also
 * while the line is up (IHI 0069, "Interrupt handling state machine"). The line of an interrupt
 * that is tied to a physical one always counts: there it means "forwarded".
 */
bool virq_is_pending(const struct virq *virq);

/**
 * virq_is_forwarded() - pending, enabled, and its group enabled in GICD_CTLR: the distributor
 * would send it to a CPU interface
 */
bool virq_is_forwarded(const struct vm *vm, const struct virq *virq);

/**
 * vgic_home() - where @virq is to be delivered: to its owner, or to where the SPI is routed
 *
 * Return: the vCPU, or NULL when the SPI is routed to one that does not exist.
 */
struct vcpu *vgic_home(struct vm *vm, const struct virq *virq);

/**
 * vgic_target() - the one place that decides at which vCPU an interrupt belongs
 *
 * An active interrupt stays where it was acknowledged. A forwarded one goes to vgic_home().
 * Anything else belongs nowhere.
 *
 * Return: the vCPU, or NULL.
 */
struct vcpu *vgic_target(struct vm *vm, const struct virq *virq);

/**
 * virq_relist() - move @virq to the ordered list of its target, or off all lists
 *
 * An interrupt that a list register holds stays on its list: its state is not known until that is
 * folded. Lists are ordered by priority, then INTID.
 *
 * Return: the vCPU on whose list it is now, or NULL.
 */
struct vcpu *virq_relist(struct vm *vm, struct virq *virq);

/**
 * virq_relist_folded() - virq_relist() while @vcpu is folded, which will be refilled anyway: if the
 * interrupt has gone to another vCPU, tell that one
 */
void virq_relist_folded(struct vcpu *vcpu, struct virq *virq);

/** virq_update() - after a change of @virq: relist it, tell the vCPU that it concerns */
void virq_update(struct vm *vm, struct virq *virq);

/** virq_set_active() - make @virq active or inactive, in its list register too */
void virq_set_active(struct vcpu *vcpu, struct virq *virq, bool active);

/** vgic_notify() - the interrupts of @vcpu changed: refill list registers, kick it or wake it */
void vgic_notify(struct vcpu *vcpu);

/** vgic_is_here() - whether @vcpu has the virtual interface of the CPU that executes this */
static inline bool vgic_is_here(const struct vcpu *vcpu)
{
	return vcpu->vgic.resident && vcpu->cpu == this_cpu();
}

/* ---- list registers (vgic_lr.c, vgic_overflow.c) ---- */

/**
 * vgic_fold() - list registers back into memory
 *
 * @vcpu is here and vgic.loaded. Afterwards memory is the truth, until vgic_flush().
 */
void vgic_fold(struct vcpu *vcpu);

/** vgic_resample() - withdraw pending hw interrupts of @vcpu, which is here, whose line fell */
void vgic_resample(struct vcpu *vcpu);

/**
 * vgic_pull() - if @vcpu is loaded here: vgic_fold(), vgic_resample(), and refill at its entry
 *
 * Harmless for NULL and for other vCPUs. What is in list registers of another CPU cannot be read:
 * there, memory tells how it was when they were filled.
 */
void vgic_pull(struct vcpu *vcpu);

/** vgic_flush() - fill the list registers of this CPU from the ordered list of @vcpu */
void vgic_flush(struct vcpu *vcpu);

/**
 * vgic_choose_overflow() - pick @room interrupts of a list that is longer
 * @chosen: filled with those that get a list register
 * @count: their number
 *
 * Return: the maintenance interrupts to ask for, as bits of ICH_HCR_EL2.
 */
u64 vgic_choose_overflow(struct vcpu *vcpu, struct virq *chosen[], unsigned room, unsigned *count);

/** vgic_maintenance() - handler of the maintenance interrupt of this CPU's virtual interface */
enum irq_result vgic_maintenance(struct cpu *cpu, u32 intid);

/** vgic_retire_spilled() - deactivate what the guest completed without a list register */
void vgic_retire_spilled(struct vcpu *vcpu);

/* ---- the interface of a vCPU (vgic_world.c, vgic.c) ---- */

/** vgic_would_signal() - vgic_has_deliverable() of a vCPU whose state is in memory */
bool vgic_would_signal(const struct vm *vm, const struct vcpu *vcpu);

#endif
