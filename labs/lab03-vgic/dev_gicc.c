// SPDX-License-Identifier: MIT
/*
 * The second page of a GICv2 CPU interface, which holds GICC_DIR alone.
 *
 * The first page is the hardware's (vgic_world.c). This one is not mapped, since a deactivation may
 * be meant for an interrupt that has no list register of this vCPU, and the hardware would only
 * count it. Guests that complete in one step (EOImode 0, so every Linux that runs at EL1) never
 * come here.
 *
 * Manual: IHI 0048, "GICC_DIR".
 */
#include "lib/gic_regs.h"
#include "lib/types.h"
#include "vmm_irq.h"

/* Everything here but GICC_DIR is reserved; GICC_DIR is write-only. */
static u64 gicc_read(struct vcpu *vcpu, void *state, u64 offset, unsigned size)
{
	return 0;
}

/* INTID in [9:0]; above it the requester of an SGI, of which at most one is active here. */
static void gicc_write(struct vcpu *vcpu, void *state, u64 offset, unsigned size, u64 value)
{
	if (offset == 0 && size == 4)
		vmm_irq_deactivate(vcpu, value & 0x3ff);
}

const struct device device_gicc_dir = {
	.name = "gicc_dir",
	.base = GUEST_GICC_BASE + GICC_DIR,
	.size_bytes = GUEST_GICC_SIZE - GICC_DIR,
	.gic_version = 2,
	.read = gicc_read,
	.write = gicc_write,
};
