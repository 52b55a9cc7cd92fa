/* SPDX-License-Identifier: MIT */
/* Calls into the hypervisor; kit/lib/smccc.h has their numbers. */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include "lib/smccc.h"
#include "lib/types.h"

/** struct smccc_result - x0..x3 after a call */
struct smccc_result {
	u64 x0, x1, x2, x3;
};

/** hvc() - the call @fid with three arguments by HVC #0 */
static inline struct smccc_result hvc(u64 fid, u64 a1, u64 a2, u64 a3)
{
	register u64 x0 asm("x0") = fid;
	register u64 x1 asm("x1") = a1;
	register u64 x2 asm("x2") = a2;
	register u64 x3 asm("x3") = a3;

	asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
	return (struct smccc_result){x0, x1, x2, x3};
}

/** smc() - the same by SMC #0, which the hypervisor traps */
static inline struct smccc_result smc(u64 fid, u64 a1, u64 a2, u64 a3)
{
	register u64 x0 asm("x0") = fid;
	register u64 x1 asm("x1") = a1;
	register u64 x2 asm("x2") = a2;
	register u64 x3 asm("x3") = a3;

	asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
	return (struct smccc_result){x0, x1, x2, x3};
}

/** vm_yield() - let the next VM run; returns when this one has the CPU again */
static inline void vm_yield(void)
{
	hvc(STRATA_YIELD, 0, 0, 0);
}

#endif
