// SPDX-License-Identifier: MIT
/*
 * Layer 6: several CPUs, and vCPUs that share them. This page has all that the layer claims.
 *
 *	smp.c		other CPUs start, are kicked, wait for a lock; smp_entry.S: where they begin
 *	psci.c		vCPUs are switched on and off
 *	balance.c	which CPU a vCPU runs on
 *	vmid.c		VMIDs, which go from VM to VM
 */
#include "internal.h"
#include "vmid.h"

LAYER(6, smp, .init_cpu = smp_init_cpu);
VCPU_HOOKS(6, .reset = psci_vcpu_reset, .load = balance_load, .save = balance_save);
HOOK(kick, smp_kick);
HOOK(spin_wait, smp_spin_wait);
HOOK(place, balance_place);
HOOK(queued, balance_queued);
HOOK(steal, balance_steal);
HOOK(awake, balance_awake);
HOOK(vmid_new, vmid_new);

IRQ_HANDLER(PLAT_INTID_KICK, IRQ_EDGE, smp_kicked);

HYPERCALL(PSCI_CPU_OFF, psci_cpu_off);
HYPERCALL(PSCI_CPU_ON_32, psci_cpu_on);
HYPERCALL(PSCI_CPU_ON_64, psci_cpu_on);
HYPERCALL(PSCI_AFFINITY_INFO_32, psci_affinity_info);
HYPERCALL(PSCI_AFFINITY_INFO_64, psci_affinity_info);
