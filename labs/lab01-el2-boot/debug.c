// SPDX-License-Identifier: MIT
/*
 * Self-hosted debug of a guest: breakpoints, watchpoints, software step, OS lock.
 *
 * Every access to a debug register traps, so vcpu->debug is always right: nothing is saved when a
 * vCPU leaves a CPU. The hardware has a copy of the breakpoints and watchpoints while a vCPU is
 * loaded that can use them: one with MDSCR_EL1.MDE set. Without MDE breakpoints and watchpoints
 * match nothing, whoever set them, so switching to a vCPU that does not debug costs one look at its
 * MDSCR_EL1.
 *
 * The guest cannot get the registers themselves, as it gets those of SIMD. MDCR_EL2.TDA also guards
 * the breakpoints beyond those announced, the debug communications channel, which would connect
 * VMs, and an MDSCR_EL1 that knows nothing of the guest's lock.
 *
 * No debug exception is taken at EL2 or to it: with MDCR_EL2.TDE = 0 they target EL1, and a level
 * above the target generates none (Arm ARM, "Enabling debug exceptions from the current Exception
 * level"). All the same, no control register in the hardware names a level above EL1.
 *
 * Manual: Arm ARM, "AArch64 Self-hosted Debug", "The OS Lock and the OS Double Lock".
 */
#include "el2_boot.h"
#include "internal.h"
#include "lib/bits.h"
#include "lib/string.h"

#define MDSCR_GUEST (MDSCR_EL1_SS | MDSCR_EL1_TDCC | MDSCR_EL1_KDE | MDSCR_EL1_MDE)

/* Fields of DBGBCR<n>_EL1 and DBGWCR<n>_EL1. */
#define DBGCR_E BIT(0)
#define DBGCR_PXC bits_mask(2, 1) /* PMC, PAC */
#define DBGCR_SHARED (DBGCR_E | DBGCR_PXC | bits_mask(19, 13)) /* and HMC, SSC, LBN */
#define DBGBCR_BAS bits_mask(8, 5)
#define DBGBCR_BT bits_mask(23, 20)
#define DBGWCR_LSC_BAS bits_mask(12, 3)
#define DBGWCR_WT BIT(20)
#define DBGWCR_MASK bits_mask(28, 24)
#define BT_LINKED_ADDRESS 1
#define BT_LINKED_CONTEXT 3 /* of CONTEXTIDR_EL1; higher types are for EL2 or AArch32 */

/*
 * ID_AA64DFR0_EL1 as guests see it announces two breakpoints, the smallest number there is, of
 * which the last, number 1, can also match contexts (CTX_CMPs = 0). The hardware's last breakpoint
 * does that.
 */
#define CONTEXT_BREAKPOINT 1

/* ---- the hardware ---- */

