// SPDX-License-Identifier: MIT
/*
 * The deadlines of a CPU against a model: an unordered array of what is armed. Whatever is armed and
 * cancelled in whatever order, deadlines expire in ascending order of their count, equal ones in the
 * order of arming, none early, none lost, none twice; and CNTHP stands at the first one.
 */
#include "check.h"
#include "lib/types.h"

static u64 cnthp_cval_el2, cnthp_ctl_el2, cntv_ctl_el0, cntp_ctl_el0, count;
#define write_sysreg(name, value) (name = (value))

static void isb(void)
{
}

#include "deadline.c"

#define COUNT 40
#define ROUNDS 20000

static struct cpu cpu;
static struct deadline deadlines[COUNT];
static u64 armed_at[COUNT]; /* order of arming; 0 = not armed */

struct cpu *this_cpu(void)
{
	return &cpu;
}

u64 counter_read(void)
{
	return count;
}

u64 counter_frequency(void)
{
	return 1000;
}

void console_lose_patience(void)
{
}

/* The one that the model expects first, or -1. */
static int model_first(void)
{
	int first = -1;

	for (int i = 0; i < COUNT; i++) {
		if (armed_at[i] && (first < 0 || deadlines[i].ticks < deadlines[first].ticks ||
				    (deadlines[i].ticks == deadlines[first].ticks &&
				     armed_at[i] < armed_at[first])))
			first = i;
	}
	return first;
}

static void expire(struct deadline *deadline)
{
	int first = model_first();

	CHECK(first >= 0 && deadline == &deadlines[first]);
	CHECK(deadline->ticks <= count);
	CHECK(!deadline_is_armed(deadline) && list_is_empty(&deadline->node));
	CHECK(!spin_is_locked(&cpu.deadline_lock));
	armed_at[first] = 0;
}

/* Small numbers make ties; the largest ones must not wrap. */
static u64 some_ticks(void)
{
	switch (check_below(4)) {
	case 0:
		return check_below(16);
	case 1:
		return ~0UL - check_below(16);
	default:
		return check_random();
	}
}

static void check_cnthp(void)
{
	int first = model_first();

	CHECK(cnthp_ctl_el2 == (first < 0 ? 0 : CNT_CTL_ENABLE));
	CHECK(first < 0 || cnthp_cval_el2 == deadlines[first].ticks);
}

static void interrupt_at(u64 now)
{
	count = now;
	CHECK(cnthp_interrupt(&cpu, PLAT_INTID_CNTHP) == IRQ_HANDLED);
	CHECK(model_first() < 0 || deadlines[model_first()].ticks > now);
}

int main(void)
{
	deadline_init_cpu(&cpu);
	for (int i = 0; i < COUNT; i++) {
		deadline_init(&deadlines[i], expire);
		CHECK(!deadline_is_armed(&deadlines[i]));
	}
	interrupt_at(~0UL);
	for (u64 round = 1; round <= ROUNDS; round++) {
		int i = (int)check_below(COUNT);

		if (check_below(3)) {
			deadline_arm(&deadlines[i], some_ticks());
			armed_at[i] = round;
		} else {
			deadline_cancel(&deadlines[i]);
			armed_at[i] = 0;
		}
		CHECK(deadline_is_armed(&deadlines[i]) == (armed_at[i] != 0));
		check_cnthp();
		if (check_below(8) == 0)
			interrupt_at(some_ticks());
		check_cnthp();
	}
	interrupt_at(~0UL);
	CHECK(model_first() < 0);
	return check_finish();
}
