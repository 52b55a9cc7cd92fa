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

#define MMIO_REGISTER_ZERO 31 /* SRT: WZR or XZR, never SP */

/** Exercise 2.7: mmio_size() - bytes that the instruction moves: 1, 2, 4 or 8 (SAS) */
EXERCISE(2.7)
static inline u64 mmio_size(u64 esr)
{
	TODO(2.7);
}

/** Exercise 2.7: mmio_register() - the register that is stored or loaded (SRT); 31 is zero */
EXERCISE(2.7)
static inline unsigned mmio_register(u64 esr)
{
	TODO(2.7);
}

/**
 * Exercise 2.7: mmio_store_value() - what a store of the register's @value puts on the bus
 *
 * The lowest mmio_size() bytes, zeros above.
 */
EXERCISE(2.7)
static inline u64 mmio_store_value(u64 esr, u64 value)
{
	TODO(2.7);
}

/**
 * Exercise 2.7: mmio_load_value() - what a load puts into the 64-bit register
 * @value: from the device; only the lowest mmio_size() bytes count
 *
 * Zero-extended, or with SSE sign-extended: to 64 bits if SF is set, else to 32 bits, and the upper
 * half is zero, as after each write of a W register.
 */
EXERCISE(2.7)
static inline u64 mmio_load_value(u64 esr, u64 value)
{
	TODO(2.7);
}

/** mmio_reverse() - the lowest mmio_size() bytes of @value in reverse order, zeros above */
static inline u64 mmio_reverse(u64 esr, u64 value)
{
	return __builtin_bswap64(value) >> (64 - 8 * mmio_size(esr));
}

/**
 * Exercise 2.7: mmio_is_aligned() - whether @offset in a region is a multiple of the access's size
 *
 * Regions are whole pages: an aligned access does not stick out of one.
 */
EXERCISE(2.7)
static inline bool mmio_is_aligned(u64 esr, u64 offset)
{
	TODO(2.7);
}

#endif
