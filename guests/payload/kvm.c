// SPDX-License-Identifier: MIT
/* A VM of KVM under bench/peers/vmm.c, whose devices are that program's (shared.h). */
#include "payload.h"
#include "shared.h"

static volatile struct kvm_shared *const shared = (void *)(KVM_RAM + KVM_SHARED_OFFSET);

static void ring(u64 bell)
{
	write32(KVM_BELLS + bell, 0);
}

/* From the store to the VMM's thread, by its own stamp; and to a thread that sleeps elsewhere. */
static void out(void)
{
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		u64 start = ticks();

		ring(KVM_BELL_STAMP);
		if (i >= 0)
			samples[i] = (u32)(shared->out_at - start);
	}
	row_add("io_out_userspace", samples, 1);
	MEASURE("io_out", 1, write32(KVM_EVENT, 1));
}

static void take(bool asleep, const char *name)
{
	shared->is_slow = asleep;
	for (int i = -WARM_UP; i < SAMPLES; i++) {
		u64 before = taken;

		asm volatile("msr daifset, #2" ::: "memory");
		shared->asked = shared->asked + 1;
		while (taken == before) {
			if (asleep)
				asm volatile("wfi" ::: "memory");
			asm volatile("msr daifclr, #2\n\tisb\n\tyield" ::: "memory");
		}
		if (i >= 0)
			samples[i] = (u32)(taken_at - shared->in_at);
		shared->acknowledged = shared->acknowledged + 1;
		settle(SETTLE);
	}
	asm volatile("msr daifset, #2" ::: "memory");
	row_add(name, samples, 1);
}

void kvm_rows(void)
{
	second_set(SECOND_OFF);
	out();
	gic_start_spi(KVM_INTID, true);
	ring(KVM_BELL_DEVICE);
	take(false, "io_in");
	take(true, "io_in_asleep");
}

/* Each VM's thread gives the CPU to the other's: two switches a sample. */
void kvm_switch(void)
{
	ring(KVM_BELL_TOGETHER);
	for (int i = 0; i < WARM_UP; i++)
		ring(KVM_BELL_YIELD);
	for (int i = 0; i < SAMPLES; i++) {
		u64 start = ticks();

		ring(KVM_BELL_YIELD);
		samples[i] = (u32)(ticks() - start);
	}
	for (int i = 0; i < WARM_UP; i++)
		ring(KVM_BELL_YIELD);
	row_add("vm_switch", samples, 2);
}
