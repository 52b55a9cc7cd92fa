// SPDX-License-Identifier: MIT
/*
 * A VM's DMA space: the table through which its devices reach its RAM, and nothing else.
 *
 * Sharing the CPU's stage 2 would cost no memory and need no code. But what is mapped there for the
 * CPU, a device's registers, the GIC's page, a device would reach too, and write to; RAM comes and
 * goes there on demand, which a device cannot wait for; and its root may be concatenated. So the
 * table is one of its own, by the same walker: all of RAM is brought in first, and stays.
 *
 * It is a stage-2 table where the SMMU has a second stage, tagged with a VMID, and a stage-1 table
 * tagged with an ASID of the same number where it has not (space_tag()). It grows, piece by piece, before
 * its VM runs, when no device has anything to do; while it runs nobody changes it.
 * Manual: IHI 0070, "Translation procedure", "TLB tagging, VMIDs, ASIDs and participation in broadcast
 * TLB maintenance".
 */
#include "exercise.h"
#include "guest_memory.h"
#include "internal.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "vcpu.h"

#define SPACE_INPUT_BITS_MIN 32 /* a root at level 1, in one table up to 39 bits */
#define LEAF_NOT_GLOBAL BIT(11)

static struct smmu_cd context_descriptors[VM_MAX];

/* ---- formats of the one walker ---- */

/**
 * space_stage1_leaf() - attribute bits of a leaf for a device's access by stage 1
 *
 * Exercise 5.3: as pgtable_stage1_leaf(), whose bit 6 lets unprivileged accesses pass here, as a
 * device's are. Not global: a global entry would serve the devices of every VM.
 */
EXERCISE(5.3)
static u64 space_stage1_leaf(unsigned prot)
{
	TODO(5.3);
}

static void space_publish(struct pgtable *table)
{
	(void)table;
	smmu_barrier();
}

static void space_invalidate(struct pgtable *table, u64 address, u64 bytes)
{
	(void)address;
	(void)bytes;
	spin_lock(&smmu.lock);
	space_forget(table->owner);
	smmu_sync();
	spin_unlock(&smmu.lock);
}

static const struct pgtable_format space_stage1_format = {
	.name = "DMA stage 1",
	.leaf = space_stage1_leaf,
	.prot = pgtable_stage1_prot,
	.publish = space_publish,
	.invalidate = space_invalidate,
	.table_alloc = page_alloc_zeroed,
	.table_free = page_free,
};

static const struct pgtable_format space_stage2_format = {
	.name = "DMA stage 2",
	.leaf = pgtable_stage2_leaf,
	.prot = pgtable_stage2_prot,
	.publish = space_publish,
	.invalidate = space_invalidate,
	.table_alloc = page_alloc_zeroed,
	.table_free = page_free,
};

/* ---- what it is tagged with, and what leads to it ---- */

/* VMID or ASID at the SMMU, for as long as the VM is there: its VMID at the CPUs may change. */
static u32 space_tag(const struct vm *vm)
{
	return vm->index + 1;
}

/** space_forget() - Exercise 5.4: by VMID for stage 2, by ASID for stage 1; see internal.h */
EXERCISE(5.4)
void space_forget(const struct vm *vm)
{
	TODO(5.4);
}

struct smmu_ste space_ste(const struct vm *vm)
{
	if (smmu.use_stage2)
		return ste_stage2(&vm->dma.table, space_tag(vm), smmu.address_size);
	return ste_stage1(&context_descriptors[vm->index]);
}

/* ---- creation and end ---- */

/* The smallest input size that holds RAM: 0 when the SMMU has none so large. */
static unsigned space_input_bits(const struct vm *vm)
{
	static const unsigned char limits[] = {32, 36, 40, 42, 44, 48}; /* OAS 0 to 5 */
	unsigned bits = SPACE_INPUT_BITS_MIN;

	while (bits < 48 && vm->ram_base + vm->ram_bytes > 1UL << bits)
		bits++;
	return bits <= limits[smmu.address_size] ? bits : 0;
}

/**
 * fill_piece() - bring in a piece of the RAM of @vm, which has a DMA space, and map it there
 *
 * Exercise 5.3: dma.filled_bytes says where it begins. guest_memory_ops()->page() backs the page
 * there with memory, and how much is mapped around it in one piece says a lookup in
 * vm->stage2.table. The piece is mapped as one, at the address that the guest knows it by, for
 * reading and writing. Nobody else touches either table: the VM does not run yet.
 *
 * Return: 0 when all is there; 1 after a piece; -ENOMEM.
 */
EXERCISE(5.3)
static int fill_piece(struct vm *vm)
{
	TODO(5.3);
}

int space_fill(struct vm *vm)
{
	return vm->dma.table.format ? fill_piece(vm) : 0;
}

int smmu_create_space(struct vm *vm)
{
	struct dma_space *dma = &vm->dma;
	unsigned bits = space_input_bits(vm);
	int error;

	if (!smmu.is_present)
		return -ENODEV;
	if (!bits)
		return -ERANGE;
	error = pgtable_init(&dma->table,
			     smmu.use_stage2 ? &space_stage2_format : &space_stage1_format, bits,
			     false);
	if (error) {
		dma->table.format = NULL;
		return error;
	}
	dma->table.owner = vm;
	dma->filled_bytes = 0;
	vm->stage2.is_pinned = true;
	context_descriptors[vm->index] = cd_stage1(&dma->table, space_tag(vm), smmu.address_size);
	return 0;
}

/* What the SMMU cached of it went when the last stream was detached. */
void smmu_destroy_space(struct vm *vm)
{
	if (!vm->dma.table.format)
		return;
	context_descriptors[vm->index] = (struct smmu_cd){{0}};
	pgtable_destroy(&vm->dma.table);
	vm->dma.table.format = NULL;
	vm->stage2.is_pinned = false;
}
