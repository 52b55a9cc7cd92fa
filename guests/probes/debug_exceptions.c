// SPDX-License-Identifier: MIT
/*
 * Breakpoints, watchpoints and software step raise their exceptions where the guest set them, for
 * this guest alone, and only while no lock suppresses them. Arm ARM, "AArch64 Self-hosted Debug".
 */
#include "probe.h"

#define EC_BREAKPOINT_LOWER 0x30
#define EC_BREAKPOINT_SAME 0x31
#define EC_STEP_LOWER 0x32
#define EC_STEP_SAME 0x33
#define EC_WATCHPOINT_LOWER 0x34
#define EC_WATCHPOINT_SAME 0x35

#define PSTATE_D BIT(9)
#define PSTATE_SS BIT(21)
#define EL0 MODE_EL0
#define EL1 (MODE_EL1H & ~PSTATE_D)

#define SS BIT(0)
#define KDE BIT(13)
#define MDE BIT(15)

#define ENABLE 1UL
#define AT_EL1 (1UL << 1)
#define AT_EL0 (2UL << 1)
#define AT_BOTH (3UL << 1)
#define HMC BIT(13) /* higher levels too */
#define BREAK_WORD (0xfUL << 5)
#define WATCH_STORE (2UL << 3)
#define WATCH_ALL (0xffUL << 5)
#define LINKED_TO_1 (1UL << 16)
#define BREAK_LINKED (1UL << 20)
#define BREAK_CONTEXT (3UL << 20) /* of CONTEXTIDR_EL1, for others to link to */
#define WATCH_LINKED BIT(20)

/*
 * Straight code; what traps to a hypervisor is a step like any other. Not in the text, all of which
 * the harness compares as QEMU translates it: the instruction that a pending step exception keeps
 * from being executed is not fetched either.
 */
void code_plain(void *unused);
void code_store(void *address);
void code_load(void *address);
void code_trapped(void *unused);
void code_hypercall(void *unused);
asm(".pushsection .data\n\t.balign 4\n"
    "code_plain:	nop\n\tnop\n\tret\n"
    "code_store:	str	xzr, [x0]\n\tret\n"
    "code_load:		ldr	w1, [x0]\n\tret\n"
    "code_trapped:	mrs	x1, id_aa64pfr0_el1\n\tret\n"
    "code_hypercall:	hvc	#0\n\tret\n"
    ".popsection\n");

#define UART_FLAGS 0x09000018UL

static u64 watched[2];

static void control(u64 mdscr)
{
	sysreg_write(mdscr_el1, mdscr);
	isb();
}

static void everything_off(void)
{
	control(0);
	sysreg_write(dbgbcr0_el1, 0);
	sysreg_write(dbgbcr1_el1, 0);
	sysreg_write(dbgwcr0_el1, 0);
	sysreg_write(dbgwcr1_el1, 0);
	isb();
}

/* The class of the exception that @fn(@arg) in @mode ended with, 0 for none. */
static u64 class_of(u64 mode, void (*fn)(void *), void *arg)
{
	return exception_catch(mode, fn, arg) ? ESR_EC(exception_seen.esr) : 0;
}

static void breakpoints(void)
{
	sysreg_write(dbgbvr0_el1, (u64)code_plain + 4);
	sysreg_write(dbgbcr0_el1, BREAK_WORD | AT_BOTH | ENABLE);
	control(MDE | KDE);
	report_equal("breakpoint 0 at EL1", class_of(EL1, code_plain, NULL), EC_BREAKPOINT_SAME);
	report_equal("ELR_EL1 is its address", exception_seen.elr, (u64)code_plain + 4);
	report_equal("at EL0", class_of(EL0, code_plain, NULL), EC_BREAKPOINT_LOWER);
	report_equal("not at EL1 with PSTATE.D", class_of(MODE_EL1H, code_plain, NULL), 0);
	control(MDE);
	report_equal("not at EL1 without KDE", class_of(EL1, code_plain, NULL), 0);
	report_equal("but at EL0", class_of(EL0, code_plain, NULL), EC_BREAKPOINT_LOWER);
	control(KDE);
	report_equal("nor without MDE", class_of(EL0, code_plain, NULL), 0);
	control(MDE | KDE);
	sysreg_write(dbgbcr0_el1, BREAK_WORD | AT_EL0 | ENABLE);
	isb();
	report_equal("a breakpoint for EL0 is not EL1's", class_of(EL1, code_plain, NULL), 0);
	sysreg_write(dbgbcr0_el1, HMC | BREAK_WORD | AT_BOTH | ENABLE);
	isb();
	report_equal("with HMC, which a guest has no use for, it is EL1's and EL0's",
		     class_of(EL1, code_plain, NULL), EC_BREAKPOINT_SAME);
	everything_off();
	sysreg_write(dbgbvr1_el1, (u64)code_plain);
	sysreg_write(dbgbcr1_el1, BREAK_WORD | AT_BOTH | ENABLE);
	control(MDE | KDE);
	report_equal("breakpoint 1", class_of(EL1, code_plain, NULL), EC_BREAKPOINT_SAME);
	report_equal("at its address", exception_seen.elr, (u64)code_plain);
	everything_off();
}

