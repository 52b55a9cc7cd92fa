/* SPDX-License-Identifier: MIT */
/*
 * Numbers of the calls between guest, hypervisor and firmware, for C and assembly: SMCCC (DEN 0028,
 * "Function identifier ranges"), PSCI (DEN 0022) and Strata's own.
 */
#ifndef STRATA_SMCCC_H
#define STRATA_SMCCC_H

#define SMCCC_VERSION 0x80000000
#define SMCCC_ARCH_FEATURES 0x80000001

#define PSCI_VERSION 0x84000000
#define PSCI_CPU_SUSPEND_32 0x84000001
#define PSCI_CPU_SUSPEND_64 0xc4000001
#define PSCI_CPU_OFF 0x84000002
#define PSCI_CPU_ON_32 0x84000003
#define PSCI_CPU_ON_64 0xc4000003
#define PSCI_AFFINITY_INFO_32 0x84000004
#define PSCI_AFFINITY_INFO_64 0xc4000004
#define PSCI_MIGRATE_INFO_TYPE 0x84000006
#define PSCI_SYSTEM_OFF 0x84000008
#define PSCI_SYSTEM_RESET 0x84000009
#define PSCI_FEATURES 0x8400000a

/* Strata's own, with the arguments from X1 on and the results from X0 on. */
#define STRATA_UID 0x8600ff01 /* () -> UUID in W0 to W3 */
#define STRATA_YIELD 0xc6000001 /* () -> 0, when the vCPU runs again */
#define STRATA_CONSOLE_PUTC 0xc6000002 /* (byte) -> 0 */
#define STRATA_VM_INFO 0xc6000003 /* () -> 0, VM index | vCPU index << 32, RAM base, RAM bytes */
#define STRATA_MEMORY_RELEASE 0xc6000010 /* (IPA, bytes) -> 0 or a negative errno */
#define STRATA_MEMORY_STATS 0xc6000011 /* () -> 0, bytes of RAM, resident, of tables */

#define SMCCC_64BIT 0x40000000 /* of a function id: its arguments are X registers */

/*
 * Bits of CPU_SUSPEND's power state (DEN 0022, "CPU_SUSPEND", "Original format") that are set in none
 * that a VM has: reserved ones, and the power level, 0, for a VM is made of CPUs alone.
 */
#define PSCI_POWER_STATE_NONE 0xfffe0000

/* What X0 holds after a call. */
#define SMCCC_SUCCESS 0
#define SMCCC_NOT_SUPPORTED (~0UL)
#define PSCI_INVALID_PARAMETERS (~1UL)
#define PSCI_ALREADY_ON (~3UL)
#define PSCI_ON_PENDING (~4UL)
#define PSCI_INTERNAL_FAILURE (~5UL)
#define PSCI_INVALID_ADDRESS (~8UL)

#endif
