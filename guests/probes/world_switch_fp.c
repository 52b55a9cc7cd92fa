// SPDX-License-Identifier: MIT
/*
 * SIMD and floating-point registers belong to a vCPU, also when they are switched lazily. To be
 * packed as two VMs; the first to run leaves secrets in all registers before the other looks.
 */
#include "probe.h"

struct fp {
	u64 v[64];
	u64 fpsr, fpcr;
};

static void __attribute__((noinline)) fp_load(const struct fp *fp)
{
	asm volatile(".arch_extension simd\n"
		     "	ldp q0, q1, [%0]\n"
		     "	ldp q2, q3, [%0, #32]\n"
		     "	ldp q4, q5, [%0, #64]\n"
		     "	ldp q6, q7, [%0, #96]\n"
		     "	ldp q8, q9, [%0, #128]\n"
		     "	ldp q10, q11, [%0, #160]\n"
		     "	ldp q12, q13, [%0, #192]\n"
		     "	ldp q14, q15, [%0, #224]\n"
		     "	ldp q16, q17, [%0, #256]\n"
		     "	ldp q18, q19, [%0, #288]\n"
		     "	ldp q20, q21, [%0, #320]\n"
		     "	ldp q22, q23, [%0, #352]\n"
		     "	ldp q24, q25, [%0, #384]\n"
		     "	ldp q26, q27, [%0, #416]\n"
		     "	ldp q28, q29, [%0, #448]\n"
		     "	ldp q30, q31, [%0, #480]\n"
		     "	msr fpsr, %1\n"
		     "	msr fpcr, %2\n" ::"r"(fp->v),
		     "r"(fp->fpsr), "r"(fp->fpcr)
		     : "memory");
}

static void __attribute__((noinline)) fp_store(struct fp *fp)
{
	asm volatile(".arch_extension simd\n"
		     "	stp q0, q1, [%2]\n"
		     "	stp q2, q3, [%2, #32]\n"
		     "	stp q4, q5, [%2, #64]\n"
		     "	stp q6, q7, [%2, #96]\n"
		     "	stp q8, q9, [%2, #128]\n"
		     "	stp q10, q11, [%2, #160]\n"
		     "	stp q12, q13, [%2, #192]\n"
		     "	stp q14, q15, [%2, #224]\n"
		     "	stp q16, q17, [%2, #256]\n"
		     "	stp q18, q19, [%2, #288]\n"
		     "	stp q20, q21, [%2, #320]\n"
		     "	stp q22, q23, [%2, #352]\n"
		     "	stp q24, q25, [%2, #384]\n"
		     "	stp q26, q27, [%2, #416]\n"
		     "	stp q28, q29, [%2, #448]\n"
		     "	stp q30, q31, [%2, #480]\n"
		     "	mrs %0, fpsr\n"
		     "	mrs %1, fpcr\n"
		     : "=&r"(fp->fpsr), "=&r"(fp->fpcr)
		     : "r"(fp->v)
		     : "memory");
}

static struct fp own, now;

static void fp_touch(void *unused)
{
	asm volatile(".arch_extension simd\n\tfmov x1, d0" ::: "x1");
}

static u64 fp_differ(void)
{
	u64 differ = 0;

	for (unsigned i = 0; i < 64; i++)
		differ |= own.v[i] != now.v[i] ? BIT(i / 2) : 0;
	return differ;
}

static u64 sum(const struct fp *fp)
{
	u64 any = fp->fpsr | fp->fpcr;

	for (unsigned i = 0; i < 64; i++)
		any |= fp->v[i];
	return any;
}

static void disabled_by_guest(void)
{
	sysreg_write(cpacr_el1, 0);
	isb();
	bool raised = exception_catch(MODE_EL1H, fp_touch, NULL);
	report(raised && ESR_EC(exception_seen.esr) == 0x07,
	       "CPACR_EL1.FPEN = 0: the access traps to EL1", ESR_EC(exception_seen.esr), 0x07);
	sysreg_write(cpacr_el1, 3UL << 20);
	isb();
	report(!exception_catch(MODE_EL1H, fp_touch, NULL), "CPACR_EL1.FPEN = 3: it does not",
	       exception_seen.esr, 0);
	report(!exception_catch(MODE_EL0, fp_touch, NULL), "nor at EL0", exception_seen.esr, 0);
}

void probe(void)
{
	u64 lost = 0, lost_control = 0;

	for (u32 i = 0; i < guest.vm; i++)
		vm_yield();
	sysreg_write(cpacr_el1, 3UL << 20);
	isb();
	fp_store(&now);
	report_equal("a fresh vCPU sees no other VM's registers", sum(&now), 0);
	for (unsigned round = 0; round < 64; round++) {
		for (unsigned i = 0; i < 64; i++)
			own.v[i] = random();
		own.fpsr = random() & 0x0800009f;
		own.fpcr = random() & 0x07c00000;
		fp_load(&own);
		/* Some turns pass without touching them: lazy switching must cope with both. */
		for (u64 turns = random() % 4; turns; turns--)
			vm_yield();
		hvc(SMCCC_VERSION, 0, 0, 0);
		fp_store(&now);
		lost |= fp_differ();
		lost_control |= (own.fpsr ^ now.fpsr) | (own.fpcr ^ now.fpcr);
	}
	report_equal("v0..v31 keep this VM's values", lost, 0);
	report_equal("FPSR and FPCR keep this VM's values", lost_control, 0);
	disabled_by_guest();
}
