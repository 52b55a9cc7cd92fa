// SPDX-License-Identifier: MIT
/*
 * Returns to garbage: random, misaligned, non-canonical and unmapped program counters at EL1 and
 * EL0. Each ends in an exception of the guest.
 */
#include "probe.h"

static void jump(void *address)
{
	asm volatile("ret %0" ::"r"(address));
}

static u64 garbage(unsigned i)
{
	u64 address = random();

	switch (i % 4) {
	case 0:
		return address | 1; /* misaligned */
	case 1:
		return address | 0xffff000000000000; /* the other half */
	case 2:
		return (address & 0x3ffffffc) & ~0x0e000000UL; /* below RAM, no device */
	default:
		return ram_end() + (address & 0xfffffffc);
	}
}

void probe(void)
{
	u64 survived = 0;

	for (unsigned i = 0; i < 4000; i++) {
		survived +=
			!exception_catch(i & 4 ? MODE_EL0 : MODE_EL1H, jump, (void *)garbage(i));
		if (i % 256 == 0)
			vm_yield();
	}
	report_equal("4000 jumps to nowhere each end in an exception", survived, 0);
	report_equal("and the hypervisor serves calls", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
