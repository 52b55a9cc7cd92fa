// SPDX-License-Identifier: MIT
/*
 * Giving memory back: released pages read as zero, can be used again, and the accounting follows.
 * The TLB is warm on purpose: a missing invalidation shows as the old contents.
 */
#include "probe.h"

#define RANGE MIB(4)

#define REFUSED (~21UL) /* -EINVAL */
#define IMAGE_WORD 0x1a9e1a9e1a9e1a9eUL

static u64 range; /* 2 MiB aligned, in the middle of free memory */

/* Two pages of the image that nothing else needs. */
static volatile u64 spare[2][512] __attribute__((aligned(4096))) = {{IMAGE_WORD}, {IMAGE_WORD}};

static long release(u64 ipa, u64 bytes)
{
	return (long)hvc(STRATA_MEMORY_RELEASE, ipa, bytes, 0).x0;
}

static u64 resident(void)
{
	return hvc(STRATA_MEMORY_STATS, 0, 0, 0).x2;
}

static void fill(u64 value)
{
	for (u64 at = range; at < range + RANGE; at += 4096)
		write64(at, at ^ value);
}

static u64 count_kept(u64 from, u64 to, u64 value)
{
	u64 kept = 0;

	for (u64 at = from; at < to; at += 4096)
		kept += read64(at) == (at ^ value);
	return kept;
}

static u64 count_nonzero(u64 from, u64 to)
{
	u64 nonzero = 0;

	for (u64 at = from; at < to; at += 8)
		nonzero += read64(at) != 0;
	return nonzero;
}

/*
 * The pages touched last are those whose translations are still in the TLB: they are looked at
 * first, newest first, before anything else can evict them. @bytes end where @end is.
 */
static u64 count_stale(u64 end, u64 bytes)
{
	u64 stale = 0;

	for (u64 at = end - 4096; bytes; at -= 4096, bytes -= 4096)
		stale += read64(at) != 0;
	return stale;
}

static void right_after_touching(u64 bytes, const char *text)
{
	for (u64 at = range; at < range + bytes; at += 4096)
		write64(at, at);
	release(range, bytes);
	report_equal(text, count_stale(range + bytes, bytes < KIB(256) ? bytes : KIB(256)), 0);
}

static void whole_range(void)
{
	u64 before, after, secret = random();

	fill(secret);
	before = resident();
	report_equal("releasing 4 MiB succeeds", (u64)release(range, RANGE), 0);
	after = resident();
	report_equal("resident memory falls by what was released", before - after, RANGE);
	report_equal("released pages read as zero", count_nonzero(range, range + RANGE), 0);
	report_equal("touching them brings them back into the accounting", resident(), before);
	fill(secret + 1);
	report_equal("and they hold data again", count_kept(range, range + RANGE, secret + 1),
		     RANGE / 4096);
}

static void one_page(void)
{
	u64 secret = random(), page = range + 37 * 4096;

	fill(secret);
	report_equal("releasing one page out of a block succeeds", (u64)release(page, 4096), 0);
	report_equal("its neighbours keep their contents",
		     count_kept(range, page, secret) +
			     count_kept(page + 4096, range + RANGE, secret),
		     RANGE / 4096 - 1);
	report_equal("the page itself reads as zero", count_nonzero(page, page + 4096), 0);
	write64(page, secret);
	report_equal("and can be written", read64(page), secret);
	report_equal("releasing it again succeeds", (u64)release(page, 4096), 0);
	report_equal("and it is zero again", read64(page), 0);
	report_equal("releasing what is not resident succeeds", (u64)release(page, 4096), 0);
}

static void page_of_the_image(void)
{
	u64 page = (u64)spare[0];

	report_equal("releasing a page of the image succeeds", (u64)release(page, 4096), 0);
	report_equal("it reads as zero, not as the image again", count_nonzero(page, page + 4096),
		     0);
	report_equal("the next one is still the image's", spare[1][0], IMAGE_WORD);
}

static void first_touch_by_store(void)
{
	release(range, RANGE);
	write8(range + 5, 0x7f);
	report_equal("a byte stored into a released page stands in zeroes", read64(range),
		     0x7fUL << 40);
}

/* No byte goes, not even in the part of the range that is the VM's. */
static void is_refused(u64 ipa, u64 bytes, const char *text)
{
	u64 before = resident();
	long result = release(ipa, bytes);
	u64 gone = before - resident();

	if (result < 0)
		report_equal(text, gone, 0);
	else
		report(false, text, (u64)result, REFUSED);
}

static void refused(void)
{
	u64 secret = random();

	fill(secret);
	is_refused(range + 1, 4096, "an unaligned address is refused, and no byte goes");
	is_refused(range, 4095, "an unaligned length is refused, and no byte goes");
	is_refused(ram_end(), 4096, "a range behind RAM is refused, and no byte goes");
	is_refused(ram_end() - 4096, 8192, "a range across RAM's end is refused, and no byte goes");
	is_refused(0x08000000, 4096, "a device is refused, and no byte goes");
	is_refused(range, ~0UL & ~0xfffUL, "a length that wraps is refused, and no byte goes");
	is_refused(~0UL & ~0xfffUL, 8192, "an address that wraps is refused, and no byte goes");
	report_equal("refused calls change nothing: pages with their contents",
		     count_kept(range, range + RANGE, secret), RANGE / 4096);
}

void probe(void)
{
	struct smccc_result stats = hvc(STRATA_MEMORY_STATS, 0, 0, 0);

	range = align_up(free_memory(), MIB(2));
	report(range + RANGE < memory_end(), "the VM has 8 MiB or more", guest.ram_bytes, MIB(8));
	report_equal("MEMORY_STATS succeeds", stats.x0, 0);
	report_equal("it tells the VM's memory", stats.x1, guest.ram_bytes);
	report(stats.x2 <= stats.x1, "no more is resident than the VM has", stats.x2, stats.x1);
	report(stats.x3 >= 4096 && stats.x3 <= KIB(64), "its tables are small", stats.x3, KIB(32));
	right_after_touching(4096, "no stale translation of a page used just before its release");
	right_after_touching(KIB(64), "nor of 64 KiB");
	right_after_touching(MIB(2), "nor of 2 MiB");
	right_after_touching(RANGE, "nor of 4 MiB");
	whole_range();
	one_page();
	page_of_the_image();
	first_touch_by_store();
	refused();
}
