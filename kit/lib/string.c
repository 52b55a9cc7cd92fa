// SPDX-License-Identifier: MIT
/*
 * Byte-wise would do, but guests' images are copied with these: eight bytes at a time where that
 * is aligned. The compiler must not turn the loops back into calls of themselves.
 */
#include "lib/string.h"

#include "lib/bits.h"

#define NO_LIBCALL __attribute__((optimize("no-tree-loop-distribute-patterns")))

NO_LIBCALL void *memcpy(void *restrict destination, const void *restrict source, size_t bytes)
{
	u8 *to = destination;
	const u8 *from = source;

	if (is_aligned((u64)to | (u64)from, 8)) {
		for (; bytes >= 8; bytes -= 8, to += 8, from += 8)
			*(u64 *)to = *(const u64 *)from;
	}
	while (bytes--)
		*to++ = *from++;
	return destination;
}

NO_LIBCALL void *memmove(void *destination, const void *source, size_t bytes)
{
	u8 *to = destination;
	const u8 *from = source;

	if (to <= from || to >= from + bytes)
		return memcpy(destination, source, bytes);
	while (bytes--)
		to[bytes] = from[bytes];
	return destination;
}

NO_LIBCALL void *memset(void *destination, int byte, size_t bytes)
{
	u8 *to = destination;
	u64 word = 0x0101010101010101UL * (u8)byte;

	for (; bytes && !is_aligned((u64)to, 8); bytes--)
		*to++ = (u8)byte;
#pragma GCC unroll 4
	for (; bytes >= 8; bytes -= 8, to += 8)
		*(u64 *)to = word;
	while (bytes--)
		*to++ = (u8)byte;
	return destination;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const u8 *left = a, *right = b;

	for (size_t i = 0; i < bytes; i++) {
		if (left[i] != right[i])
			return left[i] - right[i];
	}
	return 0;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (u8)*a - (u8)*b;
}
