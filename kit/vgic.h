/* SPDX-License-Identifier: MIT */
/*
 * Contract of layer 3: the interrupts of a VM.
 *
 * All state lives in memory, one struct vgic_irq an interrupt. List registers are a cache of it:
 * EL2 fills them before a vCPU runs and folds them back when somebody needs the truth. Formats are
 * those of the GICv3 system registers (IHI 0069, "AArch64 System register descriptions"). The
 * driver of the GICv2 converts, so that tests and debugger commands read one layout.
 */
#ifndef STRATA_VGIC_H
#define STRATA_VGIC_H

#include "lib/gic_regs.h"
#include "lib/guest_map.h"
#include "lib/list.h"
#include "lib/types.h"
#include "spinlock.h"

struct vm;
struct vcpu;
struct cpu;

#define VGIC_SPI_COUNT (GUEST_INTID_COUNT - GIC_PRIVATE_COUNT)
#define VGIC_LR_MAX 16
#define VGIC_NO_LR 0xff

/* Implemented bits of a virtual priority: five, as many as list registers of a GICv2 hold. */
#define VGIC_PRIORITY_MASK 0xf8

/** enum vgic_irq_request - left to the CPU that alone reaches the list register, or physical PPI */
enum vgic_irq_request {
	VGIC_IRQ_NO_REQUEST,
	VGIC_IRQ_ACTIVATE,
	VGIC_IRQ_DEACTIVATE,
};

/** struct vgic_irq - one interrupt of a VM (SPI) or of a vCPU (SGI, PPI) */
struct vgic_irq {
	struct list node; /* on vcpu->vgic.ap_list while it is pending or active there */
	struct vcpu *vcpu; /* on whose ap_list it is; the owner of an SGI or PPI */
	u64 route; /* SPI: GICD_IROUTER<n>; on a GICv2 its byte of GICD_ITARGETSR<n> */
	u16 intid;
	u8 priority;
	u8 listed_priority; /* by which it found its place on the ap_list */
	u8 lr; /* the list register that holds it, or VGIC_NO_LR */
	u8 sources; /* GICv2 SGI: bit per requesting CPU */
	u8 active_source; /* GICv2 SGI: requester of what is active or in @lr */
	bool enabled;
	bool pending_latch; /* pending by an edge, or by a write to ISPENDR */
	bool latch_in_lr; /* pending_latch, moved to @lr: used up once @lr is not pending */
	bool line_level; /* level of the input; hw: the physical interrupt was passed on */
	bool active;
	bool edge;
	bool group1;
	bool hw; /* the guest's completion deactivates physical interrupt @pintid */
	u8 request; /* enum vgic_irq_request, until its vCPU is folded or refilled */
	bool changed; /* in memory, since @lr was written */
	u16 pintid;
	union {
		bool (*is_asserted)(struct vcpu *vcpu); /* hw: the line; @vcpu is loaded here */
		bool (*resample)(struct vm *vm, u32 intid); /* SPI: vgic_watch_spi() */
	};
};

/**
 * struct vgic_cpu - virtual interface of a vCPU
 * @lr: list registers as last written or read, GICv3 layout (ICH_LR<n>_EL2)
 * @vmcr, @ap0r, @ap1r: ICH_VMCR_EL2 and active priorities of a vCPU that is not loaded
 * @hcr: ICH_HCR_EL2 as last written
 * @lr_used: bit n: lr[n] was filled with an interrupt
 * @lr_free: bit n: lr[n] may still take an interrupt while @loaded
 * @hw_mask: bit n: private interrupt n is tied to a physical one (vgic_map_hw())
 * @refills: how often those that had changed were folded, to be filled again
 * @resident: the virtual interface of vcpu->cpu has the state of this vCPU; @vmcr, @ap0r, @ap1r are
 *	stale
 * @loaded: list registers hold the truth about what is in lr[]; implies @resident
 * @ap_list: its pending and active interrupts, highest priority first
 */
struct vgic_cpu {
	u64 lr[VGIC_LR_MAX];
	u64 vmcr;
	u64 hcr;
	u64 ap0r, ap1r;
	u32 lr_used;
	u32 lr_free;
	u32 hw_mask;
	u32 refills;
	bool resident;
	bool loaded;
	struct list ap_list;
	struct vgic_irq private_irqs[GIC_PRIVATE_COUNT];
};

/**
 * struct vgic - interrupt controller of a VM
 * @lock: protects every interrupt of the VM and the ap_lists; nests inside the VM's device lock,
 * nothing
 *	nests inside it but run-queue locks
 * @ctlr: GICD_CTLR as the guest wrote it
 */
struct vgic {
	struct spinlock lock;
	u32 ctlr;
	struct vgic_irq *spis; /* VGIC_SPI_COUNT of them */
};

/**
 * vgic_set_line() - the input line of @intid is at @level
 * @vcpu: owner of an SGI or PPI; for an SPI any vCPU of the VM
 *
 * A rising level makes an edge-triggered interrupt pending. The vCPU that the interrupt goes to is
 * woken, or kicked. @vcpu need not run.
 */
void vgic_set_line(struct vcpu *vcpu, u32 intid, bool level);

/**
 * vgic_map_hw() - tie an SGI or PPI to physical interrupt @pintid: completion deactivates that
 * @is_asserted: whether the physical line is up; called while @vcpu is loaded on this CPU
 */
void vgic_map_hw(struct vcpu *vcpu, u32 intid, u32 pintid, bool (*is_asserted)(struct vcpu *));

/**
 * vgic_watch_spi() - somebody outside knows the level of an SPI's line, and is asked
 * @resample: the level now; called with the VM's vgic.lock held by vgic_resample_spi(), and while the
 *	line is up, when it is seen that the guest has acknowledged or completed the interrupt
 *
 * In between, vgic_set_line() raises the line. @resample is asked until @vm ends.
 */
void vgic_watch_spi(struct vm *vm, u32 intid, bool (*resample)(struct vm *vm, u32 intid));

/** vgic_resample_spi() - ask for the level of a watched SPI now: it may have fallen */
void vgic_resample_spi(struct vm *vm, u32 intid);

/**
 * vgic_is_live() - whether SGI or PPI @intid of @vcpu is pending or active, in memory or in a list
 * register: then the physical interrupt behind it has to stay active
 */
bool vgic_is_live(struct vcpu *vcpu, u32 intid);

/** vgic_has_deliverable() - whether the interface would signal an interrupt: ends WFI */
bool vgic_has_deliverable(struct vcpu *vcpu);

/** gic_set_active() - set or clear the physical active state of this CPU's PPI @intid */
void gic_set_active(u32 intid, bool active);

/**
 * gic_send_sgi() - send the physical SGI @intid (0-15) to @cpu, which has run its init_cpu
 *
 * A layer's kick tells another CPU so. A DSB goes before: the handler sees what was written.
 */
void gic_send_sgi(u32 intid, const struct cpu *cpu);

#endif
