/* SPDX-License-Identifier: MIT */
/*
 * Contract of layer 3: the interrupts of a VM.
 *
 * All state lives in memory, one struct vgic_irq an interrupt. List registers are a cache of it,
 * filled before a vCPU runs and folded back when somebody needs the truth. Formats are those of the
 * GICv3 system registers (IHI 0069, "AArch64 System register descriptions"); on a GICv2 the driver
 * converts, so that tests and debugger commands read one layout.
 */
#ifndef STRATA_VGIC_H
#define STRATA_VGIC_H

#include "lib/gic_regs.h"
#include "lib/list.h"
#include "lib/types.h"
#include "spinlock.h"

struct vm;
struct vcpu;
struct cpu;

#define VGIC_INTID_COUNT 256 /* SGIs 0-15, PPIs 16-31, SPIs 32-255 */
#define VGIC_SPI_COUNT (VGIC_INTID_COUNT - GIC_PRIVATE_COUNT)
#define VGIC_LR_MAX 16
#define VGIC_NO_LR 0xff

/* Implemented bits of a virtual priority: five, as many as list registers of a GICv2 hold. */
#define VGIC_PRIORITY_MASK 0xf8

/** enum vgic_irq_request - an order to the CPU whose list register, or physical PPI, it concerns */
enum vgic_irq_request {
	VGIC_IRQ_NO_REQUEST,
	VGIC_IRQ_ACTIVATE,
	VGIC_IRQ_DEACTIVATE,
};

/** struct vgic_irq - one interrupt of a VM (SPI) or of a vCPU (SGI, PPI) */
struct vgic_irq {
	struct list node; /* on vcpu->vgic.ap_list while it is pending or active there */
	struct vcpu *vcpu; /* whose list it is on; owner of a private interrupt */
	u64 route; /* SPI: GICD_IROUTER; GICv2: target byte mask */
	u16 intid;
	u8 priority;
	u8 listed_priority; /* the one that its place on the list is due to */
	u8 lr; /* list register that caches it, or VGIC_NO_LR */
	u8 sources; /* GICv2 SGI: bit per requesting CPU */
	u8 active_source; /* GICv2 SGI: requester of the active or cached instance */
	bool enabled;
	bool pending_latch; /* pending by edge, or by a write to ISPENDR */
	bool latch_in_lr; /* the same, moved into list register @lr: gone once that is not pending */
	bool line_level; /* level of the input */
	bool active;
	bool edge;
	bool group1;
	bool hw; /* completion deactivates physical interrupt @pintid */
	u8 request; /* enum vgic_irq_request, carried out when its vCPU is folded or refilled */
	u16 pintid;
	bool (*is_asserted)(struct vcpu *vcpu); /* hw: sample the physical line of a loaded vCPU */
};

/**
 * struct vgic_cpu - virtual interface of a vCPU
 * @lr: list registers as last written or read, GICv3 layout (ICH_LR<n>_EL2)
 * @vmcr, @ap0r, @ap1r: ICH_VMCR_EL2 and active priorities of a vCPU that is not loaded
 * @hcr: ICH_HCR_EL2 as last written
 * @lr_used: bit n: lr[n] was filled with an interrupt
 * @hw_mask: bit n: private interrupt n is tied to a physical one (vgic_map_hw())
 * @refills: how often list registers were folded to be filled again
 * @resident: the virtual interface of vcpu->cpu is this vCPU's: @vmcr, @ap0r, @ap1r are stale
 * @loaded: list registers hold the truth about what is in lr[]; implies @resident
 * @ap_list: its pending and active interrupts, highest priority first
 */
struct vgic_cpu {
	u64 lr[VGIC_LR_MAX];
	u64 vmcr;
	u64 hcr;
	u64 ap0r, ap1r;
	u32 lr_used;
	u32 hw_mask;
	u32 refills;
	bool resident;
	bool loaded;
	struct list ap_list;
	struct vgic_irq private_irqs[GIC_PRIVATE_COUNT];
};

/**
 * struct vgic - interrupt controller of a VM
 * @lock: protects every irq of the VM and the lists; nests inside the VM's device lock, nothing
 *	nests inside it but run-queue locks
 * @ctlr: GICD_CTLR as the guest wrote it
 */
struct vgic {
	struct spinlock lock;
	u32 ctlr;
	struct vgic_irq *spis; /* VGIC_SPI_COUNT of them */
};

/**
 * vgic_set_line() - the level of @intid's input changes
 * @vcpu: owner for an SGI or PPI, any vCPU of the VM for an SPI
 *
 * For an edge-triggered interrupt a rising level makes it pending. Wakes and kicks the vCPU that
 * the interrupt goes to. Callable for a vCPU that does not run.
 */
void vgic_set_line(struct vcpu *vcpu, u32 intid, bool level);

/**
 * vgic_map_hw() - tie a private interrupt to a physical one: completion deactivates it
 * @is_asserted: tells whether the physical line is up while @vcpu is loaded on this CPU
 */
void vgic_map_hw(struct vcpu *vcpu, u32 intid, u32 pintid, bool (*is_asserted)(struct vcpu *));

/**
 * vgic_is_live() - whether @intid (private) is pending or active at @vcpu, in memory or in a list
 * register: the physical interrupt behind a hw one must then be kept active
 */
bool vgic_is_live(struct vcpu *vcpu, u32 intid);

/** vgic_has_deliverable() - whether the interface would signal an interrupt: ends WFI */
bool vgic_has_deliverable(struct vcpu *vcpu);

/** gic_set_active() - set or clear the physical active state of this CPU's PPI @intid */
void gic_set_active(u32 intid, bool active);

/**
 * gic_send_sgi() - send the physical SGI @intid (0-15) to @cpu, which has run its init_cpu
 *
 * What was written before is seen by its handler (DSB): how a layer's kick tells another CPU.
 */
void gic_send_sgi(u32 intid, const struct cpu *cpu);

/** gic_version() - 2 or 3: the physical GIC, and so the one that guests see */
unsigned gic_version(void);

#endif
