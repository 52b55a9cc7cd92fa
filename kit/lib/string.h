/* SPDX-License-Identifier: MIT */
/* The part of <string.h> that a freestanding program needs; semantics of ISO C. */
#ifndef STRATA_LIB_STRING_H
#define STRATA_LIB_STRING_H

#include "lib/types.h"

void *memcpy(void *restrict destination, const void *restrict source, size_t bytes);
void *memmove(void *destination, const void *source, size_t bytes);
void *memset(void *destination, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);

#endif
