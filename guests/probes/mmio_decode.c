// SPDX-License-Identifier: MIT
/*
 * Emulated loads and stores of every width, sign extension and register: EL2 must do exactly what
 * the syndrome says. The device is the PL011, whose identification registers are constants and
 * whose IBRD keeps 16 bits. Arm ARM, "ISS encoding for an exception from a Data Abort".
 */
#include "mmu.h"
#include "probe.h"
#include "registers.h"

#define UART GUEST_UART_BASE
#define IBRD (UART + 0x24)
#define PCELL1 (UART + 0xff4) /* 0xf0 */
#define PCELL3 (UART + 0xffc) /* 0xb1 */

/* LDR/STR (unsigned immediate 0): size, opc, base x0, target @rt. */
#define INSN_LDST(size, opc, rt) (0x39000000u | (u32)(size) << 30 | (u32)(opc) << 22 | (u32)(rt))
#define STORE 0
#define LOAD 1
#define LOAD_SIGNED_X 2
#define LOAD_SIGNED_W 3

static struct registers in, out;

static u64 load_into_x1(u64 address, u32 insn)
{
	u64 value[2] = {address, random()};

	if (insn_try(MODE_EL1H, insn | 1, value))
		return 0xdead;
	return value[1];
}

static void widths(void)
{
	write32(IBRD, 0x8421);
	report_equal("LDRB zero-extends", load_into_x1(PCELL1, INSN_LDST(0, LOAD, 0)), 0xf0);
	report_equal("LDRSB to W extends to 32 bits and clears the rest",
		     load_into_x1(PCELL1, INSN_LDST(0, LOAD_SIGNED_W, 0)), 0xfffffff0);
	report_equal("LDRSB to X extends to 64 bits",
		     load_into_x1(PCELL3, INSN_LDST(0, LOAD_SIGNED_X, 0)), 0xffffffffffffffb1);
	report_equal("LDRH zero-extends", load_into_x1(IBRD, INSN_LDST(1, LOAD, 0)), 0x8421);
	report_equal("LDRSH to W extends to 32 bits and clears the rest",
		     load_into_x1(IBRD, INSN_LDST(1, LOAD_SIGNED_W, 0)), 0xffff8421);
	report_equal("LDRSH to X extends to 64 bits",
		     load_into_x1(IBRD, INSN_LDST(1, LOAD_SIGNED_X, 0)), 0xffffffffffff8421);
	report_equal("LDR W clears the upper half", load_into_x1(IBRD, INSN_LDST(2, LOAD, 0)),
		     0x8421);
	report_equal("LDRSW of a positive word", load_into_x1(IBRD, INSN_LDST(2, LOAD_SIGNED_X, 0)),
		     0x8421);
	report_equal("LDAR W is a load too", load_into_x1(IBRD, 0x88dffc00), 0x8421);
	report_equal("LDUR W is a load too", load_into_x1(IBRD, 0xb8400000), 0x8421);
}

static void stores(void)
{
	write32(IBRD, 0x1111);
	write16(IBRD, 0x2222);
	report_equal("STRH writes 16 bits", read32(IBRD), 0x2222);
	write32(IBRD, 0x3333);
	report_equal("STR W writes what the register holds", read32(IBRD), 0x3333);
	asm volatile("str wzr, [%0]" ::"r"(IBRD) : "memory");
	report_equal("STR WZR writes zero (SRT = 31)", read32(IBRD), 0);
	write32(IBRD, 0x4444);
	asm volatile("stlr %w0, [%1]" ::"r"(0x5555), "r"(IBRD) : "memory");
	report_equal("STLR W is a store too", read32(IBRD), 0x5555);
}

