// SPDX-License-Identifier: MIT
/*
 * Which vCPU runs. The story of a CPU is vcpu_prepare_entry(): between an exit and the next entry
 * it looks at the vCPU's entry_work, and unless the vCPU may simply go on, picks another one, has
 * all layers save the old and load the new, or waits for an interrupt when nobody can run.
 *
 * A CPU that waits keeps its last vCPU loaded (cpu->vcpu): if that is the one that wakes, nothing
 * needs to be switched. Higher layers add reasons: layer 4 blocks in WFI and ends time slices.
 *
 * Lock order: vm_lock (vm.c), device_lock, vgic.lock, run_lock. One CPU's run_lock at a time.
 */
#include "el2_boot.h"
#include "exercise.h"
#include "layer1.h"
#include "lib/string.h"
#include "mailbox.h"

#define LAYER_MAX 6

/* The hooks of a switch, without the layers that have none; each list ends with NULL. */
static struct {
	void (*save[LAYER_MAX + 1])(struct vcpu *vcpu);
	void (*load[LAYER_MAX + 1])(struct vcpu *vcpu);
	void (*enter[LAYER_MAX + 1])(struct vcpu *vcpu, u32 work);
} hooks;

void vcpu_hooks_init(void)
{
	unsigned saves = 0, loads = 0, enters = 0;

	for_each_layer_reverse (layer) {
		if (layer->vcpu_save)
			hooks.save[saves++] = layer->vcpu_save;
	}
	for_each_layer (layer) {
		if (layer->vcpu_load)
			hooks.load[loads++] = layer->vcpu_load;
		if (layer->vcpu_enter)
			hooks.enter[enters++] = layer->vcpu_enter;
	}
}

void vcpu_reset(struct vcpu *vcpu, u64 entry, u64 x0)
{
	memset(&vcpu->frame, 0, sizeof(vcpu->frame));
	vcpu->frame.pc = entry;
	vcpu->frame.x[0] = x0;
	vcpu->frame.pstate = SPSR_EL1H | SPSR_DAIF;
	vcpu->entry_work = 0;
	for_each_layer (layer) {
		if (layer->vcpu_reset)
			layer->vcpu_reset(vcpu);
	}
}

void cpu_handle_irq(struct cpu *cpu)
{
	for_each_layer (layer) {
		if (layer->irq)
			layer->irq(cpu);
	}
}

/* Make @cpu look at the entry_work of its vCPU. This CPU does so anyway before its next entry. */
static void cpu_kick(struct cpu *cpu)
{
	if (cpu == this_cpu())
		return;
	for_each_layer (layer) {
		if (layer->kick)
			layer->kick(cpu);
	}
}

void vcpu_make_runnable(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	bool queued = false;

	spin_lock(&cpu->run_lock);
	if (vcpu->state == VCPU_OFF || vcpu->state == VCPU_BLOCKED) {
		run_queue_push(cpu, vcpu);
		queued = true;
	}
	spin_unlock(&cpu->run_lock);
	if (queued)
		cpu_kick(cpu);
}

void vcpu_wake(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	enum vcpu_state state;

	spin_lock(&cpu->run_lock);
	state = vcpu->state;
	if (state == VCPU_BLOCKED)
		run_queue_push(cpu, vcpu);
	spin_unlock(&cpu->run_lock);
	if (state == VCPU_BLOCKED || state == VCPU_RUNNING)
		cpu_kick(cpu);
}

static bool vcpu_has_wakeup(struct vcpu *vcpu)
{
	for_each_layer (layer) {
		if (layer->vcpu_has_wakeup && layer->vcpu_has_wakeup(vcpu))
			return true;
	}
	return false;
}

/*
 * The state changes before the last look for a wake-up: an interrupt that arrives before the change
 * is seen here, one that arrives after it finds the vCPU BLOCKED and queues it. In between, both
 * may happen, which is why only a vCPU that is still BLOCKED is queued.
 */
void vcpu_block(struct vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;

	vcpu_post_work(vcpu, ENTRY_RESCHEDULE);
	spin_lock(&cpu->run_lock);
	vcpu->state = VCPU_BLOCKED;
	spin_unlock(&cpu->run_lock);
	if (vcpu_has_wakeup(vcpu))
		vcpu_wake(vcpu);
}

