/* SPDX-License-Identifier: MIT */
/*
 * Fixed-width integers and typed addresses.
 *
 * Three address spaces meet in a hypervisor and all of them are 64-bit numbers: the machine's
 * physical addresses, the intermediate physical addresses that a guest believes in, and EL2's own
 * virtual addresses. Each has a type of its own, a struct with one member, so that handing one
 * over as another does not compile.
 */
#ifndef STRATA_LIB_TYPES_H
#define STRATA_LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

/** pa_t - physical address of the machine, as the memory system sees it */
typedef struct {
	u64 pa;
} pa_t;

/** ipa_t - intermediate physical address: what a guest calls a physical address */
typedef struct {
	u64 ipa;
} ipa_t;

/** va_t - virtual address of EL2's stage-1 translation */
typedef struct {
	u64 va;
} va_t;

#define PA(x) ((pa_t){(x)})
#define IPA(x) ((ipa_t){(x)})
#define VA(x) ((va_t){(x)})

/** pa_add() - the physical address @bytes above @base */
static inline pa_t pa_add(pa_t base, u64 bytes)
{
	return PA(base.pa + bytes);
}

#define PAGE_NONE (~0UL) /* pa of a failed allocation, of a device that is not there */

/** pa_is_valid() - whether there is such an address */
static inline bool pa_is_valid(pa_t pa)
{
	return pa.pa != PAGE_NONE;
}

/** ipa_add() - the guest address @bytes above @base */
static inline ipa_t ipa_add(ipa_t base, u64 bytes)
{
	return IPA(base.ipa + bytes);
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define KIB(n) ((u64)(n) << 10)
#define MIB(n) ((u64)(n) << 20)
#define GIB(n) ((u64)(n) << 30)

#endif
