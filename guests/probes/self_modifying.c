// SPDX-License-Identifier: MIT
/*
 * RAM holds code and data: a guest can run what it stored, and needs no more for that than the
 * cache maintenance of the manual ("Synchronization and coherency issues between data and
 * instruction accesses").
 */
#include "probe.h"

#define INSN_MOVZ_X0(imm) (0xd2800000u | (u32)(imm) << 5)
#define INSN_RET 0xd65f03c0u

static u64 run_constant(u64 page, u64 constant)
{
	write32(page, INSN_MOVZ_X0(constant));
	write32(page + 4, INSN_RET);
	code_changed(page, 8);
	return ((u64(*)(void))page)();
}

void probe(void)
{
	u64 wrong = 0, page = free_memory(), after_release = 0;

	for (unsigned i = 0; i < 64; i++) {
		u64 constant = random() & 0xffff;

		wrong += run_constant(page + i * 4096, constant) != constant;
		wrong += run_constant(page, constant ^ 1) != (constant ^ 1);
	}
	report_equal("code written to RAM runs, rewritten code runs anew", wrong, 0);
	for (unsigned i = 0; i < 16; i++) {
		u64 constant = random() & 0xffff;

		hvc(STRATA_MEMORY_RELEASE, page, 4096, 0);
		after_release += run_constant(page, constant) != constant;
	}
	report_equal("also in a page that was given back and came again", after_release, 0);
	/* A store into the running image's own text: the slot of insn_try() lies in it. */
	u64 value[2] = {0, 0};
	insn_try(MODE_EL1H, INSN_MOVZ_X0(0x1234), value);
	report_equal("a guest can write its own text", value[0], 0x1234);
}
