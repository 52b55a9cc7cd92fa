// SPDX-License-Identifier: MIT
/*
 * Trapped system registers that no layer claims one by one: whole groups with one answer.
 *
 *	identification	REVIDR_EL1 and AIDR_EL1, which HCR_EL2.TID1 traps together with SMIDR_EL1, have
 *			the CPU's value; what TID3 traps is in id_registers.c
 *	debug		the guest's own (debug.c)
 *	DC xSW		ignored: set/way maintenance cannot be virtualized, and need not, since
 *			EL2 hands out memory that is clean to the point of coherency
 *	the rest	UNDEFINED, as on a CPU without the feature
 */
#include "el2_boot.h"
#include "internal.h"

#define REVIDR_EL1 SYSREG_ENCODING(3, 0, 0, 0, 6)
#define AIDR_EL1 SYSREG_ENCODING(3, 1, 0, 0, 7)
#define ACTLR_EL1 SYSREG_ENCODING(3, 0, 1, 0, 1)

static bool is_set_way(u32 encoding)
{
	return encoding == SYSREG_ENCODING(1, 0, 7, 6, 2) ||
	       encoding == SYSREG_ENCODING(1, 0, 7, 10, 2) ||
	       encoding == SYSREG_ENCODING(1, 0, 7, 14, 2);
}

enum trap_result sysreg_fallback(struct vcpu *vcpu, struct sysreg_access *access)
{
	u32 encoding = access->encoding;

	if (sysreg_op0(encoding) == 2)
		return debug_register(vcpu, access);
	if ((vcpu->frame.pstate & SPSR_M_MASK) == SPSR_EL0T)
		return TRAP_REFLECT;
	if (is_set_way(encoding))
		return TRAP_SKIP_INSN;
	if (encoding == ACTLR_EL1) {
		access->value = 0;
		return TRAP_SKIP_INSN;
	}
	if (encoding == REVIDR_EL1 && !access->is_write) {
		access->value = read_sysreg(revidr_el1);
		return TRAP_SKIP_INSN;
	}
	if (encoding == AIDR_EL1 && !access->is_write) {
		access->value = read_sysreg(aidr_el1);
		return TRAP_SKIP_INSN;
	}
	return TRAP_REFLECT;
}
