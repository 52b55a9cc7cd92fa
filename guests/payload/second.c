// SPDX-License-Identifier: MIT
/* The second CPU. A word has one writer: what CPU 0 asks for, what CPU 1 has done. */
#include "payload.h"

#define PATIENCE 200000000UL /* ticks */

void second_entry(void);
void second_main(void);

static volatile u64 mode, is_up;
volatile u64 second_request;
void (*second_work)(void);

void second_main(void)
{
	u64 done = 0;

	gic_start_cpu(1);
	is_up = 1;
	asm volatile("msr daifclr, #2" ::: "memory");
	while (mode != SECOND_OFF) {
		if (mode == SECOND_SLEEPS) {
			asm volatile("wfi" ::: "memory");
		} else if (mode == SECOND_WORKS && second_request != done) {
			done = second_request;
			second_work();
		} else {
			cpu_relax();
		}
	}
	asm volatile("msr daifset, #2" ::: "memory");
	is_up = 0;
	psci(PSCI_CPU_OFF, 0, 0, 0);
}

bool second_start(void)
{
	u64 end = ticks() + PATIENCE;

	if (psci(PSCI_CPU_ON_64, 1, (u64)second_entry, 0))
		return false;
	while (!is_up && ticks() < end)
		cpu_relax();
	return is_up;
}

/* Out of WFI by an interrupt, to look at its mode. */
void second_set(enum second_mode next)
{
	mode = next;
	send_sgi(BIT(1));
	settle(BEGIN);
	while (next == SECOND_OFF && is_up)
		cpu_relax();
	if (next == SECOND_OFF)
		settle(BEGIN);
}
