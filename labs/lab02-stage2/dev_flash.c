// SPDX-License-Identifier: MIT
/*
 * The two flash banks of QEMU's `virt`, 64 MiB each, erased for ever: every bit reads as one, and
 * what is written changes nothing. Firmware finds no variables in them and uses its defaults. They
 * answer no CFI query either, so that a driver which asks finds no flash to write to.
 */
#include "lib/types.h"
#include "vmm.h"

#define PAGE_BYTES 4096

static const u8 erased[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES))) = {
	[0 ... PAGE_BYTES - 1] = 0xff,
};

static u64 flash_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	return ~0UL;
}

static void flash_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
}

const struct device device_flash = {
	.name = "flash",
	.base = GUEST_FLASH_BASE,
	.size_bytes = GUEST_FLASH_SIZE,
	.page = erased,
	.read = flash_read,
	.write = flash_write,
};
