// SPDX-License-Identifier: MIT
/*
 * kit/lib/printf.c against the C library. Both are linked: the build renames the kit's functions
 * to kit_*, and the library's is reached as sprintf(), which has no namesake.
 */
#include <limits.h>
#include <string.h>

#include "check.h"
#include "lib/printf.h"

static char expected[512], observed[512];

#define SAME(...)                                                                                  \
	do {                                                                                       \
		int expected_length = sprintf(expected, __VA_ARGS__);                              \
		int observed_length = snprintf(observed, sizeof(observed), __VA_ARGS__);           \
		check_same(expected_length, observed_length);                                      \
	} while (0)

static void check_same(int expected_length, int observed_length)
{
	if (strcmp(expected, observed))
		fprintf(stderr, "expected \"%s\", observed \"%s\"\n", expected, observed);
	CHECK(!strcmp(expected, observed));
	CHECK(expected_length == observed_length);
}

static void test_text(void)
{
	SAME("nothing to convert");
	SAME("%s", "text");
	SAME("[%10s] [%-10s] [%2s]", "right", "left", "wide");
	SAME("[%.3s] [%.*s] [%10.2s] [%-10.2s]", "precise", 4, "precise", "ab", "cd");
	SAME("%c%c[%3c][%-3c]", 'a', 'b', 'c', 'd');
	SAME("100%%");
	SAME("%.3s", "ab\0hidden");
}

static void test_text_without_end(void)
{
	static const char no_nul[3] = {'a', 'b', 'c'};

	/* With a precision the text need not end: nothing behind it is read (ASan looks). */
	SAME("%.3s", no_nul);
}

static void test_numbers(void)
{
	static const long values[] = {0, 1, -1, 9, 10, -10, INT_MAX, INT_MIN, LONG_MAX, LONG_MIN};
	static const char *const flags[] = {"", "0", "-"};
	static const char *const types[] = {"d", "i", "u", "x", "ld", "li", "lu", "lx", "zu", "zx"};
	char fmt[32];

	for (unsigned f = 0; f < 3; f++) {
		for (unsigned width = 0; width <= 20; width++) {
			for (unsigned t = 0; t < ARRAY_SIZE(types); t++) {
				sprintf(fmt, "[%%%s", flags[f]);
				if (width)
					sprintf(fmt + strlen(fmt), "%u", width);
				strcat(strcat(fmt, types[t]), "]");
				for (unsigned v = 0; v < ARRAY_SIZE(values); v++) {
					if (types[t][0] == 'l' || types[t][0] == 'z')
						SAME(fmt, values[v]);
					else
						SAME(fmt, (int)values[v]);
				}
			}
		}
	}
	SAME("%d %s %lx %u", -5, "between", 0xdeadbeefcafeUL, 7u);
	SAME("%lld %llx", -1LL, 1ULL << 63);
}

static void test_random_numbers(void)
{
	for (unsigned i = 0; i < 10000; i++) {
		u64 value = check_random() >> check_below(64);

		SAME("%lu %ld %lx %016lx %u %d %x", value, (long)value, value, value,
		     (unsigned)value, (int)value, (unsigned)value);
	}
}

static void test_pointers(void)
{
	SAME("%p", (void *)stdout);
	snprintf(observed, sizeof(observed), "%p", NULL);
	CHECK(!strcmp(observed, "0x0"));
}

static void test_null_text(void)
{
	const char *volatile none = NULL;

	snprintf(observed, sizeof(observed), "%s", none);
	CHECK(!strcmp(observed, "(null)"));
}

static void test_truncation(void)
{
	for (size_t size = 0; size <= 14; size++) {
		memset(observed, '#', sizeof(observed));
		CHECK(snprintf(observed, size, "%s-%05d", "abcdef", 42) == 12);
		CHECK(observed[size] == '#');
		if (size)
			CHECK(strlen(observed) == (size <= 12 ? size - 1 : 12));
		CHECK(!strncmp(observed, "abcdef-00042", size ? size - 1 : 0));
	}
}

static void test_unknown_conversions(void)
{
	/* Shown as they stand, and the end of the format is never passed. */
	static const char *const odd[] = {"%q", "%", "a%", "%5", "%-", "%l", "%.", "%!x"};

	for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
		const char *volatile fmt = odd[i];

		snprintf(observed, sizeof(observed), fmt);
		CHECK(!strcmp(observed, odd[i]));
	}
}

int main(void)
{
	test_text();
	test_text_without_end();
	test_numbers();
	test_random_numbers();
	test_pointers();
	test_null_text();
	test_truncation();
	test_unknown_conversions();
	return check_finish();
}
