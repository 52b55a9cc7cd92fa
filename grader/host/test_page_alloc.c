// SPDX-License-Identifier: MIT
/* The page allocator against a model that knows the owner of every page. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lib/list.h"
#include "mailbox.h"
#include "page_alloc.h"

#define ARENA_BYTES MIB(32)
#define PAGE_COUNT (ARENA_BYTES / PAGE_SIZE)
#define LIVE_MAX 512
#define PANICKED 42

/* The managed range is not aligned to 2 MiB at either end, and has a hole. */
#define RANGE_START (3 * PAGE_SIZE)
#define RANGE_END (ARENA_BYTES - 5 * PAGE_SIZE)
#define HOLE_START (MIB(10) + 7 * PAGE_SIZE)
#define HOLE_END (MIB(11) + 3 * PAGE_SIZE)

struct live {
	u64 address, bytes;
	unsigned order; /* RANGE: from page_alloc_range() */
};
#define RANGE 99

static u64 arena;
static u8 owned[PAGE_COUNT];
static struct live live[LIVE_MAX];
static unsigned live_count;
static u64 initial_bytes;

void panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	_exit(PANICKED);
}

void pages_zero(void *to, u64 bytes)
{
	memset(to, 0, bytes);
}

static void setup(u64 hole, u64 hole_end)
{
	/* As RAM is found, and, by the way, what a free page looks like in the bookkeeping. */
	memset((void *)arena, 0, ARENA_BYTES);
	memset(owned, 0, sizeof(owned));
	live_count = 0;
	page_alloc_init(PA(arena + RANGE_START), PA(arena + RANGE_END), PA(arena + hole),
			PA(arena + hole_end));
	initial_bytes = page_free_bytes();
}

static u64 live_bytes(void)
{
	u64 sum = 0;

	for (unsigned i = 0; i < live_count; i++)
		sum += live[i].bytes;
	return sum;
}

static void take(pa_t pa, u64 bytes, unsigned order)
{
	u64 offset = pa.pa - arena;

	CHECK(offset >= RANGE_START && offset + bytes <= RANGE_END);
	CHECK(offset + bytes <= HOLE_START || offset >= HOLE_END);
	CHECK((pa.pa & (order == RANGE ? BLOCK_SIZE - 1 : bytes - 1)) == 0);
	for (u64 page = offset / PAGE_SIZE; page < (offset + bytes) / PAGE_SIZE; page++) {
		CHECK(!owned[page]);
		owned[page] = 1;
	}
	/* Owners write all over their memory: the allocator may keep nothing in it. */
	memset(phys_to_virt(pa), 0xff, bytes);
	live[live_count++] = (struct live){pa.pa, bytes, order};
}

static void give_back(unsigned index)
{
	struct live gone = live[index];
	u64 first = (gone.address - arena) / PAGE_SIZE;

	live[index] = live[--live_count];
	memset(owned + first, 0, gone.bytes / PAGE_SIZE);
	if (gone.order == RANGE) {
		page_free_range(PA(gone.address), gone.bytes);
	} else if (gone.order > 0 && check_below(4) == 0) {
		page_free(PA(gone.address + gone.bytes / 2), gone.order - 1);
		page_free(PA(gone.address), gone.order - 1);
	} else {
		page_free(PA(gone.address), gone.order);
	}
}

