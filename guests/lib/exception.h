/* SPDX-License-Identifier: MIT */
/*
 * Exceptions as a probe sees them: catch what an instruction raises, run code at EL1h, EL1t or
 * EL0, handle interrupts. Sections of the manual: Arm ARM DDI 0487, "Exception vectors", "ESR_EL1".
 */
#ifndef GUEST_EXCEPTION_H
#define GUEST_EXCEPTION_H

#define FRAME_X 0
#define FRAME_VECTOR 248
#define FRAME_ELR 256
#define FRAME_ESR 272
#define FRAME_SIZE 288

#define SVC_MODE_RETURN 0x5354

#define MODE_EL0 0x3c0
#define MODE_EL1T 0x3c4
#define MODE_EL1H 0x3c5

#ifndef __ASSEMBLER__
#include "lib/types.h"

#define VECTOR_SYNC_EL1T 0x000
#define VECTOR_SYNC_EL1H 0x200
#define VECTOR_IRQ_EL1H 0x280
#define VECTOR_SYNC_EL0 0x400
#define VECTOR_SYNC_EL0_A32 0x600

#define ESR_EC(esr) (((esr) >> 26) & 0x3f)
#define ESR_ISS(esr) (0x1ffffff & (esr))
#define ESR_DFSC(esr) (0x3f & (esr))
#define ESR_UNDEFINED 0x02000000UL /* EC 0, IL 1, ISS 0: "Unknown reason" */
#define ESR_EC_UNKNOWN 0x00
#define ESR_EC_SVC64 0x15
#define ESR_EC_SYSREG 0x18
#define ESR_EC_IABT_LOWER 0x20
#define ESR_EC_IABT_SAME 0x21
#define ESR_EC_PC_ALIGNMENT 0x22
#define ESR_EC_DABT_LOWER 0x24
#define ESR_EC_DABT_SAME 0x25
#define ESR_EC_BRK64 0x3c
#define FSC_EXTERNAL 0x10 /* synchronous External abort, not on a table walk */

/** struct exception_frame - the interrupted code's registers, in the layout that start.S saves */
struct exception_frame {
	u64 x[31];
	u64 vector; /* offset from VBAR_EL1 */
	u64 elr;
	u64 spsr;
	u64 esr;
	u64 far;
};

/** exception_seen - the last synchronous exception or SError that was caught */
extern struct exception_frame exception_seen;

/** exception_count - caught since the start */
extern u64 exception_count;

/**
 * exception_catch() - run @fn(@arg) in @mode (MODE_*), all interrupts masked
 *
 * At EL1t and EL0 it runs on a stack of its own. Return: true when @fn ended by an exception,
 * which is then in exception_seen; false when it returned. An exception outside of this call
 * is reported as a failure and ends the probe.
 */
bool exception_catch(u64 mode, void (*fn)(void *), void *arg);

/**
 * insn_try() - execute one A64 instruction word in @mode with x0 = value[0], x1 = value[1]
 *
 * Afterwards value[] holds x0 and x1, unless it raised an exception. The instruction must not
 * use x9, x30 or branch. Return: true when it raised one (then exception_seen.elr is
 * insn_address() if the exception was precise).
 */
bool insn_try(u64 mode, u32 insn, u64 value[2]);

/** insn_address() - where insn_try() executes */
u64 insn_address(void);

/**
 * irq_handler_set() - @handler is called for each IRQ and FIQ, with interrupts masked
 *
 * Without a handler an interrupt is an exception that nobody expected.
 */
void irq_handler_set(void (*handler)(struct exception_frame *frame));

/** irq_enable() / irq_disable() - PSTATE.I of this CPU */
static inline void irq_enable(void)
{
	asm volatile("msr daifclr, #2\n\tisb" ::: "memory");
}

static inline void irq_disable(void)
{
	asm volatile("msr daifset, #2" ::: "memory");
}

#endif
#endif
