// SPDX-License-Identifier: MIT
/*
 * A VM's intermediate physical address space: its stage-2 table, the registers that put the table
 * into effect, and the invalidation of the translations that TLBs hold.
 *
 * stage2.lock of a VM protects its table and accounting, vmid_lock which VM has which VMID. Lock
 * order: vm->device_lock, stage2.lock, the page allocator's or vmid_lock. Layer 3 calls stage2_map() while a VM is created and holds nothing then.
 *
 * TLBI by IPA drops entries of stage 2 alone. A TLB also holds entries that combine both stages,
 * under the guest's virtual address, which EL2 does not know. Once the stage-2 entries are gone for
 * certain, or a walk could refill from them, all of stage 1 of the VMID is dropped, too.
 *
 * A TLB entry is tagged with the VMID, and TLBI acts on the VMID in VTTBR_EL2. To invalidate for a
 * VM that is not loaded, EL2 loads its VTTBR_EL2 for the moment, beside the EL1 registers of
 * another guest. No entry may be made of these two. At EL2 the CPU begins no walk of its own in the
 * guests' regime; a DSB completes those that began before the exit (Arm ARM, "Out-of-context
 * translation regimes"). Some CPUs execute an AT by speculation in that state: at_s1e1r() rules it
 * out.
 *
 * A VM has a VMID of its own for as long as it is loaded anywhere. Layer 6 gives VMIDs when VMs are
 * loaded, and may take one away from a VM that is not: then no TLB holds anything of that VM.
 *
 * Each vCPU of a VM expects a TLB of its own, but all share the VMID: stage2_part_vcpus(). Manual:
 * Arm ARM, "VTCR_EL2", "VTTBR_EL2", "TLB maintenance", "Use of ASIDs and VMIDs to reduce TLB
 * maintenance requirements".
 */
#include "stage2.h"

#include "exercise.h"
#include "internal.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "tlb.h"
#include "vcpu.h"

#define STAGE2_INPUT_BITS_MIN 32 /* all devices of the guest's machine lie below 4 GiB */
#define STAGE2_INVALIDATE_PAGES_MAX 8

struct spinlock vmid_lock = {.name = "VMID"};

/**
 * Exercise 2.5: stage2_input_bits() - bits of the smallest IPA space that holds all addresses below
 * @top
 *
 * At least STAGE2_INPUT_BITS_MIN, at most 48.
 */
EXERCISE(2.5)
static unsigned stage2_input_bits(u64 top)
{
	TODO(2.5);
}

/**
 * Exercise 2.5: stage2_vtcr() - VTCR_EL2 for @table
 *
 * T0SZ is 64 - input_bits, SL0 is 2 - start_level (for a 4 KiB granule). Granule 4 KiB; walks inner
 * shareable, write-back cacheable; PS as cpu_pa_range(); VS, 16-bit VMIDs, where
 * ID_AA64MMFR1_EL1.VMIDBits says that they exist; the RES1 bit.
 */
EXERCISE(2.5)
static u64 stage2_vtcr(const struct pgtable *table)
{
	TODO(2.5);
}

/** Exercise 2.5: stage2_vttbr() - VTTBR_EL2 for @vm: the root of its table and its VMID */
EXERCISE(2.5)
static u64 stage2_vttbr(const struct vm *vm)
{
	TODO(2.5);
}

void stage2_set_vmid(struct vm *vm, u32 vmid)
{
	spin_assert_held(&vmid_lock);
	vm->vmid = vmid;
	__atomic_store_n(&vm->stage2.vttbr, stage2_vttbr(vm), __ATOMIC_RELAXED);
}

/* ---- TLB maintenance ---- */

static void stage2_publish(struct pgtable *table)
{
	dsb_ishst();
	isb();
}

/**
 * Exercise 2.5: stage2_invalidate_loaded() - drop translations of [@ipa, @ipa + @bytes) from TLBs
 *
 * Those of the loaded VMID. The stores to the table come first (DSB ISHST). Up to
 * STAGE2_INVALIDATE_PAGES_MAX pages: each by IPA, and when these are complete (DSB ISH) all of
 * stage 1 of the VMID. For more pages, and so for a whole block, one TLBI VMALLS12E1IS drops both. On return everything is
 * complete on all CPUs (DSB ISH, ISB).
 */
