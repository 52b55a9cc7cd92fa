// SPDX-License-Identifier: MIT
/*
 * Accesses to a device by a guest whose data are big-endian: SCTLR_EL1.EE at EL1, SCTLR_EL1.E0E at
 * EL0, PSTATE.E in AArch32. The device is little-endian whoever asks: its registers change as RAM
 * would. Arm ARM, "Mixed-endian support".
 */
#include "probe.h"

#define UART GUEST_UART_BASE
#define ILPR (UART + 0x20)
#define IBRD (UART + 0x24)
#define SCTLR_E0E BIT(24)
#define SCTLR_EE BIT(25)
#define INSN_LDR_W 0xb9400001u /* x1 or w1, [x0] */
#define INSN_LDR_X 0xf9400001u
#define INSN_LDRH 0x79400001u
#define INSN_LDRSH_X 0x79800001u
#define INSN_LDRB 0x39400001u
#define INSN_STR_W 0xb9000001u
#define INSN_STRH 0x79000001u
#define MODE_A32_BIG 0x3d0 /* User, A32, E, A, I and F masked */
#define ESR_EC_SVC32 0x11
#define ID_AA64PFR0_EL0_A32 2

struct access {
	u32 insn;
	u64 address;
	u64 value; /* that arrives in the register */
};

static const struct access loads[] = {
	{INSN_LDRB, IBRD, 0x85},
	{INSN_LDRH, IBRD, 0x8576},
	{INSN_LDRSH_X, IBRD, 0xffffffffffff8576},
	{INSN_LDR_W, IBRD, 0x85760000},
	{INSN_LDR_X, ILPR, 0x4300000085760000},
};

static u64 sctlr;
static bool at_el0;

/* With SCTLR_EL1.EE nothing but registers is used. */
static u64 at_el1_with_ee(u32 insn, u64 address, u64 value)
{
	register u64 x0 asm("x0") = address;
	register u64 x1 asm("x1") = value;

#define CASE(encoding)                                                                             \
	case encoding:                                                                             \
		asm volatile("msr sctlr_el1, %2\n\tisb\n\t.inst %4\n\tmsr sctlr_el1, %3\n\tisb"    \
			     : "+r"(x1)                                                            \
			     : "r"(x0), "r"(sctlr | SCTLR_EE), "r"(sctlr), "i"(encoding)           \
			     : "memory");                                                          \
		return x1
	switch (insn) {
		CASE(INSN_LDR_W);
		CASE(INSN_LDR_X);
		CASE(INSN_LDRH);
		CASE(INSN_LDRSH_X);
		CASE(INSN_LDRB);
		CASE(INSN_STR_W);
		CASE(INSN_STRH);
	}
#undef CASE
	return 0;
}

/* insn_try() passes both by memory, which EL0 reads and writes big-endian. */
static u64 at_el0_with_e0e(u32 insn, u64 address, u64 value)
{
	u64 pair[2] = {__builtin_bswap64(address), __builtin_bswap64(value)};
	bool raised;

	sysreg_write(sctlr_el1, sctlr | SCTLR_E0E);
	isb();
	raised = insn_try(MODE_EL0, insn, pair);
	sysreg_write(sctlr_el1, sctlr);
	isb();
	return raised ? 0xdead : __builtin_bswap64(pair[1]);
}

static u64 access(u32 insn, u64 address, u64 value)
{
	return at_el0 ? at_el0_with_e0e(insn, address, value)
		      : at_el1_with_ee(insn, address, value);
}

static void accesses(const char *ram, const char *load, const char *store)
{
	static u64 word __attribute__((aligned(8)));
	u64 in_ram = 0, in_device = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++) {
		u64 offset = loads[i].address - ILPR;

		word = 0x43 | 0x7685UL << 32;
		write32(ILPR, 0x43);
		write32(IBRD, 0x7685);
		in_ram |= access(loads[i].insn, (u64)&word + offset, 0) != loads[i].value ? BIT(i)
											  : 0;
		in_device |=
			access(loads[i].insn, loads[i].address, 0) != loads[i].value ? BIT(i) : 0;
	}
	report_equal(ram, in_ram, 0);
	report_equal(load, in_device, 0);
	access(INSN_STR_W, IBRD, 0x34120000);
	report_equal(store, read32(IBRD), 0x1234);
	access(INSN_STRH, IBRD, 0x5678);
	report_equal(store, read32(IBRD), 0x7856);
}

/* The exception level that is not big-endian: its bytes stay as they are. */
static void the_other_level(void)
{
	u64 pair[2] = {IBRD, 0};

	write32(IBRD, 0x7685);
	sysreg_write(sctlr_el1, sctlr | SCTLR_E0E);
	isb();
	report_equal("E0E does not concern EL1", read32(IBRD), 0x7685);
	sysreg_write(sctlr_el1, sctlr);
	isb();
	insn_try(MODE_EL0, INSN_LDR_W, pair);
	report_equal("afterwards EL0 is little-endian again", pair[1], 0x7685);
}

static u64 run_a32(const void *code)
{
	exception_catch(MODE_A32_BIG, (void (*)(void *))(u64)code, (void *)IBRD);
	return ESR_EC(exception_seen.esr) == ESR_EC_SVC32 ? exception_seen.x[1] : 0xdead;
}

static void aarch32(void)
{
	static const u32 load[] = {
		0xe5901000, /* ldr	r1, [r0] */
		0xef000000, /* svc	#0 */
	};
	static const u32 store[] = {
		0xe3a01000, /* mov	r1, #0 */
		0xe3431412, /* movt	r1, #0x3412 */
		0xe5801000, /* str	r1, [r0] */
		0xef000000, /* svc	#0 */
	};

	write32(IBRD, 0x7685);
	report_equal("A32 with PSTATE.E: a load", run_a32(load), 0x85760000);
	run_a32(store);
	report_equal("A32 with PSTATE.E: a store", read32(IBRD), 0x1234);
}

void probe(void)
{
	sctlr = sysreg_read(sctlr_el1);
	accesses("EE: RAM, to show what the CPU does",
		 "EE: loads from a device at EL1 (bit n: of loads[n])",
		 "EE: a store to a device at EL1");
	at_el0 = true;
	accesses("E0E: RAM, to show what the CPU does",
		 "E0E: loads from a device at EL0 (bit n: of loads[n])",
		 "E0E: a store to a device at EL0");
	the_other_level();
	if ((sysreg_read(id_aa64pfr0_el1) & 0xf) == ID_AA64PFR0_EL0_A32)
		aarch32();
}
