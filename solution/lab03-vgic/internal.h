/* SPDX-License-Identifier: MIT */
/*
 * Inside layer 3: the driver of the physical GIC; interrupts in memory; list registers.
 */
#ifndef STRATA_VGIC_INTERNAL_H
#define STRATA_VGIC_INTERNAL_H

#include "lib/types.h"
#include "registry.h"
#include "vcpu.h"
#include "vgic.h"
#include "vmm_irq.h"

/*
 * ---- the physical GIC (gic.c) ----
 *
 * Two drivers, one for GICv3 (IHI 0069: system registers, redistributors), one for GICv2 (IHI 0048:
 * everything memory-mapped). EL2 chooses one when it starts. List registers, ICH_HCR_EL2 and
 * ICH_VMCR_EL2 have their GICv3 format in both.
 */

#define GIC_PRIORITY 0xa0 /* of everything that EL2 takes: nothing preempts at EL2 */

/**
 * struct gic_driver - the physical GIC, and the virtual interface of the CPU that calls
 * @intid_mask: the INTID in what @acknowledge returns
 * @lr_count: number of list registers, valid after @init_cpu
 * @completes_hw: HW in a list register works: the guest's completion deactivates the physical
 *	interrupt. Otherwise EL2 has to see the completion and to deactivate it
 * @init: distributor: every SPI disabled, inactive, at GIC_PRIORITY, EL2's group
 * @init_cpu: this CPU's SGIs, PPIs and interfaces, with priority drop and deactivation separate
 * @enable: configure the trigger of @intid, route an SPI to this CPU, enable
 * @disable: mask @intid
 * @acknowledge: take the highest-priority pending interrupt, which becomes active
 * @end: priority drop; @iar is what @acknowledge returned
 * @deactivate: the interrupt becomes inactive; @iar likewise
 * @set_active: set or clear the active state of one of this CPU's SGIs or PPIs
 * @send_sgi: make SGI @intid pending at @cpu, behind all that was written before
 * @read_lr, @write_lr: list register @n, 0 <= @n < @lr_count, in the layout of ICH_LR<n>_EL2
 * @read_hcr, @write_hcr: ICH_HCR_EL2
 * @read_vmcr: ICH_VMCR_EL2
 * @save: read ICH_VMCR_EL2 and the active priorities into vmcr, ap0r, ap1r
 * @load: the inverse
 */
struct gic_driver {
	unsigned version;
	u32 intid_mask;
	unsigned lr_count;
	bool completes_hw;
	void (*init)(void);
	void (*init_cpu)(struct cpu *cpu);
	void (*enable)(u32 intid, bool edge);
	void (*disable)(u32 intid);
	u32 (*acknowledge)(void);
	void (*end)(u32 iar);
	void (*deactivate)(u32 iar);
	void (*set_active)(u32 intid, bool active);
	void (*send_sgi)(u32 intid, const struct cpu *cpu);
	u64 (*read_lr)(unsigned n);
	void (*write_lr)(unsigned n, u64 value);
	u64 (*read_hcr)(void);
	void (*write_hcr)(u64 value);
	u64 (*read_vmcr)(void);
	void (*save)(struct vgic_cpu *interface);
	void (*load)(const struct vgic_cpu *interface);
};

extern struct gic_driver gic_v2, gic_v3;

/** gic - the driver of this machine; set by gic_init() */
extern struct gic_driver *gic;

/** gic_init() - find the GIC's version, set up the distributor and the dispatch table */
int gic_init(void);

/** gic_init_cpu() - set up this CPU's interface and enable what the registry claims */
int gic_init_cpu(struct cpu *cpu);

/** gic_irq() - acknowledge, dispatch and complete the interrupt that is pending at this CPU, if any */
void gic_irq(struct cpu *cpu);

/* ---- what else layer.c claims, described where it is defined ---- */

int vgic_vm_create(struct vm *vm);
void vgic_vm_destroy(struct vm *vm);
void vgic_vcpu_reset(struct vcpu *vcpu);
void vgic_vcpu_load(struct vcpu *vcpu);
void vgic_vcpu_save(struct vcpu *vcpu);
void vgic_vcpu_off(struct vcpu *vcpu);
void vgic_spi_line(struct vm *vm, u32 intid, bool level);
void vgic_flush(struct vcpu *vcpu);
irq_handler_fn vgic_maintenance, console_interrupt;
sysreg_handler_fn icc_dir, icc_sgi1r, icc_sgi0r, icc_sre;

/* ---- one interrupt in memory (vgic.c); the VM's vgic.lock is held for all that follows ---- */

