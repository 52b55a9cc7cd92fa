// SPDX-License-Identifier: MIT
/*
 * Layer 6 chooses the CPUs in the test of layer 1, with its real threads under ThreadSanitizer. What
 * must hold besides: a vCPU runs where it may, and CPUs that sleep while a vCPU waits that they could
 * run are rare (balance_missed); on the machine there are none.
 */
#include "lib/types.h"

struct cpu;
struct vcpu;

struct cpu *balance_place(struct vcpu *vcpu, struct cpu *cpu);
void balance_queued(struct vcpu *vcpu, struct cpu *cpu);
struct vcpu *balance_steal(struct cpu *cpu);
void balance_awake(struct cpu *cpu);
void balance_load(struct vcpu *vcpu);
void balance_save(struct vcpu *vcpu);
void smp_kick(struct cpu *cpu);

extern u32 balance_missed, cpus_online;

#define WITH_LAYER_6
#define layer_6_load balance_load
#define layer_6_save balance_save
#define PIN_0 0xf
#define PIN_1 0x8
#define PIN_2 0x3
/* A thread that the host does not run is a CPU that keeps a vCPU waiting. */
#define check_layer_6() CHECK(balance_missed < wakes / 10)

#include "test_lab01_smp.c"

u32 cpus_online = (1 << CPUS) - 1;

void smp_kick(struct cpu *cpu)
{
	kick(cpu);
}

HOOK(place, balance_place);
HOOK(steal, balance_steal);
HOOK(queued, balance_queued);
HOOK(awake, balance_awake);
