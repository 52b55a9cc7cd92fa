// SPDX-License-Identifier: MIT
/*
 * The memory that a VM's stage-2 tables take when all of its RAM is backed. Meant for a VM of 512
 * MiB: with 2 MiB blocks three or four pages are enough.
 */
#include "probe.h"

void probe(void)
{
	struct smccc_result stats;

	for (u64 at = free_memory(); at < ram_end(); at += MIB(1))
		read32(at);
	for (u64 at = guest.ram_base; at < ram_end(); at += MIB(2))
		read32(at);
	stats = hvc(STRATA_MEMORY_STATS, 0, 0, 0);
	print("RESULT table_bytes=%lu resident_bytes=%lu\n", stats.x3, stats.x2);
	report_equal("all of RAM is resident once touched", stats.x2, guest.ram_bytes);
	report(stats.x3 > 0 && stats.x3 <= KIB(32), "tables of this VM take 32 KiB or less",
	       stats.x3, KIB(32));
}
