/* SPDX-License-Identifier: MIT */
/* System registers, barriers and plain-width memory accesses. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include "lib/bits.h"
#include "lib/types.h"

#define SYSREG_STRING(x) #x
#define sysreg_read(name)                                                                          \
	({                                                                                         \
		u64 value_;                                                                        \
		asm volatile("mrs %0, " SYSREG_STRING(name) : "=r"(value_)::"memory");             \
		value_;                                                                            \
	})
#define sysreg_write(name, value)                                                                  \
	asm volatile("msr " SYSREG_STRING(name) ", %0" ::"r"((u64)(value)) : "memory")

/* MRS x0, <reg> and MSR <reg>, x0 as instruction words; op0 is 2 or 3. */
#define INSN_SYSREG(op0, op1, crn, crm, op2)                                                       \
	((u32)(op0) << 19 | (u32)(op1) << 16 | (u32)(crn) << 12 | (u32)(crm) << 8 | (u32)(op2) << 5)
#define INSN_MRS(op0, op1, crn, crm, op2) (0xd5200000u | INSN_SYSREG(op0, op1, crn, crm, op2))
#define INSN_MSR(op0, op1, crn, crm, op2) (0xd5000000u | INSN_SYSREG(op0, op1, crn, crm, op2))

static inline void isb(void)
{
	asm volatile("isb" ::: "memory");
}

static inline void dsb(void)
{
	asm volatile("dsb sy" ::: "memory");
}

/** cpu_relax() - YIELD: QEMU runs its other CPUs, a core its other thread */
static inline void cpu_relax(void)
{
	asm volatile("yield" ::: "memory");
}

/** counter() - CNTVCT_EL0, not speculated ahead of what precedes it */
static inline u64 counter(void)
{
	isb();
	return sysreg_read(cntvct_el0);
}

/** counter_physical() - CNTPCT_EL0, not speculated */
static inline u64 counter_physical(void)
{
	isb();
	return sysreg_read(cntpct_el0);
}

/* One load or store of exactly this width. Its addressing mode is plain, so the syndrome of a trap
 * is valid (ISV = 1). */
static inline u8 read8(u64 address)
{
	u32 value;
	asm volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return (u8)value;
}

static inline u16 read16(u64 address)
{
	u32 value;
	asm volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return (u16)value;
}

static inline u32 read32(u64 address)
{
	u32 value;
	asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline u64 read64(u64 address)
{
	u64 value;
	asm volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void write8(u64 address, u8 value)
{
	asm volatile("strb %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}

static inline void write16(u64 address, u16 value)
{
	asm volatile("strh %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}

static inline void write32(u64 address, u32 value)
{
	asm volatile("str %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}

static inline void write64(u64 address, u64 value)
{
	asm volatile("str %0, [%1]" ::"r"(value), "r"(address) : "memory");
}

/** code_changed() - make stores to [@start, @start + @size) visible to instruction fetch */
static inline void code_changed(u64 start, u64 size)
{
	for (u64 at = start & ~3UL; at < start + size; at += 4)
		asm volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0" ::"r"(at) : "memory");
	asm volatile("dsb ish\n\tisb" ::: "memory");
}

#endif
