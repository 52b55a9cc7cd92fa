// SPDX-License-Identifier: MIT
/*
 * One instruction between two complete pictures of the register file.
 */
#include "registers.h"

#include "cpu.h"

#define INSN_B 0x14000000u

extern u32 registers_slot[], registers_loop[];

/*
 * Loads every register from *in, executes the slot, stores every register to *out. The slot stands
 * between branches, so that QEMU, which translates blocks, translates one instruction anew and not
 * all.
 */
asm(".text\n"
    "	.globl registers_run, registers_slot\n"
    "registers_run:\n"
    "	stp x19, x20, [sp, #-112]!\n"
    "	stp x21, x22, [sp, #16]\n"
    "	stp x23, x24, [sp, #32]\n"
    "	stp x25, x26, [sp, #48]\n"
    "	stp x27, x28, [sp, #64]\n"
    "	stp x29, x30, [sp, #80]\n"
    "	str x1, [sp, #96]\n"
    "	ldp x2, x3, [x0, #256]\n"
    "	msr sp_el0, x2\n"
    "	msr tpidr_el0, x3\n"
    "	ldp x2, x3, [x0, #272]\n"
    "	msr tpidrro_el0, x2\n"
    "	msr tpidr_el1, x3\n"
    "	ldp x2, x3, [x0, #288]\n"
    "	msr nzcv, x2\n"
    "	msr daif, x3\n"
    "	ldp x2, x3, [x0, #16]\n"
    "	ldp x4, x5, [x0, #32]\n"
    "	ldp x6, x7, [x0, #48]\n"
    "	ldp x8, x9, [x0, #64]\n"
    "	ldp x10, x11, [x0, #80]\n"
    "	ldp x12, x13, [x0, #96]\n"
    "	ldp x14, x15, [x0, #112]\n"
    "	ldp x16, x17, [x0, #128]\n"
    "	ldp x18, x19, [x0, #144]\n"
    "	ldp x20, x21, [x0, #160]\n"
    "	ldp x22, x23, [x0, #176]\n"
    "	ldp x24, x25, [x0, #192]\n"
    "	ldp x26, x27, [x0, #208]\n"
    "	ldp x28, x29, [x0, #224]\n"
    "	ldr x30, [x0, #240]\n"
    "	ldp x0, x1, [x0]\n"
    "	b registers_slot\n"
    "registers_slot:\n"
    "	nop\n"
    "	b 1f\n"
    "1:	stp x0, x1, [sp, #-16]!\n"
    "	ldr x0, [sp, #112]\n"
    "	stp x2, x3, [x0, #16]\n"
    "	stp x4, x5, [x0, #32]\n"
    "	stp x6, x7, [x0, #48]\n"
    "	stp x8, x9, [x0, #64]\n"
    "	stp x10, x11, [x0, #80]\n"
    "	stp x12, x13, [x0, #96]\n"
    "	stp x14, x15, [x0, #112]\n"
    "	stp x16, x17, [x0, #128]\n"
    "	stp x18, x19, [x0, #144]\n"
    "	stp x20, x21, [x0, #160]\n"
    "	stp x22, x23, [x0, #176]\n"
    "	stp x24, x25, [x0, #192]\n"
    "	stp x26, x27, [x0, #208]\n"
    "	stp x28, x29, [x0, #224]\n"
    "	str x30, [x0, #240]\n"
    "	mrs x2, nzcv\n"
    "	mrs x3, daif\n"
    "	stp x2, x3, [x0, #288]\n"
    "	mrs x2, spsel\n"
    "	str x2, [x0, #304]\n"
    "	ldp x2, x3, [sp], #16\n"
    "	stp x2, x3, [x0]\n"
    "	mov x2, sp\n"
    "	mrs x3, sp_el0\n"
    "	stp x2, x3, [x0, #248]\n"
    "	mrs x2, tpidr_el0\n"
    "	mrs x3, tpidrro_el0\n"
    "	stp x2, x3, [x0, #264]\n"
    "	mrs x2, tpidr_el1\n"
    "	str x2, [x0, #280]\n"
    "	ldp x21, x22, [sp, #16]\n"
    "	ldp x23, x24, [sp, #32]\n"
    "	ldp x25, x26, [sp, #48]\n"
    "	ldp x27, x28, [sp, #64]\n"
    "	ldp x29, x30, [sp, #80]\n"
    "	ldp x19, x20, [sp], #112\n"
    "	ret\n"
    "registers_loop:\n"
    "	sub x0, x0, #1\n"
    "	cbnz x0, registers_loop\n"
    "	b 1b\n");

void registers_patch(u32 insn)
{
	write32((u64)registers_slot, insn);
	code_changed((u64)registers_slot, 4);
}

void registers_patch_loop(void)
{
	registers_patch(INSN_B | (u32)(registers_loop - registers_slot));
}