#define PAIR(kind, n)                                                                              \
	case n:                                                                                    \
		write_sysreg(dbg##kind##vr##n##_el1, value);                                       \
		write_sysreg(dbg##kind##cr##n##_el1, control);                                     \
		break
#define PAIRS(kind)                                                                                \
	PAIR(kind, 0);                                                                             \
	PAIR(kind, 1);                                                                             \
	PAIR(kind, 2);                                                                             \
	PAIR(kind, 3);                                                                             \
	PAIR(kind, 4);                                                                             \
	PAIR(kind, 5);                                                                             \
	PAIR(kind, 6);                                                                             \
	PAIR(kind, 7);                                                                             \
	PAIR(kind, 8);                                                                             \
	PAIR(kind, 9);                                                                             \
	PAIR(kind, 10);                                                                            \
	PAIR(kind, 11);                                                                            \
	PAIR(kind, 12);                                                                            \
	PAIR(kind, 13);                                                                            \
	PAIR(kind, 14);                                                                            \
	PAIR(kind, 15)

/* A case for each, since MSR names its register in the instruction. */
static void write_breakpoint(unsigned number, u64 value, u64 control)
{
	switch (number) {
		PAIRS(b);
	}
}

static void write_watchpoint(unsigned number, u64 value, u64 control)
{
	switch (number) {
		PAIRS(w);
	}
}

static unsigned last_breakpoint(void)
{
	return (unsigned)bits_get(read_sysreg(id_aa64dfr0_el1), 15, 12);
}

static unsigned last_watchpoint(void)
{
	return (unsigned)bits_get(read_sysreg(id_aa64dfr0_el1), 23, 20);
}

void debug_init_cpu(void)
{
	write_sysreg(oslar_el1, 0);
	write_sysreg(osdlr_el1, 0);
	write_sysreg(mdscr_el1, 0);
	for (unsigned n = 0; n <= last_breakpoint(); n++)
		write_breakpoint(n, 0, 0);
	for (unsigned n = 0; n <= last_watchpoint(); n++)
		write_watchpoint(n, 0, 0);
	isb();
}

/* ---- from the guest's registers to the hardware's ---- */

/*
 * HMC and SSC are 0: PMC or PAC then chooses between EL1 and EL0. Their other values are about
 * levels and a security state that a guest does not have. A link to anything but the breakpoint
 * that matches contexts matches nothing.
 */
static u64 hardware_control(u64 control, u64 kept, bool linked)
{
	if (linked && bits_get(control, 19, 16) != CONTEXT_BREAKPOINT)
		return 0;
	return (control & (DBGCR_E | DBGCR_PXC | kept)) |
	       (linked ? bits_set(0, 19, 16, last_breakpoint()) : 0);
}

static u64 breakpoint_control(u64 control)
{
	u64 type = bits_get(control, 23, 20);

	if (type > BT_LINKED_CONTEXT)
		return 0;
	return hardware_control(control, DBGBCR_BAS | DBGBCR_BT, type == BT_LINKED_ADDRESS);
}

static u64 watchpoint_control(u64 control)
{
	return hardware_control(control, DBGWCR_LSC_BAS | DBGWCR_WT | DBGWCR_MASK,
				control & DBGWCR_WT);
}

void debug_load(const struct vcpu *vcpu)
{
	const struct debug_state *debug = &vcpu->debug;

	for (unsigned n = 0; n < DEBUG_PAIRS; n++) {
		write_breakpoint(n == CONTEXT_BREAKPOINT ? last_breakpoint() : n,
				 debug->pair[n].bvr, breakpoint_control(debug->pair[n].bcr));
		write_watchpoint(n, debug->pair[n].wvr, watchpoint_control(debug->pair[n].wcr));
	}
}

/*
 * The guest changed a register: update the hardware's MDSCR_EL1 and, with MDE, its breakpoints and
 * watchpoints. A lock of the guest suppresses all debug exceptions but BRK's. The hardware's own
 * lock stays open, for EL2 to write these registers.
 */
static void debug_changed(struct vcpu *vcpu)
{
	const struct debug_state *debug = &vcpu->debug;
	bool locked = debug->os_lock || debug->double_lock;

	vcpu->el1.mdscr = debug->mdscr & ~(locked ? MDSCR_EL1_SS | MDSCR_EL1_MDE : 0);
	write_sysreg(mdscr_el1, vcpu->el1.mdscr);
	if (vcpu->el1.mdscr & MDSCR_EL1_MDE)
		debug_load(vcpu);
}

void debug_reset(struct vcpu *vcpu)
{
	vcpu->debug = (struct debug_state){.os_lock = true};
}

/* ---- accesses ---- */

/* FEAT_DoubleLock is there when the field is 0. */
static bool has_double_lock(void)
{
	return bits_get(read_sysreg(id_aa64dfr0_el1), 39, 36) == 0;
}

#define MDSCR_EL1 SYSREG_ENCODING(2, 0, 0, 2, 2)
#define OSLAR_EL1 SYSREG_ENCODING(2, 0, 1, 0, 4)
#define OSLSR_EL1 SYSREG_ENCODING(2, 0, 1, 1, 4)
#define OSDLR_EL1 SYSREG_ENCODING(2, 0, 1, 3, 4)

/* Registers that read as zero and ignore writes: nobody is at the other end of the channel. */
static const struct {
	u32 encoding;
	bool readable, writable;
} ignored[] = {
	{SYSREG_ENCODING(2, 0, 0, 0, 2), true, true}, /* OSDTRRX_EL1 */
	{SYSREG_ENCODING(2, 0, 0, 2, 0), true, true}, /* MDCCINT_EL1 */
	{SYSREG_ENCODING(2, 0, 0, 3, 2), true, true}, /* OSDTRTX_EL1 */
	{SYSREG_ENCODING(2, 0, 0, 6, 2), true, true}, /* OSECCR_EL1 */
	{SYSREG_ENCODING(2, 0, 1, 0, 0), true, false}, /* MDRAR_EL1 */
	{SYSREG_ENCODING(2, 0, 1, 4, 4), true, true}, /* DBGPRCR_EL1 */
	{SYSREG_ENCODING(2, 0, 7, 8, 6), true, true}, /* DBGCLAIMSET_EL1 */
	{SYSREG_ENCODING(2, 0, 7, 9, 6), true, true}, /* DBGCLAIMCLR_EL1 */
	{SYSREG_ENCODING(2, 0, 7, 14, 6), true, false}, /* DBGAUTHSTATUS_EL1 */
	{SYSREG_ENCODING(2, 3, 0, 1, 0), true, false}, /* MDCCSR_EL0 */
	{SYSREG_ENCODING(2, 3, 0, 4, 0), true, true}, /* DBGDTR_EL0 */
	{SYSREG_ENCODING(2, 3, 0, 5, 0), true, true}, /* DBGDTRRX_EL0, DBGDTRTX_EL0 */
};

static enum trap_result ignore(struct sysreg_access *access)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++) {
		bool exists = access->is_write ? ignored[i].writable : ignored[i].readable;

		if (ignored[i].encoding == access->encoding && exists) {
			access->value = 0;
			return TRAP_SKIP_INSN;
		}
	}
	return TRAP_REFLECT;
}

