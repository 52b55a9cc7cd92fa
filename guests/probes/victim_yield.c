// SPDX-License-Identifier: MIT
/*
 * The neighbour of a hostile VM without preemption (images of layers 1 to 3): the victim gives way
 * after each check. To be packed with one hostile VM that ends by itself.
 */
#include "probe.h"

#define WORDS 512
#define ROUNDS 400

static u64 pattern(u64 at)
{
	return at * 0x9e3779b97f4a7c15UL ^ seed_number();
}

void probe(void)
{
	u64 base = free_memory(), wrong = 0;

	for (u64 i = 0; i < WORDS; i++)
		write64(base + i * 512, pattern(base + i * 512));
	for (unsigned round = 0; round < ROUNDS; round++) {
		vm_yield();
		for (u64 i = 0; i < WORDS; i++)
			wrong += read64(base + i * 512) != pattern(base + i * 512);
	}
	report_equal("this VM's memory kept its contents", wrong, 0);
	report_equal("calls are served", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
