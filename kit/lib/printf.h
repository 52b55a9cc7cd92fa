/* SPDX-License-Identifier: MIT */
/*
 * Formatted output. Conversions: %c %s %d %i %u %x %p %%, lengths l, ll and z, a width with
 * optional `0` or `-`, a precision for %s. Anything else is printed as it stands.
 */
#ifndef STRATA_LIB_PRINTF_H
#define STRATA_LIB_PRINTF_H

#include <stdarg.h>

#include "lib/types.h"

/**
 * format() - write a formatted text character by character
 * @put: called once a character with @context
 *
 * Return: the number of characters.
 */
int format(void (*put)(void *context, char c), void *context, const char *fmt, va_list args);

/** snprintf() - as in ISO C: at most @size bytes with the NUL; returns the untruncated length */
int snprintf(char *buffer, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** vsnprintf() - snprintf() with a va_list */
int vsnprintf(char *buffer, size_t size, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

#endif
