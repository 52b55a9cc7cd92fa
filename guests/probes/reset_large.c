// SPDX-License-Identifier: MIT
/*
 * Uses all of its memory, in small pieces, and resets itself, for ever: EL2 has a lot to free. To
 * be packed beside reset_neighbour; this probe never completes.
 */
#include "probe.h"

#define PIECE 0x10000 /* what one touch brings in: memory_tables.c */

void probe(void)
{
	for (u64 at = free_memory(); at < memory_end(); at += PIECE)
		write64(at, at);
	hvc(PSCI_SYSTEM_RESET, 0, 0, 0);
	report(false, "SYSTEM_RESET does not return", 1, 0);
}
