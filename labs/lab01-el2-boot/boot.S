/* SPDX-License-Identifier: MIT */
/*
 * The first instructions. The boot loader enters here as it would enter Linux (arm64 boot
 * protocol): MMU off, one CPU, x0 = device tree. Nothing else about the CPU is taken for granted,
 * since reset values of system registers are UNKNOWN unless the manual says otherwise. Even the
 * exception level is checked.
 */
#include "asm_offsets.h"
#include "exercise.h"
#include "lib/smccc.h"
#include "platform/qemu_virt.h"
#include "sysreg.h"

	.section .text.head, "ax"
	.globl	_start
_start:
	b	boot
	.long	0
	.quad	PLAT_IMAGE_BASE - PLAT_RAM_BASE	/* text_offset */
	.quad	image_size			/* image_size, BSS included */
	.quad	0xa				/* little endian, 4 KiB pages, anywhere */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

/*
 * Exercise 1.1: boot - from the entry point to strata_main()
 *
 * Mask D, A, I and F. Unless the CPU is at EL2 (CurrentEL), branch to boot_not_el2. A CPU whose
 * affinity (MPIDR_EL1 bits [39:32] and [23:0], MPIDR_EL1_AFFINITY) is not 0 branches to boot_park.
 * Then, on the boot CPU:
 *
 *	SCTLR_EL2	its RES1 bits: MMU and caches off
 *	BSS		zero, from bss_start up to bss_end
 *	TPIDR_EL2	points at cpus[0]
 *	cpus[0]		stack_top and emergency_top: the upper ends of cpu_stacks[0].stack and
 *			.emergency
 *	SP		stack_top
 *	VBAR_EL2	vectors, with an ISB
 *
 * Last call strata_main, which does not return, with x0 as it was at the entry. Offsets into struct
 * cpu and struct cpu_stacks (kit/vcpu.h, kit/stacks.h) have names: kit/asm_offsets.c.
 */
boot:
EXERCISE_BEGIN(1.1)
	TODO(1.1)
EXERCISE_END

/* A secondary CPU that a boot loader released too early: asleep until layer 6 has use for it. */
boot_park:
	wfe
	b	boot_park

/*
 * No EL2, no hypervisor. Say so on the UART, which on this platform needs no initialisation for
 * output. Call machine_tell_failure(), which needs a stack. Power off by PSCI's conduit at EL1,
 * HVC.
 */
boot_not_el2:
	adr	x1, boot_not_el2_text
	mov	x2, #PLAT_UART_BASE
1:	ldrb	w3, [x1], #1
	cbz	w3, 2f
	str	w3, [x2]
	b	1b
2:	adrp	x1, cpu_stacks
	add	x1, x1, :lo12:cpu_stacks
	mov	x2, #STACKS_STACK_TOP
	add	sp, x1, x2
	bl	machine_tell_failure
	ldr	w0, =PSCI_SYSTEM_OFF
	hvc	#0
3:	wfi
	b	3b

boot_not_el2_text:
	.asciz	"[strata] error: not entered at EL2: start QEMU with -M virt,virtualization=on\r\n"
	.balign	4
	.ltorg
