// SPDX-License-Identifier: MIT
/*
 * A VM's intermediate physical address space: its stage-2 table, the registers that put it into
 * effect, and the invalidation of what TLBs remember of it.
 *
 * stage2.lock of a VM protects its table and accounting. Lock order: vm->device_lock, stage2.lock,
 * the page allocator's. Layer 3 calls stage2_map() while a VM is created and holds nothing then.
 *
 * A TLB entry is tagged with the VMID. TLBI acts on the VMID in VTTBR_EL2, so invalidating for a VM
 * that is not loaded loads its VTTBR_EL2 for the moment, beside the EL1 registers of another guest.
 * At EL2 the CPU begins no walk of its own in the guests' regime; one that began before the exit is
 * completed by a DSB before a register changes (Arm ARM, "Out-of-context translation regimes"). What
 * some CPUs make of an AT in that state is kept away by at_s1e1r(). So no entry is made of two VMs.
 *
 * Each vCPU of a VM expects a TLB of its own, but all share the VMID: stage2_part_vcpus().
 * Manual: Arm ARM, "VTCR_EL2", "VTTBR_EL2", "TLB maintenance", "Use of ASIDs and VMIDs to reduce TLB
 * maintenance requirements".
 */
#include "stage2.h"

#include "exercise.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "stage2_layer.h"
#include "tlb.h"
#include "vcpu.h"

#define STAGE2_INPUT_BITS_MIN 32 /* all devices of the guest's machine lie below 4 GiB */
#define STAGE2_INVALIDATE_PAGES_MAX 8

#define VTCR_EL2_RES1 SR_BIT(31)
#define VTCR_EL2_VS SR_BIT(19)
#define VTCR_EL2_PS_SHIFT 16
#define VTCR_EL2_SH0_INNER (3UL << 12)
#define VTCR_EL2_ORGN0_WBWA (1UL << 10)
#define VTCR_EL2_IRGN0_WBWA (1UL << 8)
#define VTCR_EL2_SL0_SHIFT 6
#define VTTBR_EL2_VMID_SHIFT 48

#define ID_AA64MMFR1_VMIDBITS_16 2

/**
 * stage2_input_bits() - width of the smallest IPA space with everything below @top in it, at least
 * STAGE2_INPUT_BITS_MIN, at most 48
 */
EXERCISE(2.5)
static unsigned stage2_input_bits(u64 top)
{
	TODO(2.5);
}

/**
 * stage2_vtcr() - VTCR_EL2 for @table
 *
 * T0SZ from its input_bits; SL0 from its start_level (for a 4 KiB granule 2 - level); 4 KiB
 * granule; walks inner shareable, write-back cacheable; PS as cpu_pa_range(); VS, 16-bit VMIDs,
 * where ID_AA64MMFR1_EL1.VMIDBits says that they exist; the RES1 bit.
 */
EXERCISE(2.5)
static u64 stage2_vtcr(const struct pgtable *table)
{
	TODO(2.5);
}

/** stage2_vttbr() - VTTBR_EL2 for @vm: root of its table and its VMID */
EXERCISE(2.5)
static u64 stage2_vttbr(const struct vm *vm)
{
	TODO(2.5);
}

/* ---- TLB maintenance ---- */

static void stage2_publish(struct pgtable *table)
{
	dsb_ishst();
	isb();
}

/**
 * stage2_invalidate_loaded() - drop what TLBs know of [@ipa, @ipa + @bytes) of the loaded VMID
 *
 * TLBI by IPA reaches only entries of stage 2 alone. TLBs also hold entries that combine both
 * stages, under the guest's virtual address, which nobody here knows: once the stage-2 entries are
 * gone for certain (DSB ISH), or a walk could refill from them, all of stage 1 of the VMID goes
 * too. That makes a loop over many pages pointless: beyond STAGE2_INVALIDATE_PAGES_MAX, and for a
 * whole block, one TLBI VMALLS12E1IS drops both. The stores to the table come first (DSB ISHST);
 * on return everything is complete on all CPUs (DSB ISH, ISB).
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
 * stage2_invalidate() - the same for the VM that owns @table (table->owner), loaded or not
 *
 * For another VM than the loaded one its registers are loaded for as long as it takes. A DSB ISH
 * comes first: walks that the loaded guest has begun are over. VTCR_EL2 and VTTBR_EL2 change
 * together: a root has the size that its geometry says.
 */
