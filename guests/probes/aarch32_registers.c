// SPDX-License-Identifier: MIT
/*
 * AArch32 at EL0 may use counter and physical timer where CNTKCTL_EL1 allows it, and finds those of
 * AArch64. Where EL1 has no physical timer its registers are UNDEFINED. (AArch32 has the debug
 * channel at EL0 as well; QEMU does not know it.) Arm ARM, "CNTKCTL_EL1".
 */
#include "probe.h"

#define MODE_A32 0x1d0 /* User, A, I and F masked */
#define MODE_T32 0x1f0
#define ESR_EC_CP15_32 0x03
#define ESR_EC_SVC32 0x11
#define EL0_ALL 0x303UL /* EL0PTEN, EL0VTEN, EL0VCTEN, EL0PCTEN */
#define EL0PTEN BIT(9)
#define CTL_ENABLE 1
#define CTL_IMASK 2

#define REACHED 0x77
#define MOV_R1_REACHED 0xe3a01077
#define MOV_R2_R0 0xe1a02000
#define MOV_R3_5 0xe3a03005
#define SVC 0xef000000
#define A32(name, ...) static const u32 name[] = {__VA_ARGS__, MOV_R1_REACHED, SVC}

A32(read_ctl, 0xee1e0f32); /* mrc p15, 0, r0, c14, c2, 1 */
A32(write_ctl, 0xee0e0f32);
A32(read_tval, 0xee1e0f12); /* mrc p15, 0, r0, c14, c2, 0 */
A32(write_tval, 0xee0e0f12);
A32(read_cval, 0xec532f2e); /* mrrc p15, 2, r2, r3, c14 */
A32(write_cval, MOV_R2_R0, MOV_R3_5, 0xec432f2e);
A32(read_pct, 0xec532f0e); /* mrrc p15, 0, r2, r3, c14 */
A32(read_vct, 0xec532f1e); /* mrrc p15, 1, r2, r3, c14 */
A32(read_ctl_if_equal, 0x0e1e0f32); /* mrceq p15, 0, r0, c14, c2, 1 */
static const u16 t32_read_ctl[] __attribute__((aligned(4))) = {
	0xee1e, 0x0f32, /* mrc	p15, 0, r0, c14, c2, 1 */
	0x2177, /* movs	r1, #0x77 */
	0xdf00, /* svc	#0 */
};

static bool run(u64 mode, const void *code, u64 r0)
{
	exception_catch(mode, (void (*)(void *))(u64)code, (void *)r0);
	return ESR_EC(exception_seen.esr) == ESR_EC_SVC32 && exception_seen.x[1] == REACHED;
}

/* The register that @code read; a value that no register has when it did not come to its end. */
static u64 read(u64 mode, const void *code, unsigned rt)
{
	return run(mode, code, 0xdead) ? exception_seen.x[rt] : ~0UL;
}

static bool is_undefined(const void *code)
{
	return !run(MODE_A32, code, 0) && exception_seen.esr == ESR_UNDEFINED &&
	       exception_seen.vector == VECTOR_SYNC_EL0_A32;
}

static u64 wide(void)
{
	return exception_seen.x[3] << 32 | exception_seen.x[2];
}

static void timer(void)
{
	u64 before, count;
	bool good;

	sysreg_write(cntkctl_el1, EL0_ALL);
	sysreg_write(cntp_ctl_el0, CTL_IMASK);
	isb();
	report_equal("CNTP_CTL", read(MODE_A32, read_ctl, 0), CTL_IMASK);
	report_equal("in T32", read(MODE_T32, t32_read_ctl, 0), CTL_IMASK);
	report_equal("not when its condition fails", read(MODE_A32, read_ctl_if_equal, 0), 0xdead);
	run(MODE_A32, write_ctl, CTL_IMASK | CTL_ENABLE);
	report_equal("written, it is AArch64's", sysreg_read(cntp_ctl_el0) & 3,
		     CTL_IMASK | CTL_ENABLE);
	run(MODE_A32, write_cval, 0x89abcdef);
	report_equal("CNTP_CVAL is written from two registers", sysreg_read(cntp_cval_el0),
		     5UL << 32 | 0x89abcdef);
	good = run(MODE_A32, read_cval, 0);
	report_equal("and read into two", good ? wide() : 0, 5UL << 32 | 0x89abcdef);
	before = counter_physical();
	run(MODE_A32, write_tval, 0xfffffff0);
	report(sysreg_read(cntp_cval_el0) + 16 - before < 1000000, "CNTP_TVAL is signed",
	       sysreg_read(cntp_cval_el0), before);
	report((u32)read(MODE_A32, read_tval, 0) >> 31 == 1, "and counts down", exception_seen.x[0],
	       0xfffffff0);
	before = counter_physical();
	good = run(MODE_A32, read_pct, 0);
	count = wide();
	report(good && count - before < 1000000, "CNTPCT", count, before);
	before = counter();
	good = run(MODE_A32, read_vct, 0);
	count = wide();
	report(good && count - before < 1000000, "CNTVCT", count, before);
	sysreg_write(cntkctl_el1, EL0_ALL & ~EL0PTEN);
	isb();
	run(MODE_A32, read_ctl, 0);
	report_equal("without CNTKCTL_EL1.EL0PTEN it traps to EL1", ESR_EC(exception_seen.esr),
		     ESR_EC_CP15_32);
	sysreg_write(cntkctl_el1, 0);
	sysreg_write(cntp_ctl_el0, 0);
}

static void no_timer(void)
{
	sysreg_write(cntkctl_el1, EL0_ALL);
	isb();
	report(is_undefined(read_ctl), "CNTP_CTL is undefined, as for EL1", exception_seen.esr,
	       ESR_UNDEFINED);
	report(is_undefined(read_cval), "and CNTP_CVAL", exception_seen.esr, ESR_UNDEFINED);
	sysreg_write(cntkctl_el1, 0);
}

void probe(void)
{
	u64 value[2] = {0, 0};

	if (bits_get(sysreg_read(id_aa64pfr0_el1), 3, 0) != 2) {
		report(true, "this CPU has no AArch32 at EL0", 0, 0);
		return;
	}
	if (insn_try(MODE_EL1H, INSN_MRS(3, 3, 14, 2, 1), value))
		no_timer();
	else
		timer();
}
