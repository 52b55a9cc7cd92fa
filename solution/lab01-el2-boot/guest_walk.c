// SPDX-License-Identifier: MIT
/*
 * At which level of the guest's own tables a walk went wrong.
 *
 * The guest's walk read a descriptor where its machine has nothing. The guest takes that as an
 * external abort on a translation table walk, whose syndrome tells the level of stage 1. ESR_EL2
 * tells the level of stage 2, so EL2 walks the guest's tables again, to the descriptor whose page
 * stage 2 refused. If another vCPU changes the tables meanwhile, the level is the one where this
 * second walk ends.
 *
 * Manual: Arm ARM, "The VMSAv8-64 translation process", "TCR_EL1, Translation Control Register".
 */
#include "el2_boot.h"
#include "internal.h"
#include "lib/bits.h"

#define LAST_LEVEL 3
#define DESCRIPTOR_TABLE 3 /* valid, and leads to a table of the next level */
#define ADDRESS_MASK bits_mask(47, 12)
#define TTBR_TABLE_MASK bits_mask(47, 4)

/** struct geometry - of the tables for one half of the address space */
struct geometry {
	u64 root;
	unsigned va_bits, page_bits;
};

/* TG0 and TG1 number the granules differently. */
static const u8 tg0_page_bits[] = {12, 16, 14, 12};
static const u8 tg1_page_bits[] = {12, 14, 12, 16};

static struct geometry geometry_of(u64 va)
{
	u64 tcr = read_sysreg(tcr_el1);

	if (va & BIT(55))
		return (struct geometry){
			.root = read_sysreg(ttbr1_el1) & TTBR_TABLE_MASK,
			.va_bits = 64 - (unsigned)bits_get(tcr, 21, 16),
			.page_bits = tg1_page_bits[bits_get(tcr, 31, 30)],
		};
	return (struct geometry){
		.root = read_sysreg(ttbr0_el1) & TTBR_TABLE_MASK,
		.va_bits = 64 - (unsigned)bits_get(tcr, 5, 0),
		.page_bits = tg0_page_bits[bits_get(tcr, 15, 14)],
	};
}

/* The descriptor at @address, 0 (invalid) where the guest has no memory. */
static u64 descriptor_at(struct vm *vm, u64 address)
{
	u64 descriptor = 0;

	if (vmm_memory_read(vm, IPA(address), &descriptor, sizeof(descriptor)))
		return 0;
	return read_sysreg(sctlr_el1) & SCTLR_EE ? __builtin_bswap64(descriptor) : descriptor;
}

/*
 * Each level resolves as many bits of the address as a table of one page has entries, the first
 * level the bits that are left. A size that TCR_EL1 must not have counts as the nearest that it
 * may.
 */
static int walk_level(struct vm *vm, u64 va, u64 refused_page)
{
	struct geometry g = geometry_of(va);
	unsigned stride = g.page_bits - 3;
	unsigned va_bits = (unsigned)min_u64(max_u64(g.va_bits, g.page_bits + 1), 52);
	int level = LAST_LEVEL - (int)((va_bits - g.page_bits - 1) / stride);
	u64 table = g.root;

	for (unsigned top = va_bits;; level++) {
		unsigned shift = g.page_bits + stride * (unsigned)(LAST_LEVEL - level);
		u64 address = table + bits_get(va, top - 1, shift) * sizeof(u64);
		u64 descriptor;

		if (level == LAST_LEVEL || (address & ADDRESS_MASK) == refused_page)
			return level;
		descriptor = descriptor_at(vm, address);
		if ((descriptor & DESCRIPTOR_TABLE) != DESCRIPTOR_TABLE)
			return level;
		table = bits_get(descriptor, 47, g.page_bits) << g.page_bits;
		top = shift;
	}
}

u64 guest_abort_status(const struct vcpu *vcpu, u64 esr)
{
	u64 page = (vcpu->exit.hpfar << 8) & ADDRESS_MASK;
	int level;

	if (!(esr & ESR_ABORT_S1PTW))
		return ESR_FSC_EXTERNAL;
	spin_lock(&vcpu->vm->device_lock);
	level = walk_level(vcpu->vm, vcpu->exit.far, page);
	spin_unlock(&vcpu->vm->device_lock);
	return (u64)(ESR_FSC_EXTERNAL_WALK + level);
}
