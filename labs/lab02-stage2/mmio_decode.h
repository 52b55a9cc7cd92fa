/* SPDX-License-Identifier: MIT */
/*
 * What the syndrome of a data abort says of the instruction (Arm ARM, "ISS encoding for an
 * exception from a Data Abort"; all of it is valid only with ISV = 1):
 *
 *	24  23 22  21  20    16  15  14  ...   6   5      0
 *	ISV | SAS |SSE|   SRT  | SF| AR |   | WnR | DFSC  |
 *
 * Pure functions, so that the host's unit tests can run them.
 */
#ifndef STRATA_MMIO_DECODE_H
#define STRATA_MMIO_DECODE_H

#include "exercise.h"
#include "lib/bits.h"
#include "lib/types.h"
#include "sysreg.h"

#define ESR_DABT_ISV BIT(24)
#define ESR_DABT_SSE BIT(21)
#define ESR_DABT_SF BIT(15)
#define MMIO_PLAIN_WORD 4 /* [23:21] = SAS and SSE: 32 bits, not sign-extended */
#define MMIO_REGISTER_ZERO 31 /* SRT: WZR or XZR, never SP */

/** mmio_size() - bytes that the instruction moves: 1, 2, 4 or 8 (SAS) */
EXERCISE(2.7)
static inline u64 mmio_size(u64 esr)
{
	TODO(2.7);
}

/**
 * mmio_register() - number of the register that is stored or loaded (SRT), 31: the zero register
 */
EXERCISE(2.7)
static inline unsigned mmio_register(u64 esr)
{
	TODO(2.7);
}

/**
 * mmio_store_value() - what a store puts on the bus
 * @value: of the register
 *
 * Its lowest mmio_size() bytes, zeros above.
 */
EXERCISE(2.7)
static inline u64 mmio_store_value(u64 esr, u64 value)
{
	TODO(2.7);
}

/** mmio_extend() - mmio_load_value() for any size and kind of load */
EXERCISE(2.7)
static inline u64 mmio_extend(u64 esr, u64 value)
{
	TODO(2.7);
}

/**
 * mmio_load_value() - what a load puts into the 64-bit register
 * @value: from the device; only its lowest mmio_size() bytes count
 *
 * Sign-extended if SSE says so, to 64 bits if SF, else to 32 bits: writing a W register clears the
 * upper half. Zero-extended otherwise. A plain 32-bit load is what drivers do: it is quick.
 */
static inline u64 mmio_load_value(u64 esr, u64 value)
{
	if (__builtin_expect(bits_get(esr, 23, 21) == MMIO_PLAIN_WORD, 1))
		return (u32)value;
	return mmio_extend(esr, value);
}

/** mmio_reverse() - the lowest mmio_size() bytes of @value in reverse order, zeros above */
static inline u64 mmio_reverse(u64 esr, u64 value)
{
	return __builtin_bswap64(value) >> (64 - 8 * mmio_size(esr));
}

/**
 * mmio_is_aligned() - whether the access at @offset is at a multiple of its own size
 *
 * Windows are whole pages, so such an access does not stick out of one.
 */
EXERCISE(2.7)
static inline bool mmio_is_aligned(u64 esr, u64 offset)
{
	TODO(2.7);
}

#endif
