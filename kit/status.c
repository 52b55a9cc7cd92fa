// SPDX-License-Identifier: MIT
/*
 * What the VMs do, for a person at the console. No lock is taken: each number was right a moment
 * ago, and that is all that a status can be.
 */
#include "console.h"
#include "lib/bits.h"
#include "lib/printf.h"
#include "sysreg.h"
#include "vcpu.h"

#define LINE_BYTES 400 /* of VCPU_MAX vCPUs, the longest words of each */

static u64 used_ticks(const struct vcpu *vcpu, enum vcpu_state state, const struct cpu *cpu)
{
	u64 used = __atomic_load_n(&vcpu->used_ticks, __ATOMIC_RELAXED);

	if (state == VCPU_RUNNING && __atomic_load_n(&cpu->vcpu, __ATOMIC_RELAXED) == vcpu) {
		u64 since = __atomic_load_n(&cpu->charge_from, __ATOMIC_RELAXED);

		used += counter_read() - since; /* read last: never before since */
	}
	return used;
}

/* Return: the number of characters written to @text. */
static int vcpu_status(char *text, size_t bytes, const struct vcpu *vcpu)
{
	static const char *const words[] = {
		[VCPU_OFF] = "off",
		[VCPU_RUNNABLE] = "waits for CPU",
		[VCPU_RUNNING] = "runs on CPU",
		[VCPU_BLOCKED] = "sleeps on CPU",
	};
	const struct cpu *cpu = __atomic_load_n(&vcpu->cpu, __ATOMIC_RELAXED);
	enum vcpu_state state = vcpu_state(vcpu);
	u64 ms = used_ticks(vcpu, state, cpu) / (counter_frequency() / 1000);
	char where[12] = "";

	if (state != VCPU_OFF)
		snprintf(where, sizeof(where), " %u", cpu->index);
	return snprintf(text, bytes, "%s vCPU %u %s%s, %lu.%03lu s", vcpu->index ? ";" : "",
			vcpu->index, words[state], where, ms / 1000, ms % 1000);
}

static void vm_status(const struct vm *vm)
{
	char text[LINE_BYTES] = "";
	int used = 0;

	if (vm->state != VM_RUNNING) {
		console_printf("%s: %s%s\n", vm->name, vm->state == VM_STOPPED ? "stopped: " : "",
			       vm->stop_reason);
		return;
	}
	for (u32 i = 0; i < vm->vcpu_count && used < LINE_BYTES; i++)
		used += vcpu_status(text + used, LINE_BYTES - (size_t)used, vm->vcpus[i]);
	console_printf("%s:%s\n", vm->name, text);
}

void status_show(void)
{
	for (u32 i = 0; i < vm_count; i++)
		vm_status(vms[i]);
}