/* The register of a breakpoint or watchpoint, NULL beyond those announced; *@bits: not RES0. */
static u64 *pair_register(struct debug_state *debug, u32 encoding, u64 *bits)
{
	unsigned number = sysreg_crm(encoding);

	if (sysreg_op1(encoding) || sysreg_crn(encoding) || number >= DEBUG_PAIRS)
		return NULL;
	switch (sysreg_op2(encoding)) {
	case 4:
		*bits = ~0UL;
		return &debug->pair[number].bvr;
	case 5:
		*bits = DBGCR_SHARED | DBGBCR_BAS | DBGBCR_BT;
		return &debug->pair[number].bcr;
	case 6:
		*bits = ~bits_mask(1, 0);
		return &debug->pair[number].wvr;
	case 7:
		*bits = DBGCR_SHARED | DBGWCR_LSC_BAS | DBGWCR_WT | DBGWCR_MASK;
		return &debug->pair[number].wcr;
	default:
		return NULL;
	}
}

static enum trap_result keep(struct vcpu *vcpu, struct sysreg_access *access, u64 *value, u64 bits)
{
	if (access->is_write) {
		*value = access->value & bits;
		debug_changed(vcpu);
	} else {
		access->value = *value;
	}
	return TRAP_SKIP_INSN;
}

static enum trap_result os_lock(struct vcpu *vcpu, struct sysreg_access *access)
{
	bool is_lock = access->encoding == OSLAR_EL1;

	if (is_lock != access->is_write) /* OSLAR is write-only, OSLSR read-only */
		return TRAP_REFLECT;
	if (is_lock) {
		vcpu->debug.os_lock = access->value & 1;
		debug_changed(vcpu);
	} else {
		access->value = OSLSR_EL1_OSLM | (vcpu->debug.os_lock ? OSLSR_EL1_OSLK : 0);
	}
	return TRAP_SKIP_INSN;
}

/*
 * At EL0 only the channel's registers exist (op1 = 3). With MDSCR_EL1.TDCC set EL0 may not use
 * them: EL1 takes the trap that the CPU would have raised.
 */
static enum trap_result el0_register(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (sysreg_op1(access->encoding) != 3)
		return TRAP_REFLECT;
	if (!(vcpu->debug.mdscr & MDSCR_EL1_TDCC))
		return ignore(access);
	inject_exception(vcpu, vcpu->exit.esr);
	return TRAP_RESUME;
}

enum trap_result debug_register(struct vcpu *vcpu, struct sysreg_access *access)
{
	struct debug_state *debug = &vcpu->debug;
	u64 bits, *value = pair_register(debug, access->encoding, &bits);

	if ((vcpu->frame.pstate & SPSR_M_MASK) == SPSR_EL0T)
		return el0_register(vcpu, access);
	if (value)
		return keep(vcpu, access, value, bits);
	switch (access->encoding) {
	case MDSCR_EL1:
		return keep(vcpu, access, &debug->mdscr, MDSCR_GUEST);
	case OSDLR_EL1:
		return keep(vcpu, access, &debug->double_lock, has_double_lock() ? 1 : 0);
	case OSLAR_EL1:
	case OSLSR_EL1:
		return os_lock(vcpu, access);
	default:
		return ignore(access);
	}
}
