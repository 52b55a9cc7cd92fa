// SPDX-License-Identifier: MIT
/*
 * The queue of vCPUs that could run: first in, first out, so that no vCPU waits for more than one
 * time slice of each other one. cpu->run_lock protects the queue. vcpu->state and
 * cpu->runnable_count may be read without it, so they are written in one piece.
 */
#include "internal.h"

void run_queue_init(struct cpu *cpu)
{
	cpu->run_lock = (struct spinlock)SPINLOCK_INIT("run queue");
	list_init(&cpu->run_queue);
	cpu->runnable_count = 0;
}

static void run_queue_count(struct cpu *cpu, u32 change)
{
	__atomic_store_n(&cpu->runnable_count, cpu->runnable_count + change, __ATOMIC_RELAXED);
}

void run_queue_push(struct cpu *cpu, struct vcpu *vcpu)
{
	vcpu_set_state(vcpu, VCPU_RUNNABLE);
	list_append(&cpu->run_queue, &vcpu->run_node);
	run_queue_count(cpu, 1);
}

void run_queue_remove(struct cpu *cpu, struct vcpu *vcpu)
{
	spin_assert_held(&cpu->run_lock);
	list_remove(&vcpu->run_node);
	run_queue_count(cpu, -1U);
}

struct vcpu *run_queue_pop(struct cpu *cpu)
{
	struct vcpu *vcpu;

	if (list_is_empty(&cpu->run_queue))
		return NULL;
	vcpu = container_of(cpu->run_queue.next, struct vcpu, run_node);
	run_queue_remove(cpu, vcpu);
	return vcpu;
}
