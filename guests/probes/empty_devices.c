// SPDX-License-Identifier: MIT
/*
 * A kernel built for QEMU's `virt` touches some devices without asking whether they are there: the
 * 32 virtio transports, which hold no device, and the two flash banks, which are erased.
 */
#include "probe.h"

#define TRANSPORT(n) (GUEST_VIRTIO_BASE + GUEST_VIRTIO_STRIDE * (u64)(n))
#define MAGIC 0x74726976
#define VENDOR 0x554d4551
#define VIRTIO_STATUS 0x070

#define FLASH_END (GUEST_FLASH_BASE + GUEST_FLASH_SIZE)
#define CFI_QUERY 0x98

#define INSN_LDR_W_POST 0xb8404401u /* ldr w1, [x0], #4 */

/* A driver's probe of every transport: bitmap of those that are not there, and empty. */
static u64 strange_transports(void)
{
	u64 strange = 0;

	for (unsigned n = 0; n < GUEST_VIRTIO_COUNT; n++) {
		u64 base = TRANSPORT(n);
		bool empty = read32(base) == MAGIC && read32(base + 4) == 1 &&
			     read32(base + 8) == 0 && read32(base + 12) == VENDOR;

		strange |= empty ? 0 : BIT(n);
	}
	return strange;
}

static void virtio(void)
{
	u64 last = TRANSPORT(GUEST_VIRTIO_COUNT - 1), end = TRANSPORT(GUEST_VIRTIO_COUNT), rest = 0;
	u64 value[2] = {end, 0};

	report_equal("all 32 transports say virt, version 1, no device", strange_transports(), 0);
	for (u64 offset = 16; offset < 0x200; offset += 4)
		rest |= read32(last + offset);
	report_equal("all other registers are zero", rest, 0);
	report_equal("magic and version by one load", read64(last), 1UL << 32 | MAGIC);
	for (unsigned n = 0; n < GUEST_VIRTIO_COUNT; n++)
		for (u64 offset = 0; offset < 0x200; offset += 4)
			write32(TRANSPORT(n) + offset, (u32)random());
	report_equal("they are the same after every register was written", strange_transports(), 0);
	report_equal("a driver's reset reads back as zero", read32(last + VIRTIO_STATUS), 0);
	report(insn_try(MODE_EL1H, 0xb9400001, value), "behind the last one is nothing", 0, 1);
}

/* Loads @insn, into x1, at places all over both banks: how many did not read as ones. */
static u64 not_erased(u32 insn, u64 size)
{
	static const u64 places[] = {0, 0x1000, 0x03fffff0, 0x04000000, 0x04000ff0, FLASH_END - 16};
	u64 ones = size == 8 ? ~0UL : BIT(8 * size) - 1, bad = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		u64 value[2] = {places[i], 0};

		bad += insn_try(MODE_EL1H, insn, value) || value[1] != ones;
	}
	return bad;
}

static u64 pair_at(u64 address)
{
	u64 first, second;

	asm volatile("ldp %0, %1, [%2]" : "=&r"(first), "=r"(second) : "r"(address));
	return first & second;
}

static void flash(void)
{
	report_equal("LDRB reads ones", not_erased(0x39400001, 1), 0);
	report_equal("LDR W", not_erased(0xb9400001, 4), 0);
	report_equal("LDR X", not_erased(0xf9400001, 8), 0);
	write32(0x55 * 4, CFI_QUERY);
	report_equal("a CFI query is not answered", read32(0x10 * 4), 0xffffffff);
	report_equal("LDR with write-back, which has no syndrome", not_erased(INSN_LDR_W_POST, 4),
		     0);
	report_equal("LDP, as memcpy() does it, at the start", pair_at(0), ~0UL);
	report_equal("LDP across the banks", pair_at(0x04000000 - 8), ~0UL);
	report_equal("LDP at the end", pair_at(FLASH_END - 16), ~0UL);
	write32(0, 0x12345678);
	write32(FLASH_END - 4, 0x12345678);
	write8(0x04000000, 0);
	report_equal("what was written changed nothing", pair_at(0) & pair_at(FLASH_END - 16),
		     ~0UL);
	report_equal("as a load that is emulated sees it", not_erased(0xf9400001, 8), 0);
}

static void jump(void *address)
{
	((void (*)(void))address)();
}

static void nothing_runs(void)
{
	report(exception_catch(MODE_EL1H, jump, (void *)0), "a jump through NULL aborts", 0, 1);
	report(exception_catch(MODE_EL1H, jump, (void *)TRANSPORT(0)), "so does one to a transport",
	       0, 1);
}

void probe(void)
{
	virtio();
	flash();
	nothing_runs();
}
