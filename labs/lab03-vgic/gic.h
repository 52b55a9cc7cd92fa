/* SPDX-License-Identifier: MIT */
/*
 * Inside layer 3: the physical interrupt controller as the rest of the layer sees it.
 *
 * Two drivers, one for GICv3 (IHI 0069: system registers, redistributors), one for GICv2
 * (IHI 0048: everything memory-mapped). Which one is chosen when EL2 starts. What concerns the
 * virtual interface speaks GICv3 formats in both.
 */
#ifndef STRATA_GIC_H
#define STRATA_GIC_H

#include "lib/types.h"
#include "registry.h"
#include "vgic.h"

#define GIC_INTID_COUNT 1020 /* from here on: special values of the acknowledge register */
#define GIC_INTID_LAST_SPECIAL 1023
#define GIC_PRIORITY 0xa0 /* of everything that EL2 takes: nothing preempts at EL2 */

/* Distributor registers that both versions have. */
#define GICD_CTLR 0x000
#define GICD_TYPER 0x004
#define GICD_IGROUPR 0x080
#define GICD_ISENABLER 0x100
#define GICD_ICENABLER 0x180
#define GICD_ICPENDR 0x280
#define GICD_ISACTIVER 0x300
#define GICD_ICACTIVER 0x380
#define GICD_IPRIORITYR 0x400
#define GICD_ICFGR 0xc00
#define GICD_TYPER_LINES_MASK 0x1f

/**
 * struct gic_driver - the physical GIC, and the virtual interface of the CPU that calls
 * @intid_mask: the INTID in what @acknowledge returns
 * @lr_count: number of list registers, valid after @init_cpu
 * @completes_hw: a list register with HW set works as it should; otherwise the completion of an hw
 *	interrupt has to be seen, and the physical interrupt deactivated, by software
 * @init: distributor: every SPI disabled, inactive, at GIC_PRIORITY, EL2's group
 * @init_cpu: this CPU's SGIs, PPIs and interfaces, with priority drop and deactivation separate
 * @enable: configure the trigger of @intid, route an SPI to this CPU, enable
 * @disable: mask @intid
 * @acknowledge: take the highest-priority pending interrupt: becomes active
 * @end: priority drop, of a value that @acknowledge returned
 * @deactivate: end of its handling, likewise
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

/**
 * gic_irq() - acknowledge, dispatch and complete until nothing is pending at this CPU
 *
 * Called at EL2 with interrupts masked. A handler that answers IRQ_FORWARDED leaves its interrupt
 * active: it cannot fire again until a guest completes it.
 */
void gic_irq(struct cpu *cpu);

#endif
