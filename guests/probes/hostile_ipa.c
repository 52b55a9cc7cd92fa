// SPDX-License-Identifier: MIT
/*
 * Loads, stores and fetches all over the address space: 64 KiB by 64 KiB below RAM, the first
 * gigabytes behind RAM, and one address for each high bit. The guest takes its faults itself, and
 * a device may answer.
 */
#include "probe.h"

static u64 answered, aborted, strange;

static void touch(u64 address, u32 insn)
{
	u64 value[2] = {address, random()};

	if (!insn_try(MODE_EL1H, insn, value))
		answered++;
	else if (ESR_EC(exception_seen.esr) == ESR_EC_DABT_SAME)
		aborted++;
	else
		strange++;
	if ((answered + aborted) % 4096 == 0)
		vm_yield();
}

static void jump(void *address)
{
	((void (*)(void))address)();
}

static bool is_device(u64 address)
{
	return address >= 0x08000000 && address < 0x0a000000;
}

void probe(void)
{
	u64 fetched = 0;

	for (u64 at = 0; at < 0x40000000; at += KIB(64))
		touch(at + (random() & 0xfff8), 0xb9400001); /* ldr w1, [x0] */
	for (u64 at = 0; at < 0x40000000; at += KIB(64)) {
		if (!is_device(at))
			touch(at + (random() & 0xfff8), 0xf9000001); /* str x1, [x0] */
	}
	for (u64 at = ram_end(); at < ram_end() + GIB(4); at += MIB(1))
		touch(at + (random() & 0xffff8), 0xf9400001);
	for (u64 at = ram_end(); at < ram_end() + GIB(4); at += MIB(1))
		touch(at + (random() & 0xffff8), 0x39000001); /* strb */
	for (unsigned bit = 33; bit < 64; bit++)
		touch(BIT(bit) | (random() & 0xfff8), 0xf9400001);
	for (u64 at = 0; at < 0x40000000; at += MIB(4))
		fetched += !exception_catch(MODE_EL1H, jump, (void *)at);
	report_equal("every access was answered or aborted", strange, 0);
	report(aborted > 32000, "most of them aborted", aborted, 32000);
	report_equal("no fetch below RAM ran anything", fetched, 0);
	report_equal("calls are still served", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