/**
 * world_switch() - take the loaded vCPU off this CPU and put @next on it
 * @next: the vCPU to load, or NULL to leave the CPU without one
 *
 * All of hooks.save for the vCPU that leaves, if there is one; then cpu->vcpu and @next->cpu name
 * each other; then all of hooks.load for @next, if there is one. The lists are in order: layers
 * save in descending order, since a higher one may need a lower one's registers to save its own,
 * and load in ascending order.
 */
EXERCISE(1.8)
static void world_switch(struct cpu *cpu, struct vcpu *next)
{
	TODO(1.8);
}

/* The vCPU of a stopped VM leaves for good; its registers are of no use to anyone. */
static void vcpu_retire(struct cpu *cpu, struct vcpu *vcpu)
{
	world_switch(cpu, NULL);
	spin_lock(&cpu->run_lock);
	if (vcpu->state == VCPU_RUNNABLE)
		run_queue_remove(cpu, vcpu);
	vcpu->state = VCPU_OFF;
	spin_unlock(&cpu->run_lock);
	vm_reap();
}

/*
 * Nobody can run: wait for an interrupt, with interrupts masked, so that the one which ends WFI is
 * taken by calling its handler and not by a vector. The DSB completes what EL2 wrote before it
 * sleeps (Arm ARM, "Wait For Interrupt").
 */
static void cpu_idle(struct cpu *cpu)
{
	dsb_sy();
	asm volatile("wfi" ::: "memory");
	cpu_handle_irq(cpu);
}

static struct vcpu *cpu_pick_next(struct cpu *cpu)
{
	struct vcpu *next;

	for (;;) {
		if (cpu->vcpu && (cpu->vcpu->entry_work & ENTRY_STOPPED))
			vcpu_retire(cpu, cpu->vcpu);
		spin_lock(&cpu->run_lock);
		next = run_queue_pop(cpu);
		if (next)
			next->state = VCPU_RUNNING;
		spin_unlock(&cpu->run_lock);
		if (next)
			return next;
		if (!vm_any_alive())
			vm_all_off();
		cpu_idle(cpu);
	}
}

/* Whether the running vCPU leaves: because it waits, or because it is somebody else's turn. */
static bool vcpu_gives_way(struct cpu *cpu, struct vcpu *vcpu)
{
	bool leaves = true;

	spin_lock(&cpu->run_lock);
	if (vcpu->state == VCPU_RUNNING && cpu->runnable_count == 0)
		leaves = false;
	else if (vcpu->state == VCPU_RUNNING)
		run_queue_push(cpu, vcpu);
	spin_unlock(&cpu->run_lock);
	return leaves;
}

#define ENTRY_MUST_LEAVE (ENTRY_STOPPED | ENTRY_RESCHEDULE)

/*
 * Find the next vCPU to run and have it loaded. What else was to be done for the one that leaves is
 * done when it comes back. Returns the work of the one that comes: its turn begins. If that is
 * asked to leave again at once, the caller's next look at entry_work will see it.
 */
static u32 cpu_switch(struct cpu *cpu, u32 left_undone)
{
	struct vcpu *next;
	u32 work;

	if (left_undone)
		vcpu_post_work(cpu->vcpu, left_undone);
	next = cpu_pick_next(cpu);
	if (next != cpu->vcpu)
		world_switch(cpu, next);
	work = __atomic_exchange_n(&next->entry_work, 0, __ATOMIC_ACQUIRE);
	if (work & ENTRY_MUST_LEAVE)
		vcpu_post_work(next, work & ENTRY_MUST_LEAVE);
	return (work & ~ENTRY_MUST_LEAVE) | ENTRY_TURN;
}

struct vcpu *vcpu_prepare_entry(struct vcpu *vcpu)
{
	struct cpu *cpu = this_cpu();
	u32 work;

	do {
		work = vcpu ? __atomic_exchange_n(&vcpu->entry_work, 0, __ATOMIC_ACQUIRE) : 0;
		if (vcpu && (work & ENTRY_STOPPED)) {
			vcpu_retire(cpu, vcpu);
			vcpu = NULL;
		}
		if (!vcpu)
			work = cpu_switch(cpu, 0);
		else if ((work & ENTRY_RESCHEDULE) && vcpu_gives_way(cpu, vcpu))
			work = cpu_switch(cpu, work & ~ENTRY_RESCHEDULE);
		vcpu = cpu->vcpu;
		for (unsigned i = 0; hooks.enter[i]; i++)
			hooks.enter[i](vcpu, work);
	} while (__atomic_load_n(&vcpu->entry_work, __ATOMIC_RELAXED));
	return vcpu;
}
