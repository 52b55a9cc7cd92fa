// SPDX-License-Identifier: MIT
/*
 * System registers from AArch32, in which a guest's EL0 alone can be.
 *
 * MRC, MCR, MRRC and MCRR trap with exception classes of their own. What they name is mostly an
 * AArch64 register under another name: it is translated, and emulated as that one. Everything else
 * is UNDEFINED: EL1 being AArch64 only, DBGDIDR, DBGDRAR and DBGDSAR are optional, and so LDC and
 * STC, which move the words of a channel at whose other end nobody is.
 *
 * Manual: Arm ARM, "ISS encoding for an exception from an MCR or MRC access", "... from an MCRR or
 * MRRC access".
 */
#include "el2_boot.h"
#include "internal.h"
#include "lib/bits.h"

/* Where opc1, CRn, CRm and opc2 stand in the ISS of MRC, A64's have their places too. */
#define MRC(opc1, crn, crm, opc2) SYSREG_ENCODING(0, opc1, crn, crm, opc2)
#define MRC_MASK MRC(7, 15, 15, 7)
#define MRRC(opc1, crm) ((u32)(opc1) << 16 | (u32)(crm) << 1)
#define MRRC_MASK MRRC(15, 15)
#define RT_APSR 31 /* Rt of "MRC APSR_nzcv" */

static const struct {
	u32 ec, name, encoding;
} aliases[] = {
	{ESR_EC_CP14_32, MRC(0, 0, 1, 0), SYSREG_ENCODING(2, 3, 0, 1, 0)}, /* DBGDSCRint: MDCCSR */
	{ESR_EC_CP14_32, MRC(0, 0, 5, 0), SYSREG_ENCODING(2, 3, 0, 5, 0)}, /* DBGDTRRX, TXint */
	{ESR_EC_CP15_32, MRC(0, 14, 2, 0), SYSREG_ENCODING(3, 3, 14, 2, 0)}, /* CNTP_TVAL */
	{ESR_EC_CP15_32, MRC(0, 14, 2, 1), SYSREG_ENCODING(3, 3, 14, 2, 1)}, /* CNTP_CTL */
	{ESR_EC_CP15_64, MRRC(0, 14), SYSREG_ENCODING(3, 3, 14, 0, 1)}, /* CNTPCT */
	{ESR_EC_CP15_64, MRRC(2, 14), SYSREG_ENCODING(3, 3, 14, 2, 2)}, /* CNTP_CVAL */
};

/* The register's encoding in AArch64, 0 when there is none for a guest; no register has that. */
static u32 alias_of(u64 esr, u64 name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (aliases[i].ec == (u32)esr >> ESR_EC_SHIFT && aliases[i].name == name)
			return aliases[i].encoding;
	}
	return 0;
}

static u32 read_register(const struct vcpu *vcpu, unsigned rt)
{
	return rt == RT_APSR ? 0 : (u32)vcpu->frame.x[rt];
}

/* MRC to "PC" gives the flags. */
static void write_register(struct vcpu *vcpu, unsigned rt, u32 value)
{
	u64 *pstate = &vcpu->frame.pstate;

	if (rt == RT_APSR)
		*pstate = bits_set(*pstate, 31, 28, value >> 28);
	else
		vcpu->frame.x[rt] = value;
}

/* MRC and MCR: 32 bits. An instruction whose condition fails changes nothing. */
enum trap_result trap_mrc(struct vcpu *vcpu, u64 esr)
{
	unsigned rt = bits_get(esr, 9, 5);
	struct sysreg_access access = {
		.encoding = alias_of(esr, esr & MRC_MASK),
		.is_write = !(esr & 1),
		.value = read_register(vcpu, rt),
	};
	enum trap_result result;

	if (!trap_condition_passed(vcpu, esr))
		return TRAP_SKIP_INSN;
	if (!access.encoding)
		return TRAP_REFLECT;
	result = sysreg_emulate(vcpu, &access);
	if (result == TRAP_SKIP_INSN && !access.is_write)
		write_register(vcpu, rt, (u32)access.value);
	return result;
}

/* MRRC and MCRR: 64 bits in two registers, the first of which has the lower half. */
enum trap_result trap_mrrc(struct vcpu *vcpu, u64 esr)
{
	unsigned rt = bits_get(esr, 9, 5), rt2 = bits_get(esr, 14, 10);
	struct sysreg_access access = {
		.encoding = alias_of(esr, esr & MRRC_MASK),
		.is_write = !(esr & 1),
		.value = (u64)read_register(vcpu, rt2) << 32 | read_register(vcpu, rt),
	};
	enum trap_result result;

	if (!trap_condition_passed(vcpu, esr))
		return TRAP_SKIP_INSN;
	if (!access.encoding)
		return TRAP_REFLECT;
	result = sysreg_emulate(vcpu, &access);
	if (result == TRAP_SKIP_INSN && !access.is_write) {
		write_register(vcpu, rt, (u32)access.value);
		write_register(vcpu, rt2, (u32)(access.value >> 32));
	}
	return result;
}