EXERCISE(2.5)
static void stage2_invalidate(struct pgtable *table, u64 ipa, u64 bytes)
{
	TODO(2.5);
}

static const struct pgtable_format stage2_format = {
	.name = "stage 2",
	.leaf = pgtable_stage2_leaf,
	.prot = pgtable_stage2_prot,
	.publish = stage2_publish,
	.invalidate = stage2_invalidate,
	.table_alloc = page_alloc_zeroed,
	.table_free = page_free,
};

static const struct pgtable_format stage2_fwb_format = {
	.name = "stage 2",
	.leaf = pgtable_stage2_fwb_leaf,
	.prot = pgtable_stage2_prot,
	.publish = stage2_publish,
	.invalidate = stage2_invalidate,
	.table_alloc = page_alloc_zeroed,
	.table_free = page_free,
};

bool cpu_forces_write_back(void)
{
	return bits_get(read_sysreg(id_aa64mmfr2_el1), 43, 40) != 0; /* FWB */
}

/* ---- what other layers use ---- */

int stage2_create(struct vm *vm)
{
	static const unsigned char pa_bits[] = {32, 36, 40, 42, 44, 48}; /* PARange 0 to 5 */
	const struct pgtable_format *format =
		cpu_forces_write_back() ? &stage2_fwb_format : &stage2_format;
	struct stage2 *s2 = &vm->stage2;
	unsigned bits = stage2_input_bits(vm->ram_base + vm->ram_bytes);
	int error;

	if (bits > pa_bits[cpu_pa_range()])
		return -ERANGE;
	error = pgtable_init(&s2->table, format, bits, true);
	if (error)
		return error;
	s2->lock.name = "stage2";
	s2->table.owner = vm;
	s2->vtcr = stage2_vtcr(&s2->table);
	s2->vttbr = stage2_vttbr(vm);
	s2->resident_bytes = 0;
	s2->released_bytes = 0;
	/* The VMID may have belonged to another VM, or to an earlier life of this one. */
	stage2_invalidate(&s2->table, 0, 1UL << bits);
	return 0;
}

void stage2_destroy(struct vm *vm)
{
	struct stage2 *s2 = &vm->stage2;

	if (!pa_is_valid(s2->table.root) || !s2->table.format)
		return;
	/* Walks end at the root from now on; then nothing cached leads to a table that is freed. */
	stage2_unmap(vm, IPA(0), 1UL << s2->table.input_bits);
	stage2_invalidate(&s2->table, 0, 1UL << s2->table.input_bits);
	if (read_sysreg(vttbr_el2) == s2->vttbr)
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

/* ---- the layer ---- */

/**
 * stage2_vcpu_reset() - the guest's addresses go through stage 2 (HCR_EL2.VM), whose tables are
 * made for HCR_EL2.FWB if cpu_forces_write_back()
 */
EXERCISE(2.5)
static void stage2_vcpu_reset(struct vcpu *vcpu)
{
	TODO(2.5);
}

/**
 * stage2_vcpu_load() - VTCR_EL2 and VTTBR_EL2 of the vCPU's VM; an ISB before the guest uses them
 */
EXERCISE(2.5)
static void stage2_vcpu_load(struct vcpu *vcpu)
{
	TODO(2.5);
}

/*
 * Two vCPUs that take turns on this CPU may use one ASID for two address spaces, or one global
 * address for two things, as two CPUs may: what the TLB holds of the other goes. So does the
 * instruction cache, whose lines an ASID and a VMID may tag as well. Nobody needs it on other CPUs:
 * what a vCPU invalidates for itself is broadcast to those it came from (HCR_EL2.FB).
 */
static void stage2_part_vcpus(struct vcpu *vcpu)
{
	const struct vcpu **last = &vcpu->vm->stage2.last_vcpu[vcpu->cpu->index];

	if (*last == vcpu)
		return;
	*last = vcpu;
	tlbi_vmalle1();
	ic_iallu();
	dsb_nsh();
	isb();
}

static void stage2_enter(struct vcpu *vcpu)
{
	stage2_vcpu_load(vcpu);
	if (vcpu->vm->vcpu_count > 1)
		stage2_part_vcpus(vcpu);
}

LAYER(2, stage2, .init = hyp_mmu_init, .init_cpu = hyp_mmu_init_cpu, .vm_create = mmio_create,
      .vm_destroy = mmio_destroy, .vcpu_reset = stage2_vcpu_reset, .vcpu_load = stage2_enter);