/** vgic_irq_find() - interrupt @intid (below GUEST_INTID_COUNT) of @vcpu, or of its VM for an SPI */
static inline struct vgic_irq *vgic_irq_find(struct vcpu *vcpu, u32 intid)
{
	if (intid < GIC_PRIVATE_COUNT)
		return &vcpu->vgic.private_irqs[intid];
	return &vcpu->vm->vgic.spis[intid - GIC_PRIVATE_COUNT];
}

/** vgic_irq_counts_sources() - a GICv2 SGI: pending once for each requester */
static inline bool vgic_irq_counts_sources(const struct vgic_irq *irq)
{
	return irq->intid < GIC_SGI_COUNT && gic->version == 2;
}

/** vgic_irq_is_pending() - pending, or active and pending */
bool vgic_irq_is_pending(const struct vgic_irq *irq);

/** vgic_irq_is_enabled() - itself, and its group in GICD_CTLR */
static inline bool vgic_irq_is_enabled(const struct vm *vm, const struct vgic_irq *irq)
{
	u32 group = irq->group1 ? GICD_CTLR_ENABLE_GRP1 : GICD_CTLR_ENABLE_GRP0;

	return irq->enabled && (vm->vgic.ctlr & group);
}

/** vgic_irq_is_forwarded() - pending and enabled: the distributor would send it to a CPU interface */
static inline bool vgic_irq_is_forwarded(const struct vm *vm, const struct vgic_irq *irq)
{
	return vgic_irq_is_enabled(vm, irq) && vgic_irq_is_pending(irq);
}

/** vgic_target_vcpu() - the vCPU that @irq is for; NULL: it is routed to one that does not exist */
struct vcpu *vgic_target_vcpu(struct vm *vm, const struct vgic_irq *irq);

/** vgic_target_oracle() - the vCPU on whose ap_list @irq belongs now, or NULL */
struct vcpu *vgic_target_oracle(struct vm *vm, const struct vgic_irq *irq);

/** vgic_irq_relist() - put @irq on the ap_list where it belongs: that vCPU, or NULL */
struct vcpu *vgic_irq_relist(struct vm *vm, struct vgic_irq *irq);

/**
 * vgic_irq_relist_folded() - vgic_irq_relist() while @vcpu is folded and will be refilled: only
 * another vCPU that gets the interrupt has to be told
 */
struct vcpu *vgic_irq_relist_folded(struct vcpu *vcpu, struct vgic_irq *irq);

/**
 * vgic_irq_update() - after a change of @irq: relist it, and have the vCPU where it is now get it
 *
 * A list register of this CPU that holds it is written anew at once. What the guest has made of it
 * until now is merged: a latch that was set stays.
 */
void vgic_irq_update(struct vm *vm, struct vgic_irq *irq);

/**
 * vgic_irq_latched() - SGI @irq was sent, as its pending_latch or sources say: have its vCPU get it
 *
 * As vgic_irq_update(), but shorter where a list register holds the SGI already.
 */
void vgic_irq_latched(struct vm *vm, struct vgic_irq *irq);

/**
 * vgic_irq_set_active() - make @irq active or inactive, in its list register too
 * @vcpu: irq->vcpu; NULL for an SPI on no ap_list
 */
void vgic_irq_set_active(struct vcpu *vcpu, struct vgic_irq *irq, bool active);

/** vgic_irq_is_watched() - whether vgic_irq_resample() asks somebody */
static inline bool vgic_irq_is_watched(const struct vgic_irq *irq)
{
	return !irq->hw && irq->resample;
}

/**
 * vgic_irq_resample() - the guest has acknowledged or completed @irq: what is its line's level now?
 *
 * Asks whoever watches it, if anybody does and the line is up. Nobody watches one that is hw.
 */
static inline void vgic_irq_resample(struct vm *vm, struct vgic_irq *irq)
{
	if (irq->line_level && vgic_irq_is_watched(irq))
		irq->line_level = irq->resample(vm, irq->intid);
}

/** vgic_notify() - interrupts of @vcpu changed: it refills its list registers, or wakes up */
void vgic_notify(struct vcpu *vcpu);

/** vgic_is_here() - whether the virtual interface of this CPU has the state of @vcpu */
static inline bool vgic_is_here(const struct vcpu *vcpu)
{
	return vcpu->vgic.resident && vcpu->cpu == this_cpu();
}

/** vgic_set_loaded() - atomic, since vgic_settle() of another CPU looks without the lock */
static inline void vgic_set_loaded(struct vgic_cpu *interface, bool loaded)
{
	__atomic_store_n(&interface->loaded, loaded, __ATOMIC_RELEASE);
}

/** vgic_would_signal() - vgic_has_deliverable() of a vCPU whose state is in memory */
bool vgic_would_signal(const struct vm *vm, const struct vcpu *vcpu);

