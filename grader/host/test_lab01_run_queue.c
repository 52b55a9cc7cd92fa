// SPDX-License-Identifier: MIT
/*
 * The run queue against a model: an array in order of arrival. First in, first out; a vCPU that is
 * taken out of the middle leaves the others' order as it was; the count is the length.
 */
#include <string.h>

#include "check.h"
#include "internal.h"

#define COUNT 24
#define ROUNDS 20000

static struct vcpu vcpus[COUNT];
static struct cpu cpu;
static struct vcpu *model[COUNT];
static unsigned model_count;

static void model_remove(unsigned at)
{
	memmove(&model[at], &model[at + 1], (model_count - at - 1) * sizeof(model[0]));
	model_count--;
}

static unsigned model_find(const struct vcpu *vcpu)
{
	unsigned at = 0;

	while (at < model_count && model[at] != vcpu)
		at++;
	return at;
}

static void pop_one(void)
{
	struct vcpu *popped = run_queue_pop(&cpu);

	CHECK(popped == (model_count ? model[0] : NULL));
	if (popped) {
		CHECK(list_is_empty(&popped->run_node));
		popped->state = VCPU_RUNNING;
		model_remove(0);
	}
}

static void touch(struct vcpu *vcpu)
{
	unsigned at = model_find(vcpu);

	if (at == model_count) {
		run_queue_push(&cpu, vcpu);
		model[model_count++] = vcpu;
		CHECK(vcpu->state == VCPU_RUNNABLE);
	} else {
		run_queue_remove(&cpu, vcpu);
		model_remove(at);
	}
}

int main(void)
{
	run_queue_init(&cpu);
	spin_lock(&cpu.run_lock);
	for (unsigned i = 0; i < COUNT; i++) {
		list_init(&vcpus[i].run_node);
		vcpus[i].cpu = &cpu;
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (check_below(3) == 0)
			pop_one();
		else
			touch(&vcpus[check_below(COUNT)]);
		CHECK(cpu.runnable_count == model_count);
		CHECK(list_is_empty(&cpu.run_queue) == (model_count == 0));
	}
	while (model_count)
		pop_one();
	CHECK(run_queue_pop(&cpu) == NULL);
	return check_finish();
}
