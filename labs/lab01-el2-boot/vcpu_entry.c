// SPDX-License-Identifier: MIT
/*
 * Which vCPU a CPU runs. vcpu_prepare_entry() is the story of a CPU between an exit and the next
 * entry: it serves the requests of the vCPU, and if that one does not go on picks another, has all
 * layers save the old and load the new, or waits for an interrupt when no vCPU can run. The vectors
 * call it until the vCPU that it returns has no requests.
 *
 * States, locks and wake-ups: head of vcpu.c.
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"

/* Whoever sees another vCPU loaded sees the state of the old one in memory. */
static void cpu_set_loaded(struct cpu *cpu, struct vcpu *vcpu)
{
	__atomic_store_n(&cpu->vcpu, vcpu, __ATOMIC_RELEASE);
}

/**
 * Exercise 1.8: world_switch() - take the loaded vCPU off this CPU and put @next on it
 * @next: the vCPU to load, or NULL to leave the CPU without one
 *
 * First, if a vCPU is loaded (cpu->vcpu), the save hooks of all layers for it, in descending order: a
 * higher layer may need the registers of a lower one to save its own. Then cpu_set_loaded() with
 * @next. Last, unless that is NULL, the load hooks of all layers for it, in ascending order.
 * for_each_vcpu_hooks() and for_each_vcpu_hooks_reverse() go through the layers' struct vcpu_hooks.
 */
EXERCISE(1.8)
static void world_switch(struct cpu *cpu, struct vcpu *next)
{
	/* Until then: one vCPU that starts from the registers of the reset, and no layer above. */
	bool is_alone = registry_vcpu_hooks_end - registry_vcpu_hooks == 1;

	if (!is_alone || (cpu->vcpu && next))
		TODO(1.8);
	if (next)
		write_sysreg(hcr_el2, next->hcr);
	cpu_set_loaded(cpu, next);
}

/*
 * A vCPU's time counts when it gives the CPU up, not at each exit: what it makes EL2 do is its own
 * time, what the CPU sleeps or clears up meanwhile (cpu_pick_next()) is nobody's. kit/status.c
 * reads both numbers on any CPU.
 */
static void cpu_charge(struct cpu *cpu, struct vcpu *vcpu)
{
	u64 now = counter_read();

	if (vcpu)
		__atomic_store_n(&vcpu->used_ticks, vcpu->used_ticks + now - cpu->charge_from,
				 __ATOMIC_RELAXED);
	__atomic_store_n(&cpu->charge_from, now, __ATOMIC_RELAXED);
}

/*
 * The loaded vCPU leaves for good. It is unloaded before it is OFF, since OFF means on no CPU
 * (POWER-1, POWER-2 of grader/models/power.pml). It may have gone to sleep on its last way here, and
 * been woken since: RUNNING keeps it here until then.
 */
static void vcpu_retire(struct cpu *cpu, struct vcpu *vcpu)
{
	spin_lock(&cpu->run_lock);
	if (vcpu->state == VCPU_RUNNABLE)
		run_queue_remove(cpu, vcpu);
	vcpu_set_state(vcpu, VCPU_RUNNING);
	spin_unlock(&cpu->run_lock);
	world_switch(cpu, NULL);
	spin_lock(&cpu->run_lock);
	vcpu_set_state(vcpu, VCPU_OFF);
	spin_unlock(&cpu->run_lock);
	if (hook_vcpu_off)
		hook_vcpu_off(vcpu);
	vm_vcpu_left(vcpu->vm);
}

/*
 * No vCPU can run: wait for an interrupt. Interrupts stay masked: the one that ends WFI is taken by
 * a call of its handler and not by a vector. A function of its own, for who looks with a debugger.
 */
static __attribute__((noinline)) void cpu_idle(struct cpu *cpu)
{
	wait_for_interrupt();
	if (hook_awake)
		hook_awake(cpu);
	cpu_handle_irq(cpu);
}

/* Take the next vCPU off the queue; the loaded one, if it could go on, goes to the tail first. */
static struct vcpu *cpu_take_next(struct cpu *cpu)
{
	struct vcpu *loaded = cpu->vcpu, *next;

	spin_lock(&cpu->run_lock);
	if (loaded && loaded->state == VCPU_RUNNING)
		run_queue_push(cpu, loaded);
	next = run_queue_pop(cpu);
	if (next)
		vcpu_set_state(next, VCPU_RUNNING);
	spin_unlock(&cpu->run_lock);
	return next;
}

static struct vcpu *cpu_pick_next(struct cpu *cpu)
{
	for (;;) {
		struct vcpu *next = cpu_take_next(cpu);

		if (!next && hook_steal)
			next = hook_steal(cpu);
		if (next)
			return next;
		if (vm_reap_waits() && vm_reap(true)) {
			cpu_handle_irq(cpu);
		} else {
			if (!vm_is_any_left())
				vm_all_off();
			cpu_idle(cpu);
		}
		cpu_charge(cpu, NULL);
	}
}

/*
 * A time slice is over, or has not begun yet. Clearing up after VMs that have ended gets its share
 * of the CPU, then the next vCPU: the same one if no other waits.
 */
static void cpu_reschedule(struct cpu *cpu)
{
	struct vcpu *next;

	if (vm_reap_waits()) {
		vm_reap_slice(cpu);
		cpu_charge(cpu, NULL);
	}
	next = cpu_pick_next(cpu);
	if (next != cpu->vcpu)
		world_switch(cpu, next);
	if (hook_time_slice)
		hook_time_slice(next);
}

/* Which of @requests were made; they are none any more. */
static u32 vcpu_take_requests(struct vcpu *vcpu, u32 requests)
{
	return __atomic_fetch_and(&vcpu->requests, ~requests, __ATOMIC_ACQUIRE) & requests;
}

/* A refill of list registers, the most frequent request, comes by with one look at them. */
struct vcpu *vcpu_prepare_entry(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();
	u32 requests = REQ_RESCHEDULE;

	if (vcpu)
		requests = vcpu_take_requests(vcpu, REQ_STOP | REQ_RESCHEDULE | REQ_VGIC);
	if (requests & (REQ_STOP | REQ_RESCHEDULE)) {
		cpu_charge(cpu, vcpu);
		if (requests & REQ_STOP)
			vcpu_retire(cpu, vcpu);
		cpu_reschedule(cpu);
		vcpu = cpu->vcpu;
		requests |= vcpu_take_requests(vcpu, REQ_VGIC);
	}
	if (requests & REQ_VGIC)
		hook_vgic_flush(vcpu);
	return vcpu;
}
