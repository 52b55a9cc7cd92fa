// SPDX-License-Identifier: MIT
/*
 * The end of EL2, with the reason: in words for people, in the crash mailbox for tools.
 *
 * The first CPU that stops owns the mailbox, the console and the power switch; another CPU that
 * stops waits for the power to go. A second failure on the owner goes straight to power-off. No
 * lock is taken: the CPU may have died holding any of them.
 */
#include "mailbox.h"

#include "console.h"
#include "lib/printf.h"
#include "power.h"
#include "sysreg.h"

struct crash_mailbox strata_crash;

static u32 crash_owner; /* 1 + number of the CPU, 0: nobody has stopped */

static const char *const exception_class_names[64] = {
	[ESR_EC_UNKNOWN] = "unknown reason (undefined instruction)",
	[ESR_EC_WFX] = "trapped WFI or WFE",
	[ESR_EC_FP] = "trapped SIMD or floating point",
	[ESR_EC_ILLEGAL] = "illegal execution state",
	[ESR_EC_SVC64] = "SVC",
	[ESR_EC_HVC64] = "HVC",
	[ESR_EC_SMC64] = "SMC",
	[ESR_EC_SYSREG] = "trapped system register",
	[ESR_EC_SVE] = "trapped SVE",
	[ESR_EC_IABT_LOW] = "instruction abort from a lower level",
	[ESR_EC_IABT_CUR] = "instruction abort",
	[ESR_EC_PC_ALIGN] = "PC alignment",
	[ESR_EC_DABT_LOW] = "data abort from a lower level",
	[ESR_EC_DABT_CUR] = "data abort",
	[ESR_EC_SP_ALIGN] = "SP alignment",
	[ESR_EC_FP_EXCEPTION] = "trapped floating-point exception",
	[ESR_EC_SERROR] = "SError",
	[ESR_EC_BREAKPOINT_LOW] = "breakpoint from a lower level",
	[ESR_EC_BREAKPOINT_CUR] = "breakpoint",
	[ESR_EC_STEP_CUR] = "software step",
	[ESR_EC_WATCHPOINT_CUR] = "watchpoint",
	[ESR_EC_BRK64] = "BRK instruction",
};

/* In the order of the vector table, 0x80 bytes each (Arm ARM, "Exception vectors"). */
static const char *const vector_names[16] = {
	"EL2t synchronous",
	"EL2t IRQ",
	"EL2t FIQ",
	"EL2t SError",
	"EL2h synchronous",
	"EL2h IRQ",
	"EL2h FIQ",
	"EL2h SError",
	"AArch64 guest synchronous",
	"AArch64 guest IRQ",
	"AArch64 guest FIQ",
	"AArch64 guest SError",
	"AArch32 guest synchronous",
	"AArch32 guest IRQ",
	"AArch32 guest FIQ",
	"AArch32 guest SError",
};

static const char *const kind_titles[] = {
	[CRASH_NONE] = "",	 [CRASH_PANIC] = "panic: ",  [CRASH_EXCEPTION] = "panic: ",
	[CRASH_TODO] = "TODO: ", [CRASH_CONFIG] = "error: ",
};

static u32 cpu_number(void)
{
	/* Not from struct cpu: TPIDR_EL2 may not be set yet, or may be broken. */
	return read_sysreg(mpidr_el1) & 0xff;
}

static void crash_claim(void)
{
	u32 self = cpu_number() + 1;
	u32 nobody = 0;

	if (__atomic_compare_exchange_n(&crash_owner, &nobody, self, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return;
	if (nobody == self)
		machine_off(1);
	for (;;)
		asm volatile("wfi");
}

static void __attribute__((noreturn)) crash_finish(enum crash_kind kind)
{
	struct crash_mailbox *box = &strata_crash;

	box->kind = kind;
	box->reason = box->text;
	/* An unwritten exercise 1.1 may stop below EL2, where these registers do not exist. */
	if (read_sysreg(currentel) == CURRENTEL_EL2) {
		box->esr = read_sysreg(esr_el2);
		box->far = read_sysreg(far_el2);
		box->spsr = read_sysreg(spsr_el2);
	}
	box->cpu = cpu_number();
	/* Whoever sees the magic sees the rest. */
	__atomic_store_n(&box->magic, CRASH_MAGIC, __ATOMIC_RELEASE);

	console_emergency("[strata] ");
	console_emergency(kind_titles[kind]);
	console_emergency(box->text);
	console_emergency("\n");
	if (kind == CRASH_PANIC || kind == CRASH_EXCEPTION) {
		char line[200];

		snprintf(line, sizeof(line),
			 "[strata]   CPU %lu ESR 0x%lx ELR 0x%lx FAR 0x%lx SPSR 0x%lx SP 0x%lx\n",
			 box->cpu, box->esr, box->elr, box->far, box->spsr, box->sp);
		console_emergency(line);
	}
	machine_off(1);
}

void crash_stop(enum crash_kind kind, const void *caller, const char *fmt, va_list args)
{
	crash_claim();
	strata_crash.elr = (u64)caller;
	strata_crash.sp = (u64)__builtin_frame_address(0);
	vsnprintf(strata_crash.text, sizeof(strata_crash.text), fmt, args);
	crash_finish(kind);
}

void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	crash_stop(CRASH_PANIC, __builtin_return_address(0), fmt, args);
}

void config_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	crash_stop(CRASH_CONFIG, __builtin_return_address(0), fmt, args);
}

void crash_exception(u64 vector, u64 sp)
{
	unsigned ec = esr_ec(read_sysreg(esr_el2));
	const char *name = exception_class_names[ec];

	crash_claim();
	strata_crash.elr = read_sysreg(elr_el2);
	strata_crash.sp = sp;
	strata_crash.vector = vector;
	snprintf(strata_crash.text, sizeof(strata_crash.text),
		 "exception at EL2: %s (EC 0x%02x), vector \"%s\"", name ? name : "reserved", ec,
		 vector_names[vector >> 7 & 0xf]);
	crash_finish(CRASH_EXCEPTION);
}
