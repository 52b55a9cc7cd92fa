// SPDX-License-Identifier: MIT
/*
 * Devices that are told to transfer anything, from and to any address: random ones, and those where
 * something is that is not the VM's. At the end the memory around what they were allowed to write is
 * as it was, unless their buffers are no longer written at all.
 */
#include "edu.h"
#include "pci.h"
#include "probe.h"

#define ROUNDS 24
#define BYTES_MAX 64

static u64 checksum(u64 from, u64 to)
{
	u64 sum = 0;

	for (u64 at = from; at < to; at += 8)
		sum = (sum << 7 | sum >> 57) ^ read64(at);
	return sum;
}

static u64 foreign_address(void)
{
	static const u64 places[] = {
		0,	    0x08000000,	     0x09000000,   0x09050080,
		0x10000000, 0x40000000 - 64, 0x4010000000, ~63UL,
	};
	u64 kind = random() % 4;

	if (kind == 0)
		return ram_end() + random() % GIB(4) / 8 * 8;
	if (kind == 1)
		return random() / 8 * 8 | 1UL << 47;
	return places[random() % (sizeof(places) / sizeof(places[0]))] + random() % 8 * 8;
}

void probe(void)
{
	struct edu edu = edu_open(0);
	u64 from = free_memory(), to = memory_end(), before;

	report_equal("the device answers", edu.bar ? read32(edu.bar + EDU_VERSION) : 0, 0x010000ed);
	for (u64 at = from; at < to; at += 8)
		write64(at, random());
	before = checksum(from, to);
	for (unsigned i = 0; i < ROUNDS; i++) {
		u64 bytes = random() % BYTES_MAX / 4 * 4 + 4, address = foreign_address();

		if (random() & 1)
			edu_write(&edu, address, bytes);
		else
			edu_read(&edu, address, bytes);
	}
	report_equal("memory that no transfer was for is as it was", checksum(from, to), before);
	write16(edu.config + PCI_COMMAND, 0);
	report_equal("calls are served", hvc(SMCCC_VERSION, 0, 0, 0).x0, 0x10002);
}
