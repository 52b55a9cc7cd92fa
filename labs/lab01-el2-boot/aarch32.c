// SPDX-License-Identifier: MIT
/*
 * System registers from AArch32, in which a guest's EL0 alone can be.
 *
 * MRC, MCR, MRRC and MCRR trap with exception classes of their own. Most of what they name is an
 * AArch64 register under another name: it is translated, and emulated as that one. Everything else
 * is UNDEFINED. DBGDIDR, DBGDRAR and DBGDSAR are optional where EL1 is AArch64 only. So are LDC and
 * STC, which move words of the debug communications channel; nobody is at its other end.
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

/* MRRC or MCRR, which move 64 bits in two registers. */
static bool is_pair(u64 esr)
{
	return esr_ec(esr) == ESR_EC_CP15_64 || esr_ec(esr) == ESR_EC_CP14_64;
}

/* The encoding in AArch64; 0, which no register has, if there is none for a guest. */
static u32 alias_of(u64 esr)
{
	u32 name = esr & (is_pair(esr) ? MRRC_MASK : MRC_MASK);

	for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++) {
		if (aliases[i].ec == esr_ec(esr) && aliases[i].name == name)
			return aliases[i].encoding;
	}
	return 0;
}

static u32 read_register(const struct vcpu *vcpu, unsigned rt)
{
	return rt == RT_APSR ? 0 : (u32)vcpu->frame.x[rt];
}

/* "MRC APSR_nzcv" writes the flags. */
static void write_register(struct vcpu *vcpu, unsigned rt, u32 value)
{
	u64 *pstate = &vcpu->frame.pstate;

	if (rt == RT_APSR)
		*pstate = (*pstate & ~(u64)SPSR_NZCV) | (value & SPSR_NZCV);
	else
		vcpu->frame.x[rt] = value;
}

/* Of a pair the first register has the lower half. A failed condition changes nothing. */
enum trap_result trap_aarch32(struct vcpu *vcpu, u64 esr)
{
	unsigned rt = bits_get(esr, 9, 5), rt2 = bits_get(esr, 14, 10);
	u64 upper = is_pair(esr) ? read_register(vcpu, rt2) : 0;
	struct sysreg_access access = {
		.encoding = alias_of(esr),
		.is_write = !(esr & 1),
		.value = upper << 32 | read_register(vcpu, rt),
	};
	enum trap_result result;

	if (!trap_condition_passed(vcpu, esr))
		return TRAP_SKIP_INSN;
	if (!access.encoding)
		return TRAP_REFLECT;
	result = sysreg_emulate(vcpu, &access);
	if (result != TRAP_SKIP_INSN || access.is_write)
		return result;
	write_register(vcpu, rt, (u32)access.value);
	if (is_pair(esr))
		write_register(vcpu, rt2, (u32)(access.value >> 32));
	return result;
}