/* Every register as target, then as source; x0 holds the address. */
static void registers(void)
{
	u64 wrong_load = 0, wrong_store = 0, collateral = 0;

	for (unsigned i = 0; i < 31; i++)
		in.x[i] = random();
	in.x[0] = IBRD;
	in.daif = 0x3c0;
	in.sp_el0 = sysreg_read(sp_el0);
	for (unsigned rt = 1; rt < 32; rt++) {
		u64 expected = random() & 0xffff;

		write32(IBRD, (u32)expected);
		registers_patch(INSN_LDST(2, LOAD, rt));
		registers_run(&in, &out);
		for (unsigned i = 0; i < 31; i++) {
			if (i == rt)
				wrong_load |= out.x[i] != expected ? BIT(rt) : 0;
			else
				collateral |= out.x[i] != in.x[i] ? BIT(rt) : 0;
		}
		registers_patch(INSN_LDST(2, STORE, rt));
		registers_run(&in, &out);
		expected = rt == 31 ? 0 : in.x[rt] & 0xffff;
		wrong_store |= (read32(IBRD) & 0xffff) != expected ? BIT(rt) : 0;
	}
	report_equal("a load reaches each of x1..x30", wrong_load, 0);
	report_equal("a load changes no other register (also WZR as target)", collateral, 0);
	report_equal("a store takes each of x1..x30 and WZR", wrong_store, 0);
}

/*
 * Without a valid syndrome (ISV = 0) a hypervisor may emulate the instruction in full or report a
 * synchronous external abort; half of it, or anything else, is wrong.
 */
static void no_syndrome(u32 insn, u64 base_step, const char *text)
{
	u64 value[2] = {IBRD, 0};

	write32(IBRD, 0x7777);
	if (insn_try(MODE_EL1H, insn, value)) {
		report(ESR_EC(exception_seen.esr) == ESR_EC_DABT_SAME &&
			       ESR_DFSC(exception_seen.esr) == FSC_EXTERNAL &&
			       exception_seen.far == IBRD && exception_seen.elr == insn_address(),
		       text, exception_seen.esr, 0x96000010);
		return;
	}
	report(value[0] == IBRD + base_step && (value[1] & 0xffffffff) == 0x7777, text, value[1],
	       0x7777);
}

static void from_el0(void)
{
	u64 value[2] = {IBRD, 0};

	write32(IBRD, 0x6666);
	report(!insn_try(MODE_EL0, INSN_LDST(2, LOAD, 1), value) && value[1] == 0x6666,
	       "a load at EL0 is emulated as well", value[1], 0x6666);
}

/* Normal memory at stage 1 lets misaligned and page-crossing accesses reach stage 2. */
static void misaligned(void)
{
	u64 page = align_up(free_memory(), 4096) + 4096, value[2];

	mmu_enable();
	mmu_map_page(page, UART, PTE_NORMAL | PTE_ACCESS | PTE_UXN | PTE_PXN);
	value[0] = page + 0x25;
	bool raised = insn_try(MODE_EL1H, INSN_LDST(2, LOAD, 1), value);
	report(!raised || ESR_EC(exception_seen.esr) == ESR_EC_DABT_SAME,
	       "a misaligned load is answered or aborts", exception_seen.esr, 0);
	value[0] = page + 0xffe;
	raised = insn_try(MODE_EL1H, INSN_LDST(3, LOAD, 1), value);
	report(!raised || ESR_EC(exception_seen.esr) == ESR_EC_DABT_SAME,
	       "a load across the end of the device page is answered or aborts", exception_seen.esr,
	       0);
	value[0] = page + 0x24;
	write32(page + 0x24, 0x1357);
	report(!insn_try(MODE_EL1H, INSN_LDST(2, LOAD, 1), value) && value[1] == 0x1357,
	       "an aligned load through stage 1 is emulated", value[1], 0x1357);
	mmu_disable();
}

void probe(void)
{
	widths();
	stores();
	registers();
	from_el0();
	no_syndrome(0xb8404401, 4, "LDR post-index: emulated or external abort");
	no_syndrome(0xb8400c01, 0, "LDR pre-index by 0: emulated or external abort");
	no_syndrome(0x29400001 | 31 << 10, 0, "LDP: emulated or external abort");
	no_syndrome(0x885f7c01, 0, "LDXR: emulated or external abort");
	misaligned();
}
