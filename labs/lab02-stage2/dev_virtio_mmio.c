// SPDX-License-Identifier: MIT
/*
 * The 32 virtio transports of QEMU's `virt`, all of them empty: software that was built for that
 * machine probes each, finds the device ID 0 and goes on. Where nothing answered, the probe itself
 * would be an abort.
 *
 * Manual: Virtual I/O Device (VIRTIO) Version 1.1, "MMIO Device Register Layout", "Legacy
 * interface".
 */
#include "lib/bits.h"
#include "lib/types.h"
#include "vmm.h"

/* The first four registers; all others of an empty transport are zero. */
static const u32 registers[] = {
	0x74726976, /* MagicValue: "virt" */
	1, /* Version: the legacy interface, as QEMU has it */
	0, /* DeviceID: none */
	0x554d4551, /* VendorID: "QEMU", which some drivers look at */
};

static u32 read_register(u64 offset)
{
	u64 number = offset % GUEST_VIRTIO_STRIDE / 4;

	return number < ARRAY_SIZE(registers) ? registers[number] : 0;
}

/* A narrow load sees its part of the register, a 64-bit one two of them. */
static u64 transport_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	u64 value = (u64)read_register(offset) >> 8 * (offset % 4);

	return size == 8 ? value | (u64)read_register(offset + 4) << 32 : value;
}

static void transport_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
}

const struct device device_virtio_mmio = {
	.name = "virtio_mmio",
	.base = GUEST_VIRTIO_BASE,
	.size_bytes = GUEST_VIRTIO_COUNT * GUEST_VIRTIO_STRIDE,
	.read = transport_read,
	.write = transport_write,
};
