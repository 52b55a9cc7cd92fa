// SPDX-License-Identifier: MIT
/*
 * Offsets for assembly, computed by the compiler: the build turns each marker into a #define, so
 * that no number is counted by hand.
 */
#include "stacks.h"
#include "vcpu.h"

#define OFFSET(name, value) asm volatile("\n.ascii \"->" #name " %c0\"" ::"i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
	OFFSET(FRAME_X, offsetof(struct vcpu, frame.x));
	OFFSET(FRAME_PSTATE, offsetof(struct vcpu, frame.pstate));
	OFFSET(VCPU_REQUESTS, offsetof(struct vcpu, requests));
	OFFSET(CPU_STACK_TOP, offsetof(struct cpu, stack_top));
	OFFSET(CPU_EMERGENCY_TOP, offsetof(struct cpu, emergency_top));
	OFFSET(STACKS_STACK_TOP, offsetof(struct cpu_stacks, guard1));
	OFFSET(STACKS_EMERGENCY_TOP, sizeof(struct cpu_stacks));
	OFFSET(FP_V, offsetof(struct fp_state, v));
	OFFSET(FP_FPSR, offsetof(struct fp_state, fpsr));
}