static void watchpoints(void)
{
	sysreg_write(dbgwvr0_el1, (u64)&watched[0]);
	sysreg_write(dbgwcr0_el1, WATCH_ALL | WATCH_STORE | AT_BOTH | ENABLE);
	control(MDE | KDE);
	report_equal("watchpoint 0: a store at EL1", class_of(EL1, code_store, &watched[0]),
		     EC_WATCHPOINT_SAME);
	report_equal("FAR_EL1 is the address", exception_seen.far, (u64)&watched[0]);
	report_equal("ELR_EL1 is the store", exception_seen.elr, (u64)code_store);
	report_equal("at EL0", class_of(EL0, code_store, &watched[0]), EC_WATCHPOINT_LOWER);
	report_equal("not a load", class_of(EL1, code_load, &watched[0]), 0);
	report_equal("not the word behind", class_of(EL1, code_store, &watched[1]), 0);
	sysreg_write(dbgwvr1_el1, (u64)&watched[1]);
	sysreg_write(dbgwcr1_el1, WATCH_ALL | WATCH_STORE | AT_BOTH | ENABLE);
	isb();
	report_equal("watchpoint 1", class_of(EL1, code_store, &watched[1]), EC_WATCHPOINT_SAME);
	everything_off();
}

/* Breakpoint 1 is the one that can match contexts; others are linked to it. */
static void contexts(void)
{
	u64 mine = 0x1000 + guest.vm;

	sysreg_write(dbgbvr1_el1, mine);
	sysreg_write(dbgbcr1_el1, BREAK_CONTEXT | BREAK_WORD | AT_BOTH | ENABLE);
	sysreg_write(dbgbvr0_el1, (u64)code_plain);
	sysreg_write(dbgbcr0_el1, BREAK_LINKED | LINKED_TO_1 | BREAK_WORD | AT_BOTH | ENABLE);
	sysreg_write(dbgwvr0_el1, (u64)&watched[0]);
	sysreg_write(dbgwcr0_el1,
		     WATCH_LINKED | LINKED_TO_1 | WATCH_ALL | WATCH_STORE | AT_BOTH | ENABLE);
	sysreg_write(contextidr_el1, mine);
	control(MDE | KDE);
	report_equal("a breakpoint linked to the current context", class_of(EL1, code_plain, NULL),
		     EC_BREAKPOINT_SAME);
	report_equal("and a watchpoint", class_of(EL1, code_store, &watched[0]),
		     EC_WATCHPOINT_SAME);
	sysreg_write(contextidr_el1, mine + 1);
	isb();
	report_equal("not in another context", class_of(EL1, code_plain, NULL), 0);
	report_equal("neither the watchpoint", class_of(EL1, code_store, &watched[0]), 0);
	sysreg_write(contextidr_el1, 0);
	everything_off();
}

/* Whether the first instruction of @fn is one step: the exception comes behind it. */
static bool is_one_step(u64 mode, void (*fn)(void *), u64 arg, u64 ec)
{
	return class_of(mode | PSTATE_SS, fn, (void *)arg) == ec &&
	       exception_seen.elr == (u64)fn + 4;
}

