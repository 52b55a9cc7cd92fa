// SPDX-License-Identifier: MIT
/*
 * AArch32 at EL0: what the hypervisor traps there and does not offer is undefined, and arrives at
 * the vector for a lower EL that uses AArch32. An instruction whose condition fails is a NOP. The
 * trapped instruction is MRC p14, DBGDRAR. Arm ARM, "Exception vectors", "ITSTATE".
 */
#include "probe.h"

#define MODE_A32 0x1d0 /* User, A, I and F masked */
#define MODE_T32 0x1f0
#define FLAG_Z BIT(30)
#define ESR_EC_SVC32 0x11
#define ID_AA64PFR0_EL0_A32 2
#define ROUNDS 64 /* a debugger may want to try other conditions on each */

/* The trapped instruction, what comes behind it, and SVC, by which all end. */
static const u32 a32_code[] = {
	0xe3a01000, /* mov	r1, #0 */
	0xee110e10, /* mrc	p14, 0, r0, c1, c0, 0 */
	0xe3a01001, /* mov	r1, #1 */
	0xef000000, /* svc	#0 */
};
static const u32 a32_condition[] = {
	0xe3b01000, /* movs	r1, #0 */
	0x1e110e10, /* mrcne	p14, 0, r0, c1, c0, 0 */
	0xe3a01001, /* mov	r1, #1 */
	0xef000000, /* svc	#0 */
};
static const u16 t32_code[] __attribute__((aligned(4))) = {
	0x2100, /* movs	r1, #0 */
	0xee11, 0x0e10, /* mrc	p14, 0, r0, c1, c0, 0 */
	0x2101, /* movs	r1, #1 */
	0xdf00, /* svc	#0 */
};
static const u16 t32_block[] __attribute__((aligned(4))) = {
	0x2100, /* movs	r1, #0 */
	0xbf14, /* ite	ne */
	0x2102, /* movne	r1, #2 */
	0xee11, 0x0e10, /* mrceq	p14, 0, r0, c1, c0, 0 */
	0xdf00, /* svc	#0 */
};

struct wrong {
	u64 vector, esr, elr, spsr;
};

/* Run @code in @mode. Return: whether it came to the SVC at its end. */
static bool run(u64 mode, const void *code)
{
	exception_catch(mode, (void (*)(void *))(u64)code, NULL);
	return ESR_EC(exception_seen.esr) == ESR_EC_SVC32;
}

static u32 result(void)
{
	return (u32)exception_seen.x[1];
}

static void undefined_at(struct wrong *wrong, u64 mode, const void *code, u64 offset)
{
	run(mode, code);
	wrong->vector += exception_seen.vector != VECTOR_SYNC_EL0_A32;
	wrong->esr += exception_seen.esr != ESR_UNDEFINED;
	wrong->elr += exception_seen.elr != (u64)code + offset;
	wrong->spsr += (exception_seen.spsr & 0xf00003ff) != (mode | FLAG_Z);
}

static void check(struct wrong wrong, const char *vector, const char *esr, const char *elr,
		  const char *spsr)
{
	report_equal(vector, wrong.vector, 0);
	report_equal(esr, wrong.esr, 0);
	report_equal(elr, wrong.elr, 0);
	report_equal(spsr, wrong.spsr, 0);
}

void probe(void)
{
	struct wrong a32 = {0}, t32 = {0}, block = {0};

	if (bits_get(sysreg_read(id_aa64pfr0_el1), 3, 0) != ID_AA64PFR0_EL0_A32) {
		report(true, "this CPU has no AArch32 at EL0", 0, 0);
		return;
	}
	for (unsigned i = 0; i < ROUNDS; i++)
		undefined_at(&a32, MODE_A32 | FLAG_Z, a32_code, 4);
	for (unsigned i = 0; i < ROUNDS; i++)
		undefined_at(&t32, MODE_T32, t32_code, 2);
	check(a32, "A32: it arrives at VBAR_EL1 + 0x600", "A32: ESR_EL1 is unknown reason, IL set",
	      "A32: ELR_EL1 is the instruction", "A32: SPSR_EL1 holds User, the masks and flags");
	check(t32, "T32: it arrives at VBAR_EL1 + 0x600", "T32: ESR_EL1 is unknown reason, IL set",
	      "T32: ELR_EL1 is the instruction",
	      "T32: SPSR_EL1 holds User, T, the masks and flags");
	undefined_at(&block, MODE_T32, t32_block, 6);
	check(block, "IT block: it arrives at VBAR_EL1 + 0x600",
	      "IT block: ESR_EL1 is unknown reason", "IT block: ELR_EL1 is the instruction",
	      "IT block: SPSR_EL1 holds User, T, the masks and flags");
	report_equal("and the block's state, at its last instruction",
		     bits_get(exception_seen.spsr, 15, 10) << 2 |
			     bits_get(exception_seen.spsr, 26, 25),
		     0x08);
	report_equal("A32: whose condition does not hold is no instruction",
		     run(MODE_A32, a32_condition), true);
	report_equal("and the next one is executed", result(), 1);
}