EXERCISE(2.5)
static void stage2_invalidate_loaded(u64 ipa, u64 bytes)
{
	TODO(2.5);
}

static inline void stage2_load(u64 vtcr, u64 vttbr)
{
	write_sysreg(vtcr_el2, vtcr);
	write_sysreg(vttbr_el2, vttbr);
	isb();
}

/**
 * Exercise 2.5: stage2_invalidate() - the same for the VM that owns @table: table->owner
 *
 * By stage2_invalidate_loaded(), if VTTBR_EL2 is the owner's. If VTTBR_EL2 is another VM's, both
 * registers of the owner are loaded (stage2_load()) for as long as the invalidation takes, after a
 * DSB ISH that ends the walks of the loaded guest. VTCR_EL2 and VTTBR_EL2 change together, here and
 * back: a root has the size that its geometry says. Meanwhile vmid_lock is held, so that the VMID
 * stays the owner's.
 *
 * An owner without a VMID (VMID_NONE) has nothing in any TLB: it is enough that the stores to the
 * table are complete (DSB ISH).
 */
EXERCISE(2.5)
static void stage2_invalidate(struct pgtable *table, u64 ipa, u64 bytes)
{
	TODO(2.5);
}

bool cpu_forces_write_back(void)
{
	return bits_get(read_sysreg(id_aa64mmfr2_el1), 43, 40) != 0; /* FWB */
}

static u64 stage2_leaf(unsigned prot)
{
	return cpu_forces_write_back() ? pgtable_stage2_fwb_leaf(prot) : pgtable_stage2_leaf(prot);
}

static const struct pgtable_format stage2_format = {
	.name = "stage 2",
	.leaf = stage2_leaf,
	.prot = pgtable_stage2_prot,
	.publish = stage2_publish,
	.invalidate = stage2_invalidate,
	.table_alloc = page_alloc_zeroed,
	.table_free = page_free,
};

/* ---- what other layers use ---- */

int stage2_create(struct vm *vm)
{
	static const unsigned char pa_bits[] = {32, 36, 40, 42, 44, 48}; /* PARange 0 to 5 */
	struct stage2 *s2 = &vm->stage2;
	unsigned bits = stage2_input_bits(vm->ram_base + vm->ram_bytes);
	int error;

	if (bits > pa_bits[cpu_pa_range()])
		return -ERANGE;
	error = pgtable_init(&s2->table, &stage2_format, bits, true);
	if (error)
		return error;
	s2->lock.name = "stage2";
	s2->table.owner = vm;
	s2->vtcr = stage2_vtcr(&s2->table);
	s2->resident_bytes = 0;
	s2->emptied_bytes = 0;
	spin_lock(&vmid_lock);
	stage2_set_vmid(vm, hook_vmid_new ? VMID_NONE : vm->vmid);
	spin_unlock(&vmid_lock);
	/* The VMID may have belonged to another VM, or to an earlier life of this one. */
	stage2_invalidate(&s2->table, 0, 1UL << bits);
	return 0;
}

void stage2_destroy(struct vm *vm)
{
	struct stage2 *s2 = &vm->stage2;

	if (!pa_is_valid(s2->table.root) || !s2->table.format)
		return;
	/* Walks end at the root from now on. Then nothing cached leads to a table that is freed. */
	stage2_unmap(vm, IPA(0), 1UL << s2->table.input_bits);
	stage2_invalidate(&s2->table, 0, 1UL << s2->table.input_bits);
	if (bits_get(read_sysreg(vttbr_el2), 47, 1) == s2->table.root.pa >> 1)
		stage2_load(0, 0);
	pgtable_destroy(&s2->table);
}

int stage2_map(struct vm *vm, ipa_t ipa, pa_t pa, u64 bytes, unsigned prot)
{
	spin_lock(&vm->stage2.lock);
	int error = pgtable_map(&vm->stage2.table, ipa.ipa, pa, bytes, prot);

	spin_unlock(&vm->stage2.lock);
	return error;
}

