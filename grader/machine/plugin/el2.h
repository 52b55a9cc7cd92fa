/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * EL2 as a plugin of the emulator sees it. EL2 maps itself one to one, and the emulator has a
 * machine's RAM in one piece, so the host's address of one instruction of EL2 gives that of every
 * object; the headers of the kit say what is in it.
 */
#ifndef STRATA_PLUGIN_EL2_H
#define STRATA_PLUGIN_EL2_H

#include <stdlib.h>

#include "qemu_plugin.h"
#include "vcpu.h"

#define ERET 0xd69f03e0

static u64 image_start, image_end, ram_bytes; /* told by who starts the machine */
static u8 *delta; /* host's address of physical address 0, as it were */

/** is_el2() - whether @insn, at @pc, is EL2's: a guest may run at its addresses, not in its memory */
static inline int is_el2(u64 pc, const struct plugin_insn *insn)
{
	u8 *zero = (u8 *)qemu_plugin_insn_haddr(insn) - pc;

	if (pc < image_start || pc >= image_end)
		return 0;
	if (!delta)
		delta = zero;
	return zero == delta;
}

/** at() - the object at a physical address, NULL if RAM has no such */
static inline const void *at(u64 address, size_t bytes)
{
	u64 offset = address - PLAT_RAM_BASE;

	return delta && offset < ram_bytes && bytes <= ram_bytes - offset ? delta + address : NULL;
}

/** struct number - an argument of the plugin, as in name=0x40000000 */
struct number {
	const char *name;
	u64 *value;
};

/** take_number() - set what @argument names, if it is one of @numbers */
static inline void take_number(const char *argument, const struct number *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(numbers[i].name);

		if (!strncmp(argument, numbers[i].name, length) && argument[length] == '=')
			*numbers[i].value = strtoull(argument + length + 1, NULL, 0);
	}
}

#endif
