/* SPDX-License-Identifier: MIT */
/* The whole register file before and after one instruction. */
#ifndef GUEST_REGISTERS_H
#define GUEST_REGISTERS_H

#include "lib/types.h"

/** struct registers - layout known to the assembly in registers.c; @sp and @spsel are only read */
struct registers {
	u64 x[31];
	u64 sp, sp_el0, tpidr_el0, tpidrro_el0, tpidr_el1, nzcv, daif, spsel;
};

/** registers_patch() - choose the instruction word that registers_run() executes */
void registers_patch(u32 insn);

/** registers_patch_loop() - let registers_run() count x0 down to 0 instead */
void registers_patch_loop(void);

/**
 * registers_run() - load all registers from @in, execute the chosen instruction, store all to @out
 *
 * The instruction may use any register and must not branch or move SP.
 */
void registers_run(const struct registers *in, struct registers *out);

#endif
