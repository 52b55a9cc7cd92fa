/* SPDX-License-Identifier: MIT */
/*
 * Sleeps for 300 ms of its own time with CNTHP armed, then powers off. The interrupt is pending at
 * the CPU interface, so WFI ends although PSTATE masks it.
 */
	.include "common.inc"
	.set	GICD, 0x08000000
	.set	GICR, 0x080a0000
	.set	PPI, 26

	.globl	main
main:
	ldr	x1, =GICD
	mov	w2, #0x12		/* ARE, EnableGrp1 */
	str	w2, [x1]
	ldr	x1, =GICR
	ldr	w2, [x1, #0x14]		/* GICR_WAKER: wake up */
	bic	w2, w2, #2
	str	w2, [x1, #0x14]
	add	x1, x1, #0x10000
	mov	w2, #-1
	str	w2, [x1, #0x80]		/* GICR_IGROUPR0: group 1 */
	mov	w2, #(1 << PPI)
	str	w2, [x1, #0x100]	/* GICR_ISENABLER0 */
	mov	x2, #0xff
	msr	S3_0_C4_C6_0, x2	/* ICC_PMR_EL1 */
	mov	x2, #1
	msr	S3_0_C12_C12_7, x2	/* ICC_IGRPEN1_EL1 */
	mrs	x2, hcr_el2
	orr	x2, x2, #(1 << 4)	/* IMO: physical interrupts go to EL2 */
	msr	hcr_el2, x2
	mrs	x2, cntfrq_el0
	mov	x3, #3
	mul	x2, x2, x3
	mov	x3, #10
	udiv	x2, x2, x3
	msr	cnthp_tval_el2, x2
	mov	x2, #1
	msr	cnthp_ctl_el2, x2
	isb
	.globl	asleep
asleep:
	wfi
	b	power_off
