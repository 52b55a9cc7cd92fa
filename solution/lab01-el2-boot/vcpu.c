// SPDX-License-Identifier: MIT
/*
 * Which vCPU runs. The story of a CPU is vcpu_prepare_entry(): between an exit and the next entry
 * it looks at the vCPU's requests, and unless the vCPU may simply go on, picks another one, has
 * all layers save the old and load the new, or waits for an interrupt when nobody can run.
 *
 * A CPU that waits keeps its last vCPU loaded (cpu->vcpu): if that is the one that wakes, nothing
 * needs to be switched. Higher layers add reasons: layer 4 blocks in WFI and ends time slices.
 *
 * Several CPUs:
 *  - State and place in a queue belong to the run_lock of vcpu->cpu. A vCPU may move on before that
 *    lock is held: vcpu_lock() takes it and looks again.
 *  - From RUNNING on a vCPU belongs to its CPU, loaded or not yet: only that CPU ends this state. A
 *    vCPU that is not RUNNING but still loaded must run there once more before anybody may take it:
 *    its registers are in the hardware. cpu->vcpu is written behind the save hooks (a release), so
 *    whoever finds another one there finds the state of the old one in memory.
 *  - Who wants something of a vCPU writes first what that is (requests by an atomic OR, an
 *    interrupt under vgic.lock), then looks at its state under run_lock (vcpu_wake()). A vCPU that
 *    goes to sleep changes its state under run_lock first, then looks for what was written
 *    (vcpu_block()). Whichever of them gets the lock second sees the other: no wake-up is lost.
 *  - A CPU that sleeps or runs a guest is told by a kick, after the lock. The interrupt stays
 *    pending until that CPU takes it, so it cannot come too early for its WFI or its ERET.
 *
 * Lock order: vm->power_lock (vm_end.c), device_lock, vgic.lock, run_lock. One run_lock at a time.
 */
#include "el2_boot.h"
#include "exercise.h"
#include "internal.h"
#include "lib/string.h"

void vcpu_reset(struct vcpu *vcpu, u64 entry, u64 x0)
{
	memset(&vcpu->frame, 0, sizeof(vcpu->frame));
	vcpu->frame.pc = entry;
	vcpu->frame.x[0] = x0;
	vcpu->frame.pstate = SPSR_EL1H | SPSR_DAIF;
	__atomic_store_n(&vcpu->requests, 0, __ATOMIC_RELAXED);
	for_each_layer (layer) {
		if (layer->vcpu_reset)
			layer->vcpu_reset(vcpu);
	}
}

void cpu_handle_irq(struct cpu *cpu)
{
	if (hook_irq)
		hook_irq(cpu);
}

/* This CPU looks at its queue and at requests anyway before its next entry or sleep. */
static void cpu_kick(struct cpu *cpu)
{
	if (cpu != this_cpu() && hook_kick)
		hook_kick(cpu);
}

/*
 * Lock the CPU of @vcpu, which may move to another until the lock is held. The second look acquires,
 * too: the vCPU may have left and come back, taken from another queue under the lock of that one.
 */
static inline struct cpu *vcpu_lock(struct vcpu *vcpu)
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
	return vcpu->state == VCPU_RUNNING || __atomic_load_n(&cpu->vcpu, __ATOMIC_ACQUIRE) == vcpu;
}

/*
 * Before @vcpu is queued: to the CPU that layer 6 chooses, if it is free to go. @cpu, where it is, is
 * locked; the CPU that is returned is. In between another waker may be faster, so the caller looks at
 * the state afterwards.
 */
static __attribute__((noinline)) struct cpu *vcpu_place(struct vcpu *vcpu, struct cpu *cpu)
{
	struct cpu *to;

	if (vcpu->state == VCPU_RUNNABLE || vcpu_is_loaded(vcpu, cpu))
		return cpu;
	to = hook_place(vcpu, cpu);
	if (to == cpu)
		return cpu;
	__atomic_store_n(&vcpu->cpu, to, __ATOMIC_RELEASE);
	spin_unlock(&cpu->run_lock);
	return vcpu_lock(vcpu);
}

/* vcpu_lock() for who is going to queue @vcpu. */
static inline struct cpu *vcpu_lock_placed(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu_lock(vcpu);

	return __builtin_expect(hook_place != NULL, 0) ? vcpu_place(vcpu, cpu) : cpu;
}

void vcpu_make_runnable(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu_lock_placed(vcpu);
	bool waits = vcpu->state == VCPU_OFF || vcpu->state == VCPU_BLOCKED;

	if (waits)
		run_queue_push(cpu, vcpu);
	spin_unlock(&cpu->run_lock);
	if (waits)
		cpu_kick(cpu);
}

