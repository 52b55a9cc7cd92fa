// SPDX-License-Identifier: MIT
/*
 * Trapped system registers that no layer claims one by one: whole groups with one answer.
 *
 *	identification	through the allow-list (id_registers.c)
 *	debug		MDSCR_EL1 is the guest's own, switched with it; the OS lock reads unlocked,
 *			breakpoints and watchpoints read as zero and ignore writes
 *	DC xSW		nothing: set/way maintenance cannot be virtualized, and EL2 hands out
 *			memory clean to the point of coherency
 *	the rest	UNDEFINED, as on a CPU without the feature
 */
#include "el2_boot.h"
#include "lib/bits.h"

static u32 op0(u32 encoding)
{
	return bits_get(encoding, 21, 20);
}

static u32 op1(u32 encoding)
{
	return bits_get(encoding, 16, 14);
}

static u32 crn(u32 encoding)
{
	return bits_get(encoding, 13, 10);
}

static u32 crm(u32 encoding)
{
	return bits_get(encoding, 4, 1);
}

#define MDSCR_EL1 SYSREG_ENCODING(2, 0, 0, 2, 2)
#define OSLSR_EL1 SYSREG_ENCODING(2, 0, 1, 1, 4)
#define OSLSR_OSLM 0x8 /* OS lock implemented, unlocked, 32-bit access not needed */
#define ACTLR_EL1 SYSREG_ENCODING(3, 0, 1, 0, 1)
#define MDSCR_GUEST (BIT(0) | BIT(12) | BIT(13) | BIT(15)) /* SS, TDCC, KDE, MDE */

/* EL1's debug registers live at op0 2, op1 0; other values of op1 are EL0's channel and trace. */
static enum trap_result debug_register(struct vcpu *vcpu, struct sysreg_access *access)
{
	if (op1(access->encoding) != 0)
		return TRAP_REFLECT;
	if (access->encoding == MDSCR_EL1 && access->is_write) {
		vcpu->el1.mdscr = access->value & MDSCR_GUEST;
		write_sysreg(mdscr_el1, vcpu->el1.mdscr);
	} else if (access->encoding == MDSCR_EL1) {
		access->value = vcpu->el1.mdscr;
	} else {
		access->value = access->encoding == OSLSR_EL1 ? OSLSR_OSLM : 0;
	}
	return TRAP_SKIP_INSN;
}

static bool is_set_way(u32 encoding)
{
	return encoding == SYSREG_ENCODING(1, 0, 7, 6, 2) ||
	       encoding == SYSREG_ENCODING(1, 0, 7, 10, 2) ||
	       encoding == SYSREG_ENCODING(1, 0, 7, 14, 2);
}

enum trap_result sysreg_fallback(struct vcpu *vcpu, struct sysreg_access *access)
{
	u32 encoding = access->encoding;

	if ((vcpu->frame.pstate & SPSR_M_MASK) == SPSR_EL0T)
		return TRAP_REFLECT;
	if (op0(encoding) == 2)
		return debug_register(vcpu, access);
	if (is_set_way(encoding))
		return TRAP_SKIP_INSN;
	if (encoding == ACTLR_EL1) {
		access->value = 0;
		return TRAP_SKIP_INSN;
	}
	if (op0(encoding) == 3 && op1(encoding) == 0 && crn(encoding) == 0 && crm(encoding) >= 1 &&
	    crm(encoding) <= 7 && !access->is_write) {
		access->value = id_register_guest(encoding);
		return TRAP_SKIP_INSN;
	}
	return TRAP_REFLECT;
}
