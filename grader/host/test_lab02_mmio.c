// SPDX-License-Identifier: MIT
/*
 * Decoding of a data abort's syndrome. What is expected is what the C compiler does for the same
 * load or store, or written down from the manual's field positions.
 */
#include <string.h>

#include "check.h"
#include "mmio_decode.h"

/* The ISS of an access (Arm ARM, "ISS encoding for an exception from a Data Abort"). */
static u64 syndrome(unsigned size_log2, bool sign_extend_it, unsigned reg, bool x_register,
		    bool is_write)
{
	u64 esr = 0x24UL << 26 | 1UL << 25 | 1UL << 24 | 0x07;

	return esr | (u64)size_log2 << 22 | (u64)sign_extend_it << 21 | (u64)reg << 16 |
	       (u64)x_register << 15 | (u64)is_write << 6;
}

/* LDR{B,H}, LDRS{B,H,W} with a W or X destination, as C has them. */
static u64 load_as_c(unsigned size_log2, bool is_signed, bool x_register, u64 bus)
{
	u64 value;

	switch (size_log2) {
	case 0:
		value = is_signed ? (u64)(s64)(int8_t)bus : (uint8_t)bus;
		break;
	case 1:
		value = is_signed ? (u64)(s64)(int16_t)bus : (uint16_t)bus;
		break;
	case 2:
		value = is_signed ? (u64)(s64)(int32_t)bus : (uint32_t)bus;
		break;
	default:
		value = bus;
		break;
	}
	return x_register ? value : (uint32_t)value;
}

static void check_loads(void)
{
	for (unsigned i = 0; i < 10000; i++) {
		unsigned size_log2 = (unsigned)check_below(4);
		bool is_signed = size_log2 < 3 && check_below(2);
		bool x_register = size_log2 == 3 || check_below(2);
		u64 bus = check_random();
		u64 esr = syndrome(size_log2, is_signed, 5, x_register, false);

		CHECK(mmio_load_value(esr, bus) ==
		      load_as_c(size_log2, is_signed, x_register, bus));
	}
}

static void check_stores(void)
{
	for (unsigned i = 0; i < 10000; i++) {
		unsigned size_log2 = (unsigned)check_below(4);
		u64 value = check_random(), bus = 0;
		u64 esr = syndrome(size_log2, false, 5, check_below(2), true);

		memcpy(&bus, &value, 1UL << size_log2); /* the host is little endian, too */
		CHECK(mmio_store_value(esr, value) == bus);
	}
}

static void check_reverse(void)
{
	for (unsigned i = 0; i < 10000; i++) {
		unsigned size_log2 = (unsigned)check_below(4), bytes = 1U << size_log2;
		u64 value = check_random(), reversed = 0;

		for (unsigned n = 0; n < bytes; n++)
			reversed |= (value >> 8 * n & 0xff) << 8 * (bytes - 1 - n);
		CHECK(mmio_reverse(syndrome(size_log2, false, 5, false, false), value) == reversed);
	}
}

static void check_fields(void)
{
	for (unsigned reg = 0; reg < 32; reg++)
		for (unsigned size_log2 = 0; size_log2 < 4; size_log2++) {
			u64 esr = syndrome(size_log2, check_below(2), reg, check_below(2),
					   check_below(2));

			CHECK(mmio_register(esr) == reg);
			CHECK(mmio_size(esr) == 1U << size_log2);
			for (u64 offset = 0xff0; offset < 0x1000; offset++) {
				bool crosses = offset + (1U << size_log2) > 0x1000;
				bool aligned = mmio_is_aligned(esr, offset);

				CHECK(aligned == (offset % (1U << size_log2) == 0));
				CHECK(!(aligned && crosses));
			}
		}
}

int main(void)
{
	check_loads();
	check_stores();
	check_reverse();
	check_fields();
	return check_finish();
}
