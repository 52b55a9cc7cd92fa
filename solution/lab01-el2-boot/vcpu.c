// SPDX-License-Identifier: MIT
/*
 * Where a vCPU is, and who may change that: it waits on a run queue, runs, sleeps, or is off. Which
 * vCPU a CPU runs next is decided in vcpu_entry.c.
 *
 * A CPU that has nothing to run keeps its last vCPU loaded (cpu->vcpu): if that one wakes up,
 * nothing is switched. With several CPUs:
 *  - A vCPU's state and its place in a queue belong to the run_lock of vcpu->cpu. A vCPU may move
 *    to another CPU before that lock is held: vcpu_lock() takes it and looks again.
 *  - A RUNNING vCPU belongs to its CPU, loaded or not yet: only that CPU ends this state. A vCPU
 *    that is not RUNNING any more but still loaded has its registers in the hardware: it must run
 *    there once more before another CPU may take it. cpu->vcpu is written behind the save hooks (a
 *    release), so who finds another vCPU there finds the registers of the old one in memory.
 *  - Who wants something of a vCPU first writes what (a request, an interrupt under vgic.lock),
 *    then looks at the vCPU's state under run_lock (vcpu_wake()). A vCPU that goes to sleep first
 *    changes its state under run_lock, then looks for what was written (vcpu_block()). Whoever gets
 *    the lock second sees what the other did: no wake-up is lost.
 *  - Who writes under vgic.lock can do without the run_lock of a vCPU that is RUNNING: vcpu_kick().
 *    The last look of one that goes to sleep is under vgic.lock, too, and so is its load on another
 *    CPU: either comes later and finds what was written, or came earlier and is seen.
 *  - A CPU that sleeps or runs a guest is told by a kick, after the lock. The interrupt stays
 *    pending until that CPU takes it, so it cannot come too early for its WFI or its ERET.
 *
 * grader/models/kick.pml is the protocol of the last three, for spin, with its invariants: KICK-1, no
 * request is lost, and KICK-2, no CPU sleeps beside its queue.
 *
 * Lock order: vm->power_lock (vm_end.c), device_lock, vgic.lock, run_lock. One run_lock at a time.
 */
#include "el2_boot.h"
#include "internal.h"
#include "lib/string.h"

void vcpu_reset(struct vcpu *vcpu, u64 entry, u64 x0)
{
	spin_assert_held(&vcpu->vm->power_lock);
	memset(&vcpu->frame, 0, sizeof(vcpu->frame));
	vcpu->frame.pc = entry;
	vcpu->frame.x[0] = x0;
	vcpu->frame.pstate = SPSR_EL1H | SPSR_DAIF;
	__atomic_store_n(&vcpu->requests, 0, __ATOMIC_RELAXED);
	for_each_vcpu_hooks (hooks)
		hooks->reset(vcpu);
}

/* This CPU looks at its queue and at requests anyway before its next entry or sleep. */
static void cpu_kick(struct cpu *cpu)
{
	if (cpu != this_cpu() && hook_kick)
		hook_kick(cpu);
}

/*
 * Lock the CPU of @vcpu, which may move to another one until the lock is held. The second look is
 * an acquire, too: the vCPU may have left and come back, under the locks of other CPUs.
 */
static struct cpu *vcpu_lock(struct vcpu *vcpu)
{
	for (;;) {
		struct cpu *cpu = __atomic_load_n(&vcpu->cpu, __ATOMIC_ACQUIRE);

		spin_lock(&cpu->run_lock);
		if (__atomic_load_n(&vcpu->cpu, __ATOMIC_ACQUIRE) == cpu)
			return cpu;
		spin_unlock(&cpu->run_lock);
	}
}

/* Whether the registers of @vcpu are in the hardware of @cpu, its own, whose run_lock is held. */
static bool vcpu_is_loaded(const struct vcpu *vcpu, const struct cpu *cpu)
{
	spin_assert_held(&cpu->run_lock);
	return vcpu->state == VCPU_RUNNING || __atomic_load_n(&cpu->vcpu, __ATOMIC_ACQUIRE) == vcpu;
}

/*
 * vcpu_lock() for who is going to queue @vcpu: the CPU that layer 6 chooses, if the vCPU is free to
 * go. Between the two locks another waker may be faster, so the caller looks at the state
 * afterwards.
 */