/* ---- list registers (vgic_lr.c, vgic_overflow.c) ---- */

/** vgic_put() - the first free list register of @vcpu, which is here, takes @irq over */
void vgic_put(struct vcpu *vcpu, struct vgic_irq *irq);

/**
 * vgic_takes_at_once() - whether a list register may take one more interrupt of the ap_list of @vcpu
 *
 * It may if @vcpu runs here and one is free. The others keep what they have.
 */
static inline bool vgic_takes_at_once(const struct vcpu *vcpu)
{
	return vcpu->vgic.loaded && vcpu->vgic.lr_free && vcpu_runs_here(vcpu);
}

/** vgic_free_lrs() - no list register of @vcpu is used, all that there are are free */
static inline void vgic_free_lrs(struct vcpu *vcpu)
{
	vcpu->vgic.lr_used = 0;
	vcpu->vgic.lr_free = (1U << gic->lr_count) - 1;
}

/**
 * vgic_quiet_hcr() - ICH_HCR_EL2 while the list registers have room for the whole ap_list
 *
 * With EOImode 1 any vCPU of the VM may deactivate an SPI that a list register of this one holds (IHI
 * 0069, "ICC_DIR_EL1"). In its own interface that write would be lost, so it traps.
 */
static inline u64 vgic_quiet_hcr(const struct vcpu *vcpu)
{
	return ICH_HCR_EL2_EN | (vcpu->vm->vcpu_count > 1 ? ICH_HCR_EL2_TDIR : 0);
}

/**
 * vgic_is_quiet() - when @vcpu was refilled last, no interrupt of its ap_list was left out: its
 *	interface asks for no maintenance interrupt
 */
static inline bool vgic_is_quiet(const struct vcpu *vcpu)
{
	return !(vcpu->vgic.hcr & ~(ICH_HCR_EL2_EN | ICH_HCR_EL2_TDIR));
}

/** vgic_irq_is_asked_again() - the requester of a GICv2 SGI in its list register waits, and no other */
static inline bool vgic_irq_is_asked_again(const struct vgic_irq *irq)
{
	return irq->sources == 1 << irq->active_source;
}

/**
 * vgic_latches_in_place() - whether what was sent, pending_latch or sources, may go into the list
 *	register that has @irq
 *
 * It is an SGI and enabled; nothing else of it has changed since that was written. The list register of
 * a GICv2 SGI has room for one requester.
 */
static inline bool vgic_latches_in_place(const struct vm *vm, const struct vgic_irq *irq)
{
	return irq->lr != VGIC_NO_LR && !irq->changed && irq->intid < GIC_SGI_COUNT &&
	       (!irq->sources || vgic_irq_is_asked_again(irq)) && vgic_irq_is_enabled(vm, irq);
}

/** vgic_latch_in_place() - do it; @irq is held by a list register of this CPU, whose vCPU is quiet */
void vgic_latch_in_place(struct vgic_irq *irq);

/** vgic_irq_fold() - @irq out of its list register, which is this CPU's, and into memory */
void vgic_irq_fold(struct vgic_irq *irq);

/**
 * vgic_irq_pull() - if a list register of this CPU holds @irq: vgic_irq_fold()
 *
 * The list register is free then, and the others keep what they have. vgic_irq_update() has to follow.
 */
static inline void vgic_irq_pull(struct vgic_irq *irq)
{
	if (irq->lr != VGIC_NO_LR && vgic_is_here(irq->vcpu))
		vgic_irq_fold(irq);
}

/** vgic_fold() - list registers of @vcpu, which is here and vgic.loaded, back into memory */
void vgic_fold(struct vcpu *vcpu);

/** vgic_resample() - withdraw pending hw interrupts of @vcpu, which is here, whose line fell */
void vgic_resample(struct vcpu *vcpu);

/**
 * vgic_pull() - if @vcpu is loaded here: vgic_fold(), vgic_resample(), and refill at its entry
 *
 * Harmless for NULL and for other vCPUs. This CPU cannot read list registers of another: about
 * those, memory tells how they were when they were filled.
 */
void vgic_pull(struct vcpu *vcpu);

/**
 * vgic_choose_overflow() - pick from an ap_list that is longer than the list registers are many
 * @chosen: filled with the interrupts that get one, at most @room
 * @count: their number
 *
 * Return: the maintenance interrupts to ask for, as bits of ICH_HCR_EL2.
 */
u64 vgic_choose_overflow(struct vcpu *vcpu, struct vgic_irq *chosen[], unsigned room,
			 unsigned *count);

/** vgic_retire_spilled() - deactivate what the guest completed without a list register */
void vgic_retire_spilled(struct vcpu *vcpu);

#endif
