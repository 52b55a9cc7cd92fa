/* SPDX-License-Identifier: MIT */
/*
 * What a hypercall would cost if it saved and restored one group of registers and did nothing else:
 * stubs at EL2 for the machine without a hypervisor. The vector of an HVC begins as a lone ERET; the
 * payload puts a branch to a stub in its place.
 *
 * A stub may use x9 and x10: the payload's call does not count on them. SP is el2_area.
 */
	.macro	idle count
	.rept	\count
	b	.
	.balign	128
	.endr
	.endm

	.text
	.balign	2048
	.globl	el2_vectors
el2_vectors:
	idle	8
	.globl	el2_slot
el2_slot:
	eret
	.balign	128
	idle	7

	.globl	stub_nothing
stub_nothing:
	eret

	.macro	save_general
	stp	x0, x1, [sp, #0]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	str	x30, [sp, #240]
	.endm
	.macro	restore_general
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x19, [sp, #144]
	ldp	x20, x21, [sp, #160]
	ldp	x22, x23, [sp, #176]
	ldp	x24, x25, [sp, #192]
	ldp	x26, x27, [sp, #208]
	ldp	x28, x29, [sp, #224]
	ldr	x30, [sp, #240]
	ldp	x0, x1, [sp, #0]
	.endm

	.globl	stub_general
stub_general:
	save_general
	restore_general
	eret

/* The least that a hypercall needs: the general registers, why it came, and a function for it. */
	.globl	stub_dispatch
stub_dispatch:
	save_general
	mrs	x0, esr_el2
	mrs	x1, elr_el2
	mrs	x2, spsr_el2
	lsr	x3, x0, #26
	cmp	x3, #0x16		/* HVC from AArch64 */
	b.ne	.
	mov	x0, sp
	bl	1f
	msr	elr_el2, x1
	msr	spsr_el2, x2
	restore_general
	eret
1:	str	xzr, [x0]
	ret

/* A stub that saves and restores system registers, two by two: three instructions a pair each way. */
	.macro	system_group name, pairs:vararg
	.globl	stub_\name
stub_\name:
	.set	at, 0
	save_pairs \pairs
	.set	at, 0
	restore_pairs \pairs
	eret
	.endm
	.macro	save_pairs first, second, rest:vararg
	mrs	x9, \first
	mrs	x10, \second
	stp	x9, x10, [sp, #at]
	.set	at, at + 16
	.ifnb	\rest
	save_pairs \rest
	.endif
	.endm
	.macro	restore_pairs first, second, rest:vararg
	ldp	x9, x10, [sp, #at]
	msr	\first, x9
	msr	\second, x10
	.set	at, at + 16
	.ifnb	\rest
	restore_pairs \rest
	.endif
	.endm

	system_group return, elr_el2, spsr_el2
	system_group el1, sctlr_el1, cpacr_el1, ttbr0_el1, ttbr1_el1, tcr_el1, esr_el1, afsr0_el1, \
		afsr1_el1, far_el1, mair_el1, vbar_el1, contextidr_el1, amair_el1, cntkctl_el1, \
		par_el1, tpidr_el1, tpidr_el0, tpidrro_el0, sp_el1, sp_el0, elr_el1, spsr_el1, csselr_el1, \
		mdscr_el1
	system_group timer, cntv_ctl_el0, cntv_cval_el0, cntvoff_el2, cnthctl_el2
	/* ICH_VMCR_EL2, ICH_HCR_EL2, ICH_AP0R0_EL2, ICH_AP1R0_EL2, ICH_LR0_EL2 to ICH_LR3_EL2 */
	system_group vgic, s3_4_c12_c11_7, s3_4_c12_c11_0, s3_4_c12_c8_0, s3_4_c12_c9_0, \
		s3_4_c12_c12_0, s3_4_c12_c12_1, s3_4_c12_c12_2, s3_4_c12_c12_3
	system_group traps, hcr_el2, cptr_el2, mdcr_el2, hstr_el2
	system_group stage2, vttbr_el2, vtcr_el2

	.globl	stub_simd
stub_simd:
	stp	q0, q1, [sp, #0]
	stp	q2, q3, [sp, #32]
	stp	q4, q5, [sp, #64]
	stp	q6, q7, [sp, #96]
	stp	q8, q9, [sp, #128]
	stp	q10, q11, [sp, #160]
	stp	q12, q13, [sp, #192]
	stp	q14, q15, [sp, #224]
	stp	q16, q17, [sp, #256]
	stp	q18, q19, [sp, #288]
	stp	q20, q21, [sp, #320]
	stp	q22, q23, [sp, #352]
	stp	q24, q25, [sp, #384]
	stp	q26, q27, [sp, #416]
	stp	q28, q29, [sp, #448]
	stp	q30, q31, [sp, #480]
	mrs	x9, fpsr
	mrs	x10, fpcr
	str	x9, [sp, #512]
	str	x10, [sp, #520]
	ldp	q0, q1, [sp, #0]
	ldp	q2, q3, [sp, #32]
	ldp	q4, q5, [sp, #64]
	ldp	q6, q7, [sp, #96]
	ldp	q8, q9, [sp, #128]
	ldp	q10, q11, [sp, #160]
	ldp	q12, q13, [sp, #192]
	ldp	q14, q15, [sp, #224]
	ldp	q16, q17, [sp, #256]
	ldp	q18, q19, [sp, #288]
	ldp	q20, q21, [sp, #320]
	ldp	q22, q23, [sp, #352]
	ldp	q24, q25, [sp, #384]
	ldp	q26, q27, [sp, #416]
	ldp	q28, q29, [sp, #448]
	ldp	q30, q31, [sp, #480]
	ldr	x9, [sp, #512]
	ldr	x10, [sp, #520]
	msr	fpsr, x9
	msr	fpcr, x10
	eret

	.bss
	.balign	16
	.globl	el2_area
el2_area:
	.space	1024