static void steps(void)
{
	control(SS | KDE);
	report(is_one_step(EL1, code_plain, 0, EC_STEP_SAME), "software step at EL1",
	       exception_seen.elr, (u64)code_plain + 4);
	report(is_one_step(EL0, code_plain, 0, EC_STEP_LOWER), "at EL0", exception_seen.elr,
	       (u64)code_plain + 4);
	report(is_one_step(EL1, code_trapped, 0, EC_STEP_SAME), "over a register that EL2 emulates",
	       exception_seen.elr, (u64)code_trapped + 4);
	report(is_one_step(EL1, code_load, UART_FLAGS, EC_STEP_SAME),
	       "over a device that EL2 emulates", exception_seen.elr, (u64)code_load + 4);
	if (guest.hypervisor)
		report(is_one_step(EL1, code_hypercall, SMCCC_VERSION, EC_STEP_SAME), "over HVC",
		       exception_seen.elr, (u64)code_hypercall + 4);
	report_equal("PSTATE.SS = 0: before the first instruction",
		     class_of(EL1, code_plain, NULL) == EC_STEP_SAME ? exception_seen.elr : 0,
		     (u64)code_plain);
	report_equal("not at EL1 with PSTATE.D", class_of(MODE_EL1H, code_plain, NULL), 0);
	control(0);
}

/* QEMU's plain machine suppresses nothing: hardware does. */
static void locks(void)
{
	sysreg_write(dbgwvr0_el1, (u64)&watched[0]);
	sysreg_write(dbgwcr0_el1, WATCH_ALL | WATCH_STORE | AT_BOTH | ENABLE);
	control(MDE | KDE | SS);
	sysreg_write(oslar_el1, 1);
	isb();
	report_equal("a locked OS lock suppresses the watchpoint",
		     class_of(EL0, code_store, &watched[0]), 0);
	report_equal("and the step", class_of(EL0 | PSTATE_SS, code_plain, NULL), 0);
	report_equal("MDSCR_EL1 still reads as written", sysreg_read(mdscr_el1) & (MDE | KDE | SS),
		     MDE | KDE | SS);
	control(MDE | KDE);
	report_equal("nor does writing it help", class_of(EL0, code_store, &watched[0]), 0);
	vm_yield();
	report_equal("nor another VM's turn", class_of(EL0, code_store, &watched[0]), 0);
	sysreg_write(oslar_el1, 0);
	isb();
	report_equal("unlocked, the watchpoint is back", class_of(EL0, code_store, &watched[0]),
		     EC_WATCHPOINT_LOWER);
	if (!bits_get(sysreg_read(id_aa64dfr0_el1), 39, 36)) {
		sysreg_write(osdlr_el1, 1);
		isb();
		report_equal("the OS double lock suppresses it as well",
			     class_of(EL0, code_store, &watched[0]), 0);
		sysreg_write(osdlr_el1, 0);
		isb();
	}
	everything_off();
}

/* VMs with even numbers watch one word, those with odd numbers another, which all of them use. */
static void neighbours(void)
{
	u64 own = guest.vm & 1, missed = 0, foreign = 0;

	sysreg_write(dbgwvr0_el1, (u64)&watched[own]);
	sysreg_write(dbgwcr0_el1, WATCH_ALL | WATCH_STORE | AT_BOTH | ENABLE);
	control(MDE);
	for (unsigned turn = 0; turn < 6; turn++) {
		vm_yield();
		missed += class_of(EL0, code_store, &watched[own]) != EC_WATCHPOINT_LOWER;
		foreign += class_of(EL0, code_store, &watched[!own]) != 0;
	}
	report_equal("a watchpoint stays over turns of other VMs", missed, 0);
	report_equal("another VM's is never hit", foreign, 0);
	control(0);
	for (unsigned turn = 0; turn < 6; turn++) {
		vm_yield();
		foreign += class_of(EL0, code_store, &watched[turn & 1]) != 0;
	}
	report_equal("nor by a VM without MDE", foreign, 0);
	everything_off();
}

void probe(void)
{
	sysreg_write(osdlr_el1, 0);
	sysreg_write(oslar_el1, 0);
	isb();
	breakpoints();
	watchpoints();
	contexts();
	steps();
	if (guest.hypervisor)
		locks();
	neighbours();
}
