/* SPDX-License-Identifier: MIT */
/*
 * Entry of the payload, as an arm64 Image, which every loader knows: QEMU, Strata's bundle, our VMM
 * for KVM, Xen. Without a hypervisor it begins at EL2 and goes down to EL1; what it leaves at EL2 is
 * the vector of an HVC (groups.S).
 *
 * The names guest_vectors and _start take the place of the runtime's in guests/lib.
 */
	.section .text.head, "ax"
	.globl	_start
_start:
	b	1f
	.long	0
	.quad	0			/* text_offset: at the start of RAM */
	.quad	__guest_end - . + 16	/* image_size */
	.quad	0xa			/* little-endian, pages of 4 KiB, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0
1:	mov	x20, x0
	adrp	x19, __stack_top
	add	x19, x19, :lo12:__stack_top
	bl	enter_el1
	mov	sp, x19
	adrp	x1, __bss_start
	add	x1, x1, :lo12:__bss_start
	adrp	x2, __bss_end
	add	x2, x2, :lo12:__bss_end
2:	cmp	x1, x2
	b.hs	3f
	stp	xzr, xzr, [x1], #16
	b	2b
3:	mov	x0, x20
	mov	x1, x21
	bl	payload_main
4:	wfi
	b	4b

	.text
	.globl	second_entry
second_entry:
	adrp	x19, second_stack_top
	add	x19, x19, :lo12:second_stack_top
	bl	enter_el1
	mov	sp, x19
	bl	second_main
1:	wfi
	b	1b

/* At EL1h with all interrupts masked and the vectors set; x21 = 1 if that began at EL2. */
enter_el1:
	mov	x21, #0
	mrs	x0, currentel
	cmp	x0, #8
	b.ne	1f
	mov	x21, #1
	mov	x0, #(1 << 31)		/* HCR_EL2.RW */
	msr	hcr_el2, x0
	mov	x0, #3			/* EL1 reads the counters and has the timers */
	msr	cnthctl_el2, x0
	msr	cntvoff_el2, xzr
	mov	x0, #0xf		/* EL1 has the system registers of the GIC */
	msr	s3_4_c12_c9_5, x0	/* ICC_SRE_EL2 */
	isb
	mrs	x0, midr_el1
	msr	vpidr_el2, x0
	mrs	x0, mpidr_el1
	msr	vmpidr_el2, x0
	mov	x0, #0x33ff		/* SIMD is not trapped */
	msr	cptr_el2, x0
	msr	vttbr_el2, xzr
	adr	x0, el2_vectors
	msr	vbar_el2, x0
	adrp	x0, el2_area
	add	x0, x0, :lo12:el2_area
	mov	sp, x0
	movz	x0, #0x0800		/* the bits of SCTLR_EL1 that are 1 */
	movk	x0, #0x30d0, lsl #16
	msr	sctlr_el1, x0
	mov	x0, #0x3c5		/* EL1h, DAIF */
	msr	spsr_el2, x0
	adr	x0, 1f
	msr	elr_el2, x0
	eret
1:	adrp	x0, bench_vectors
	add	x0, x0, :lo12:bench_vectors
	msr	vbar_el1, x0
	mov	x0, #(3 << 20)		/* SIMD */
	msr	cpacr_el1, x0
	isb
	ret

/* bench_vectors stamps an IRQ and comes here. Nothing but an IRQ at EL1h is expected. */
	.macro	unexpected count
	.rept	\count
	b	payload_exception
	.balign	128
	.endr
	.endm

	.balign	2048
	.globl	guest_vectors
guest_vectors:
	unexpected 5
	sub	sp, sp, #176
	stp	x0, x1, [sp, #0]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	bl	irq_taken
	b	irq_return
	.balign	128
	unexpected 10

irq_return:
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	ldp	x0, x1, [sp, #0]
	add	sp, sp, #176
	eret

	.bss
	.balign	16
	.space	8192
second_stack_top:
