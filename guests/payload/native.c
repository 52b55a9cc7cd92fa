// SPDX-License-Identifier: MIT
/* No hypervisor: what an HVC costs that finds nearly nothing at EL2, and one group of registers. */
#include "payload.h"

extern u32 el2_slot[];
extern u32 stub_nothing[], stub_general[], stub_return[], stub_dispatch[], stub_el1[], stub_timer[],
	stub_vgic[], stub_traps[], stub_stage2[], stub_simd[];

#define INSN_ERET 0xd69f03e0U
#define INSN_B(from, to) (0x14000000U | (u32)((((to) - (from)) & 0x3ffffff)))

static void set_vector(u32 instruction)
{
	*(volatile u32 *)el2_slot = instruction;
	code_changed((u64)el2_slot, 4);
}

static void group(const char *name, const u32 *stub)
{
	set_vector(INSN_B(el2_slot, stub));
	MEASURE(name, 1, call(0));
}

void native_rows(void)
{
	set_vector(INSN_ERET);
	MEASURE("hypercall", 1, call(0));
	group("group_nothing", stub_nothing);
	group("group_general", stub_general);
	group("group_return", stub_return);
	group("group_dispatch", stub_dispatch);
	group("group_el1", stub_el1);
	group("group_timer", stub_timer);
	group("group_vgic", stub_vgic);
	group("group_traps", stub_traps);
	group("group_stage2", stub_stage2);
	group("group_simd", stub_simd);
}
