/* SPDX-License-Identifier: MIT */
/* Calls into the hypervisor: SMCCC (DEN 0028), PSCI (DEN 0022) and Strata's own. */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include "lib/types.h"

#define SMCCC_VERSION 0x80000000
#define SMCCC_ARCH_FEATURES 0x80000001
#define SMCCC_VENDOR_UID 0x8600ff01
#define PSCI_VERSION 0x84000000
#define PSCI_CPU_SUSPEND32 0x84000001
#define PSCI_CPU_SUSPEND 0xc4000001
#define PSCI_CPU_OFF 0x84000002
#define PSCI_CPU_ON32 0x84000003
#define PSCI_CPU_ON 0xc4000003
#define PSCI_AFFINITY_INFO32 0x84000004
#define PSCI_AFFINITY_INFO 0xc4000004
#define PSCI_MIGRATE_INFO_TYPE 0x84000006
#define PSCI_SYSTEM_OFF 0x84000008
#define PSCI_SYSTEM_RESET 0x84000009
#define PSCI_FEATURES 0x8400000a
#define STRATA_YIELD 0xc6000001
#define STRATA_CONSOLE_PUTC 0xc6000002
#define STRATA_VM_INFO 0xc6000003
#define STRATA_MEMORY_RELEASE 0xc6000010
#define STRATA_MEMORY_STATS 0xc6000011

#define SMCCC_NOT_SUPPORTED (-1L)

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