void vcpu_wake(struct vcpu *vcpu)
{
	enum vcpu_state state;
	struct cpu *cpu;

	/* What runs here looks for itself before its next instruction, and only this CPU ends that. */
	if (this_cpu()->vcpu == vcpu && vcpu_state(vcpu) == VCPU_RUNNING)
		return;
	cpu = vcpu_lock_placed(vcpu);
	state = vcpu->state;
	if (state == VCPU_BLOCKED)
		run_queue_push(cpu, vcpu);
	spin_unlock(&cpu->run_lock);
	if (state == VCPU_BLOCKED || state == VCPU_RUNNING)
		cpu_kick(cpu);
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
		/* If it sleeps it has to come back once more, to leave for good. */
		vcpu_make_request(vcpu, REQ_STOP);
		if (vcpu->state == VCPU_BLOCKED)
			run_queue_push(cpu, vcpu);
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

/*
 * The running vCPU, so its CPU is this one and stays it. Between the change of state and the last
 * look somebody else may wake it: then it is not BLOCKED any more, and vcpu_wake() does nothing.
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

/* From here on the state of the vCPU that was loaded is in memory, for whoever looks. */
static void cpu_set_loaded(struct cpu *cpu, struct vcpu *vcpu)
{
	__atomic_store_n(&cpu->vcpu, vcpu, __ATOMIC_RELEASE);
}

/**
 * world_switch() - take the loaded vCPU off this CPU and put @next on it
 * @next: the vCPU to load, or NULL to leave the CPU without one
 *
 * vcpu_save of each layer that has it, for the vCPU that leaves, if there is one; then
 * cpu_set_loaded() says that @next is loaded; then vcpu_load of each layer that has it, for @next, if
 * there is one. Layers save in descending order, since a higher one may need a lower one's registers
 * to save its own (for_each_layer_reverse()), and load in ascending order (for_each_layer()).
 */
EXERCISE(1.8)
static void world_switch(struct cpu *cpu, struct vcpu *next)
{
	struct vcpu *previous = cpu->vcpu;

	if (previous) {
		for_each_layer_reverse (layer) {
			if (layer->vcpu_save)
				layer->vcpu_save(previous);
		}
	}
	cpu_set_loaded(cpu, next);
	if (next) {
		for_each_layer (layer) {
			if (layer->vcpu_load)
				layer->vcpu_load(next);
		}
	}
}

/*
 * The loaded vCPU leaves for good: it is unloaded first, so that OFF means on no CPU. It may have gone
 * to sleep on its last way here, and been woken since: RUNNING keeps it until it is OFF.
 */
static __attribute__((noinline)) void vcpu_retire(struct cpu *cpu, struct vcpu *vcpu)
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
	vm_vcpu_left(vcpu->vm);
}

/*
 * Nobody can run: wait for an interrupt, with interrupts masked, so that the one which ends WFI is
 * taken by calling its handler and not by a vector.
 */
static void cpu_idle(struct cpu *cpu)
{
	wait_for_interrupt();
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
			continue;
		}
		if (!vm_is_any_left())
			vm_all_off();
		cpu_idle(cpu);
	}
}

/* Whether the running vCPU stays: it does not wait, and nobody else waits for its CPU. */
static bool vcpu_stays(const struct cpu *cpu, const struct vcpu *vcpu)
{
	return vcpu_state(vcpu) == VCPU_RUNNING &&
	       __atomic_load_n(&cpu->runnable_count, __ATOMIC_RELAXED) == 0;
}

/*
 * The time slice of @vcpu is over, or it has given way; NULL: the CPU has no vCPU yet, or none any
 * more. What VMs that have ended left behind gets its share of time, then another vCPU, if one waits.
 */
static void cpu_reschedule(struct cpu *cpu, const struct vcpu *vcpu)
{
	if (vcpu && vm_reap_waits())
		vm_reap_turn(cpu);
	if (!vcpu || !vcpu_stays(cpu, vcpu)) {
		struct vcpu *next = cpu_pick_next(cpu);

		if (next != cpu->vcpu)
			world_switch(cpu, next);
	}
	if (hook_time_slice)
		hook_time_slice(cpu->vcpu);
}

/* Which of @requests were made; they are none any more. */
static u32 vcpu_take_requests(struct vcpu *vcpu, u32 requests)
{
	return __atomic_fetch_and(&vcpu->requests, ~requests, __ATOMIC_ACQUIRE) & requests;
}

struct vcpu *vcpu_prepare_entry(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();

	do {
		u32 requests = vcpu ? vcpu_take_requests(vcpu, REQ_STOP | REQ_RESCHEDULE) : 0;

		if (requests & REQ_STOP) {
			vcpu_retire(cpu, vcpu);
			vcpu = NULL;
		}
		if (!vcpu || requests)
			cpu_reschedule(cpu, vcpu);
		vcpu = cpu->vcpu;
		if (vcpu_take_requests(vcpu, REQ_VGIC) && hook_vgic_flush)
			hook_vgic_flush(vcpu);
	} while (__atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED));
	return vcpu;
}