static struct cpu *vcpu_lock_placed(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu_lock(vcpu), *to;

	if (!hook_place || vcpu->state == VCPU_RUNNABLE || vcpu_is_loaded(vcpu, cpu))
		return cpu;
	to = hook_place(vcpu, cpu);
	if (to == cpu)
		return cpu;
	__atomic_store_n(&vcpu->cpu, to, __ATOMIC_RELEASE);
	spin_unlock(&cpu->run_lock);
	return vcpu_lock(vcpu);
}

/* @vcpu becomes runnable on @cpu, whose run_lock is held. */
static void vcpu_queue(struct cpu *cpu, struct vcpu *vcpu)
{
	run_queue_push(cpu, vcpu);
	if (hook_queued)
		hook_queued(vcpu, cpu);
}

void vcpu_make_runnable(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu_lock_placed(vcpu);
	bool waits = vcpu->state == VCPU_OFF || vcpu->state == VCPU_BLOCKED;

	if (waits)
		vcpu_queue(cpu, vcpu);
	spin_unlock(&cpu->run_lock);
	if (waits)
		cpu_kick(cpu);
}

void vcpu_wake(struct vcpu *vcpu)
{
	enum vcpu_state state;
	struct cpu *cpu;

	if (vcpu_runs_here(vcpu))
		return;
	cpu = vcpu_lock_placed(vcpu);
	state = vcpu->state;
	if (state == VCPU_BLOCKED)
		vcpu_queue(cpu, vcpu);
	spin_unlock(&cpu->run_lock);
	if (state == VCPU_BLOCKED || state == VCPU_RUNNING)
		cpu_kick(cpu);
}

bool vcpu_kick(const struct vcpu *vcpu)
{
	if (vcpu_state(vcpu) != VCPU_RUNNING)
		return false;
	cpu_kick(__atomic_load_n(&vcpu->cpu, __ATOMIC_RELAXED));
	return true;
}

bool vcpu_is_off(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu_lock(vcpu);
	bool off = vcpu->state == VCPU_OFF;

	spin_unlock(&cpu->run_lock);
	return off;
}

void vcpu_evict(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu_lock(vcpu);
	bool loaded = vcpu_is_loaded(vcpu, cpu);

	if (loaded) {
		/* One that sleeps has to come back once more, to leave for good. */
		vcpu_make_request(vcpu, REQ_STOP);
		if (vcpu->state == VCPU_BLOCKED)
			vcpu_queue(cpu, vcpu);
	} else {
		if (vcpu->state == VCPU_RUNNABLE)
			run_queue_remove(cpu, vcpu);
		vcpu_set_state(vcpu, VCPU_OFF);
	}
	spin_unlock(&cpu->run_lock);
	if (loaded)
		cpu_kick(cpu);
}

struct vcpu *vcpu_steal(struct cpu *from, struct cpu *to,
			bool (*allowed)(const struct vcpu *vcpu, const struct cpu *to))
{
	struct vcpu *taken = NULL;
	struct list *node;

	spin_lock(&from->run_lock);
	list_for_each (node, &from->run_queue) {
		struct vcpu *vcpu = container_of(node, struct vcpu, run_node);

		if (vcpu_is_loaded(vcpu, from) || !allowed(vcpu, to))
			continue;
		run_queue_remove(from, vcpu);
		vcpu_set_state(vcpu, VCPU_RUNNING);
		__atomic_store_n(&vcpu->cpu, to, __ATOMIC_RELEASE);
		taken = vcpu;
		break;
	}
	spin_unlock(&from->run_lock);
	return taken;
}

/* In between the vCPU is RUNNING: who wakes it or has it leave makes a request and kicks @to. */
bool vcpu_migrate(struct cpu *from, struct cpu *to,
		  bool (*allowed)(const struct vcpu *vcpu, const struct cpu *to))
{
	struct vcpu *vcpu = vcpu_steal(from, to, allowed);

	if (!vcpu)
		return false;
	spin_lock(&to->run_lock);
	vcpu_queue(to, vcpu);
	spin_unlock(&to->run_lock);
	cpu_kick(to);
	return true;
}

/*
 * Whoever wakes the vCPU between the change of state and the last look finds it BLOCKED and queues
 * it: then vcpu_wake() here does nothing.
 */
void vcpu_block(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;

	vcpu_make_request(vcpu, REQ_RESCHEDULE);
	spin_lock(&cpu->run_lock);
	vcpu_set_state(vcpu, VCPU_BLOCKED);
	spin_unlock(&cpu->run_lock);
	if (hook_vcpu_has_wakeup && hook_vcpu_has_wakeup(vcpu))
		vcpu_wake(vcpu);
}
