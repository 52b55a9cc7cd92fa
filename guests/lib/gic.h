/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller from inside a VM, GICv2 or GICv3 behind one set of names. The version
 * is what ID_AA64PFR0_EL1.GIC says. Manuals: IHI 0048 (GICv2), IHI 0069 (GICv3).
 */
#ifndef GUEST_GIC_H
#define GUEST_GIC_H

#include "exception.h"
#include "lib/gic_regs.h"
#include "lib/guest_map.h"
#include "lib/types.h"

#define GICD_BASE GUEST_GICD_BASE
#define GICC_BASE GUEST_GICC_BASE
#define GICR_BASE GUEST_GICR_BASE
#define GICR_SGI_BASE (GICR_BASE + GICR_SGI_FRAME)

#define INTID_UART GUEST_UART_INTID
#define INTID_VTIMER 27
#define INTID_PTIMER 30
#define INTID_SPURIOUS 1023

#define PRIORITY_DEFAULT 0xa0

/** gic_version() - 2 or 3 */
unsigned gic_version(void);

/**
 * gic_init() - distributor on, all interrupts disabled and of default priority, interface on,
 * nothing masked by priority, completion in one step (EOI deactivates), irq_log_handler() set
 */
void gic_init(void);

/** gic_init_cpu() - of that the part that each CPU has to itself, on a CPU that was started later */
void gic_init_cpu(void);

/** gic_frame() - base of the register frame that holds @intid: GICD, or this CPU's SGI frame */
u64 gic_frame(u32 intid);

/** gic_bit_set() / gic_bit_get() - @intid's bit in a one-bit register array (GICD_ISENABLER, ...) */
void gic_bit_set(u64 array, u32 intid);
bool gic_bit_get(u64 array, u32 intid);

void gic_enable(u32 intid);
void gic_disable(u32 intid);
void gic_set_pending(u32 intid);
void gic_clear_pending(u32 intid);
bool gic_is_pending(u32 intid);
bool gic_is_active(u32 intid);
void gic_set_priority(u32 intid, u8 priority);
u8 gic_priority(u32 intid);
void gic_set_edge(u32 intid, bool edge);

/** gic_ack() - read IAR: the whole value (GICv2: source CPU in bits 12:10) */
u32 gic_ack(void);
/** gic_eoi() - write what gic_ack() returned to EOIR */
void gic_eoi(u32 iar);
/** gic_dir() - deactivate, with gic_set_split_eoi(true) */
void gic_dir(u32 iar);
void gic_set_split_eoi(bool split);
void gic_set_priority_mask(u8 mask);
u8 gic_priority_mask(void);
u8 gic_running_priority(void);
u32 gic_highest_pending(void);

/** gic_send_sgi() - software interrupt @intid (0..15) to the vCPUs of @targets, bit n = vCPU n */
void gic_send_sgi(u32 intid, u32 targets);
void gic_send_sgi_self(u32 intid);
void gic_send_sgi_others(u32 intid);

/** irq_is_signalled() - ISR_EL1.I: an interrupt waits for PSTATE.I to be cleared */
bool irq_is_signalled(void);

/** irq_wait_signalled() - poll irq_is_signalled() for a bounded number of rounds */
bool irq_wait_signalled(void);

#define IRQ_LOG_MAX 512

/** irq_log - what irq_log_handler() has taken since irq_log_clear() */
struct irq_log {
	u32 count;
	u32 spurious;
	u32 iar[IRQ_LOG_MAX];
	u64 ticks; /* counter at the last one */
};
extern struct irq_log irq_log;
void irq_log_clear(void);

/** irq_log_handler() - the handler after gic_init(): acknowledge, log, complete; masks a timer */
void irq_log_handler(struct exception_frame *frame);

/** irq_wait_count() - with interrupts open, poll until irq_log.count >= @count; bounded */
bool irq_wait_count(u32 count);

#endif