static void random_step(void)
{
	if (live_count && (live_count == LIVE_MAX || check_below(2))) {
		give_back((unsigned)check_below(live_count));
	} else if (check_below(16) == 0) {
		u64 bytes = 1 + check_below(3 * BLOCK_SIZE);
		pa_t pa = page_alloc_range(bytes);

		if (pa_is_valid(pa))
			take(pa, (bytes + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE, RANGE);
	} else {
		unsigned order = (unsigned)check_below(PAGE_ORDER_MAX + 1);
		pa_t pa = check_below(8) ? page_alloc(order) : page_alloc_zeroed(order);

		if (pa_is_valid(pa))
			take(pa, PAGE_SIZE << order, order);
	}
	CHECK(page_free_bytes() + live_bytes() == initial_bytes);
}

static unsigned count_blocks(void)
{
	unsigned before = live_count;
	pa_t pa = page_alloc(PAGE_ORDER_MAX);

	for (; pa_is_valid(pa); pa = page_alloc(PAGE_ORDER_MAX))
		take(pa, BLOCK_SIZE, PAGE_ORDER_MAX);

	unsigned count = live_count - before;

	while (live_count > before)
		give_back(before);
	return count;
}

static void test_random_operations(void)
{
	setup(HOLE_START, HOLE_END);

	unsigned blocks = count_blocks();

	for (unsigned i = 0; i < 20000; i++)
		random_step();
	while (live_count)
		give_back(0);
	CHECK(page_free_bytes() == initial_bytes);
	/* All buddies have found each other again. */
	CHECK(count_blocks() == blocks);
}

static void test_every_page_can_be_had(void)
{
	u64 blocks = (RANGE_END - RANGE_START + BLOCK_SIZE - 1) / BLOCK_SIZE + 1;
	u64 bookkeeping = (RANGE_END - RANGE_START) / PAGE_SIZE + blocks * sizeof(struct list);
	u64 expected = RANGE_END - RANGE_START - (HOLE_END - HOLE_START) -
		       (bookkeeping + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
	u64 got = 0;

	setup(HOLE_START, HOLE_END);
	CHECK(initial_bytes == expected);
	while (pa_is_valid(page_alloc(0)))
		got += PAGE_SIZE;
	CHECK(got == expected && page_free_bytes() == 0);
	CHECK(!pa_is_valid(page_alloc_zeroed(0)));
	CHECK(!pa_is_valid(page_alloc_range(1)));
}

static void test_ranges(void)
{
	setup(MIB(64), MIB(65)); /* outside: no hole */
	CHECK(!pa_is_valid(page_alloc_range(ARENA_BYTES)));
	CHECK(!pa_is_valid(page_alloc_range(~0UL)));

	pa_t large = page_alloc_range(MIB(28));

	CHECK(pa_is_valid(large) && (large.pa & (BLOCK_SIZE - 1)) == 0);
	CHECK(page_free_bytes() == initial_bytes - MIB(28));
	CHECK(!pa_is_valid(page_alloc_range(MIB(4))));
	page_free_range(large, MIB(28));
	CHECK(page_free_bytes() == initial_bytes);
	CHECK(page_alloc_range(MIB(28)).pa == large.pa);

	setup(MIB(20), MIB(20)); /* empty: no hole */
	CHECK(pa_is_valid(page_alloc_range(MIB(28))));
}

static void test_zeroed_is_zero(void)
{
	setup(HOLE_START, HOLE_END);
	for (pa_t pa = page_alloc(0); pa_is_valid(pa); pa = page_alloc(0))
		take(pa, PAGE_SIZE, 0), live_count = 0; /* writes all over it */
	memset(owned, 0, sizeof(owned));
	for (u64 offset = MIB(12); offset < MIB(28); offset += PAGE_SIZE)
		page_free(PA(arena + offset), 0);
	for (unsigned order = 0; order <= PAGE_ORDER_MAX; order++) {
		pa_t pa = page_alloc_zeroed(order);
		const u8 *bytes = phys_to_virt(pa);

		CHECK(pa_is_valid(pa));
		CHECK(bytes[0] == 0 && !memcmp(bytes, bytes + 1, (PAGE_SIZE << order) - 1));
	}
}

static int in_child(void (*misuse)(void))
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		misuse();
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void free_twice(void)
{
	pa_t pa = page_alloc(3);

	page_free(pa, 3);
	page_free(pa, 3);
}

static void free_too_much(void)
{
	pa_t pa = page_alloc(3);

	page_free(pa_add(pa, 4 * PAGE_SIZE), 2);
	page_free(pa, 3);
}

static void free_inside_a_free_block(void)
{
	pa_t pa = page_alloc(4);

	page_free(pa, 4);
	page_free(pa_add(pa, PAGE_SIZE), 0);
}

static void free_the_hole(void)
{
	page_free(PA(arena + HOLE_START), 0);
}

static void free_the_bookkeeping(void)
{
	page_free(PA(arena + RANGE_START), 0);
}

static void free_outside(void)
{
	page_free(PA(arena + RANGE_END), 0);
}

static void free_below(void)
{
	page_free(PA(arena), 0);
}

static void free_unaligned(void)
{
	pa_t pa = page_alloc(1);

	page_free(pa_add(pa, PAGE_SIZE), 1);
}

static void alloc_too_large(void)
{
	page_alloc(PAGE_ORDER_MAX + 1);
}

static void hole_over_bookkeeping(void)
{
	setup(RANGE_START, RANGE_START + PAGE_SIZE);
}

static void test_misuse_panics(void)
{
	static void (*const misuses[])(void) = {
		free_twice,	 free_too_much,		free_inside_a_free_block, free_the_hole,
		free_below,	 free_outside,		free_the_bookkeeping,	  free_unaligned,
		alloc_too_large, hole_over_bookkeeping,
	};

	setup(HOLE_START, HOLE_END);
	for (unsigned i = 0; i < ARRAY_SIZE(misuses); i++)
		CHECK(in_child(misuses[i]) == PANICKED);
}

int main(void)
{
	u8 *memory = mmap(NULL, ARENA_BYTES + BLOCK_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED);
	arena = ((u64)memory + BLOCK_SIZE - 1) & ~(BLOCK_SIZE - 1);
	test_every_page_can_be_had();
	test_ranges();
	test_zeroed_is_zero();
	test_misuse_panics();
	test_random_operations();
	return check_finish();
}