int stage2_unmap(struct vm *vm, ipa_t ipa, u64 bytes)
{
	spin_lock(&vm->stage2.lock);
	int error = pgtable_unmap(&vm->stage2.table, ipa.ipa, bytes);

	spin_unlock(&vm->stage2.lock);
	return error;
}

int stage2_protect(struct vm *vm, ipa_t ipa, u64 bytes, unsigned prot)
{
	spin_lock(&vm->stage2.lock);
	int error = pgtable_protect(&vm->stage2.table, ipa.ipa, bytes, prot);

	spin_unlock(&vm->stage2.lock);
	return error;
}

bool stage2_forbids(struct vm *vm, ipa_t ipa, unsigned prot)
{
	struct pgtable_leaf leaf;

	spin_lock(&vm->stage2.lock);
	int error = pgtable_lookup(&vm->stage2.table, ipa.ipa, &leaf);

	spin_unlock(&vm->stage2.lock);
	return !error && (leaf.prot & prot) != prot;
}

/* ---- a vCPU ---- */

/**
 * Exercise 2.5: stage2_vcpu_reset() - the guest's addresses go through stage 2
 *
 * HCR_EL2.VM in vcpu->hcr, and HCR_EL2.FWB if cpu_forces_write_back(): the tables are made for it.
 */
EXERCISE(2.5)
void stage2_vcpu_reset(struct vcpu *vcpu)
{
	TODO(2.5);
}

/*
 * Two vCPUs that take turns on this CPU may use one ASID for two address spaces, or one global
 * address for two things, as two CPUs may. So the TLB drops what it holds of the other vCPU. So
 * does the instruction cache, whose lines an ASID and a VMID may tag as well. Other CPUs need
 * nothing of this: what a vCPU invalidates for itself is broadcast to those it came from
 * (HCR_EL2.FB).
 */
static void stage2_part_vcpus(struct vcpu *vcpu)
{
	const struct vcpu **last = &vcpu->vm->stage2.last_vcpu[vcpu->cpu->index];

	if (vcpu->vm->vcpu_count == 1 || *last == vcpu)
		return;
	*last = vcpu;
	tlbi_vmalle1();
	ic_iallu();
	dsb_nsh();
	isb();
}

/**
 * Exercise 2.5: stage2_vcpu_load() - this CPU is going to run @vcpu
 * @vttbr: VTTBR_EL2 of its VM
 *
 * VTCR_EL2 of its VM and @vttbr, with an ISB before they are relied on (stage2_load()); then
 * stage2_part_vcpus(), which invalidates for that VMID.
 */
EXERCISE(2.5)
static void stage2_vcpu_load(struct vcpu *vcpu, u64 vttbr)
{
	TODO(2.5);
}

/* Once it has a VMID, layer 6 sees that the VM is loaded and leaves the VMID alone. */
static __attribute__((noinline, cold)) void stage2_vcpu_arrive_anew(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	u64 vttbr;

	spin_lock(&vmid_lock);
	if (vm->vmid == VMID_NONE && hook_vmid_new)
		stage2_set_vmid(vm, hook_vmid_new());
	vttbr = vm->stage2.vttbr;
	spin_unlock(&vmid_lock);
	stage2_vcpu_load(vcpu, vttbr);
}

/*
 * Layer 6 may have taken the VMID of this VM, and may do so now. It takes VMIDs first and then
 * looks at cpu->vcpu of each CPU, whose VM gets its VMID back. Here cpu->vcpu came first, and then
 * the VMID is looked at. With a full barrier on both sides one of the two sees the other: invariant
 * VMID-1 of grader/models/vmid.pml. The VMID is read once: until it is back, another look might find none.
 */
void stage2_vcpu_arrive(struct vcpu *vcpu)
{
	u64 vttbr;

	dmb_ish();
	vttbr = __atomic_load_n(&vcpu->vm->stage2.vttbr, __ATOMIC_RELAXED);
	if (__builtin_expect(vttbr >> VTTBR_EL2_VMID_SHIFT == VMID_NONE, 0))
		stage2_vcpu_arrive_anew(vcpu);
	else
		stage2_vcpu_load(vcpu, vttbr);
}

/* A guest changes neither VTTBR_EL2 nor VTCR_EL2: memory has both. */
void stage2_vcpu_save(struct vcpu *vcpu)
{
}
