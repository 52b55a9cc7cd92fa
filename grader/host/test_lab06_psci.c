// SPDX-License-Identifier: MIT
/*
 * PSCI of a VM with four vCPUs as a machine of states: a hundred thousand calls, in any order, each of
 * whose answers DEN 0022 has only one of. What psci.c calls stands here as layer 1 has it.
 */
#include "check.h"
#include "lib/types.h"

#include "psci.c"

#define VCPUS 4
#define STEPS 300000
#define RAM_BASE 0x40000000UL
#define RAM_BYTES 0x1000000UL

/* What the test knows of a vCPU, by its own account. */
enum power {
	IS_OFF,
	IS_STARTED, /* CPU_ON has succeeded, no CPU has loaded it yet */
	IS_ON,
	IS_LEAVING /* it has called CPU_OFF: on until it has left its CPU */
};

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static enum power power[VCPUS];
static unsigned answers[4], stops, lives;
static u64 started_at, started_with;

bool vcpu_is_off(struct vcpu *vcpu)
{
	return vcpu->state == VCPU_OFF;
}

int vcpu_start(struct vcpu *vcpu, u64 entry, u64 x0)
{
	if (!vcpu_is_off(vcpu))
		return -EBUSY;
	psci_vcpu_reset(vcpu);
	vcpu->state = VCPU_RUNNABLE;
	started_at = entry;
	started_with = x0;
	return 0;
}

void vm_stop(struct vm *stopped, enum vm_state state, const char *fmt, ...)
{
	CHECK(stopped == &vm && state == VM_POWERED_OFF);
	stops++;
}

static bool is_off_soon(u32 index)
{
	return power[index] == IS_OFF || power[index] == IS_LEAVING;
}

/* As AFFINITY_INFO says it. */
static u64 said(u32 index)
{
	static const u64 answer[] = {
		[IS_OFF] = AFFINITY_INFO_OFF,
		[IS_STARTED] = AFFINITY_INFO_ON_PENDING,
		[IS_ON] = AFFINITY_INFO_ON,
		[IS_LEAVING] = AFFINITY_INFO_ON,
	};

	return answer[power[index]];
}

static void new_life(void)
{
	for (u32 i = 0; i < VCPUS; i++) {
		vcpus[i].state = VCPU_OFF;
		vcpus[i].requests = 0;
		psci_vcpu_reset(&vcpus[i]);
		power[i] = IS_OFF;
	}
	CHECK(!vcpu_start(&vcpus[0], RAM_BASE, 0));
	psci_vcpu_begins(&vcpus[0]);
	power[0] = IS_ON;
	stops = 0;
	lives++;
}

/* A call by @caller; in its 32-bit form with rubbish above the arguments. */
static u64 call(struct vcpu *caller, hypercall_fn *fn, u64 a, u64 b, u64 c)
{
	bool is_64 = check_below(2);
	u64 rubbish = is_64 ? 0 : check_random() << 32;

	caller->frame.x[0] = is_64 ? PSCI_CPU_ON_64 : PSCI_CPU_ON_32;
	caller->frame.x[1] = a | rubbish;
	caller->frame.x[2] = b | rubbish;
	caller->frame.x[3] = c | rubbish;
	CHECK(fn(caller) == TRAP_RESUME);
	CHECK(!vm.power_lock.taken);
	return caller->frame.x[0];
}

static void cpu_on(struct vcpu *caller)
{
	u32 target = (u32)check_below(VCPUS + 1);
	u64 entry = RAM_BASE + check_below(RAM_BYTES / 4) * 4, context = check_random() >> 33;
	bool is_good = check_below(8);
	u64 answer;

	if (!is_good)
		entry = check_below(2) ? entry + 2 : RAM_BASE + RAM_BYTES;
	answer = call(caller, psci_cpu_on, target, entry, context);
	if (target == VCPUS) {
		CHECK(answer == PSCI_INVALID_PARAMETERS);
	} else if (!is_good) {
		CHECK(answer == PSCI_INVALID_ADDRESS);
	} else if (power[target] == IS_OFF) {
		CHECK(answer == SMCCC_SUCCESS && started_at == entry && started_with == context);
		power[target] = IS_STARTED;
		answers[0]++;
	} else {
		CHECK(answer == (power[target] == IS_STARTED ? PSCI_ON_PENDING : PSCI_ALREADY_ON));
		answers[power[target]]++;
	}
}

static void affinity_info(struct vcpu *caller)
{
	u32 target = (u32)check_below(VCPUS + 1), level = (u32)check_below(5);
	u64 expected = target < VCPUS ? said(target) : PSCI_INVALID_PARAMETERS;

	if (level == AFFINITY_LEVEL_MAX + 1)
		expected = PSCI_INVALID_PARAMETERS;
	else if (level)
		expected = AFFINITY_INFO_ON; /* the caller is */
	CHECK(call(caller, psci_affinity_info, target, level, 0) == expected);
}

static void cpu_off(struct vcpu *caller)
{
	bool is_last = true;

	for (u32 i = 0; i < VCPUS; i++)
		is_last = is_last && (i == caller->index || is_off_soon(i));
	call(caller, psci_cpu_off, 0, 0, 0);
	CHECK(stops == is_last);
	CHECK(is_last || caller->requests & REQ_STOP);
	power[caller->index] = IS_LEAVING;
	if (is_last)
		new_life();
}

/* What CPUs do meanwhile: load a vCPU that was started, or let one go that leaves. */
static void cpu_does(struct vcpu *vcpu)
{
	if (power[vcpu->index] == IS_STARTED) {
		psci_vcpu_begins(vcpu);
		power[vcpu->index] = IS_ON;
	} else if (power[vcpu->index] == IS_LEAVING) {
		vcpu->requests = 0;
		vcpu->state = VCPU_OFF;
		power[vcpu->index] = IS_OFF;
	}
}

typedef void call_fn(struct vcpu *caller);

int main(void)
{
	static call_fn *const calls[] = {cpu_on, cpu_on, cpu_on, affinity_info, cpu_off};

	vm.vcpu_count = VCPUS;
	vm.ram_base = RAM_BASE;
	vm.ram_bytes = RAM_BYTES;
	for (u32 i = 0; i < VCPUS; i++) {
		vcpus[i].vm = &vm;
		vcpus[i].index = i;
		vcpus[i].vmpidr = 1UL << 31 | i;
		vm.vcpus[i] = &vcpus[i];
	}
	new_life();
	for (u32 step = 0; step < STEPS; step++) {
		struct vcpu *vcpu = &vcpus[check_below(VCPUS)];

		if (power[vcpu->index] == IS_ON)
			calls[check_below(ARRAY_SIZE(calls))](vcpu);
		else
			cpu_does(vcpu);
	}
	printf("%u starts, %u pending, %u on, %u on the way off, %u lives: ", answers[0],
	       answers[IS_STARTED], answers[IS_ON], answers[IS_LEAVING], lives);
	CHECK(answers[0] > 100 && answers[IS_STARTED] > 100 && answers[IS_ON] > 100);
	CHECK(answers[IS_LEAVING] > 100 && lives > 100);
	return check_finish();
}
