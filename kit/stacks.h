/* SPDX-License-Identifier: MIT */
/*
 * EL2's stacks. A CPU has one, used from its top at each exit, and a second one for the vectors
 * that should never fire. Layer 2 leaves the guard pages unmapped: running over the end of a stack
 * is then an abort that is reported, not a silent overwrite of the neighbour.
 */
#ifndef STRATA_STACKS_H
#define STRATA_STACKS_H

#include "lib/types.h"
#include "page_alloc.h"
#include "platform/qemu_virt.h"

struct cpu_stacks {
	u8 guard0[PAGE_SIZE];
	u8 stack[2 * PAGE_SIZE];
	u8 guard1[PAGE_SIZE];
	u8 emergency[PAGE_SIZE];
} __attribute__((aligned(4096)));

extern struct cpu_stacks cpu_stacks[PLAT_CPU_MAX];

#endif
