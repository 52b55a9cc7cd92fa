// SPDX-License-Identifier: MIT
/*
 * VMIDs, of which there may be fewer than the VMs need.
 *
 * A VM gets a VMID when it is loaded and has none; each of its lives needs one. VMIDs are given out
 * in ascending order. When all are, they are taken back (a roll-over) and a new generation begins:
 * TLBs drop everything, and only then a VMID may belong to another VM. A VM that is loaded on some
 * CPU keeps its VMID, which stands in VTTBR_EL2 there, and the new generation passes it over.
 *
 *	VMID-1	a VM that is loaded on a CPU has a VMID, the one in that CPU's VTTBR_EL2
 *	VMID-2	no two VMs have the same VMID
 *	VMID-3	what a TLB holds under a VMID is of the VM that has it; of a VM without a VMID no
 *		TLB holds anything
 *
 * So an invalidation for a VM without a VMID is nothing to do, and CPUs need not be told of a
 * roll-over: the one TLBI reaches all TLBs, and what a CPU still has to know, it finds in
 * stage2.vttbr when it next loads the VM. grader/models/vmid.pml is this protocol, for spin.
 *
 * vmid_lock protects everything here. Manual: Arm ARM, "TLB maintenance", "Use of ASIDs and VMIDs to
 * reduce TLB maintenance requirements", "ID_AA64MMFR1_EL1".
 */
#include "vmid.h"

#include "bundle.h"
#include "exercise.h"
#include "lib/bits.h"
#include "page_alloc.h"
#include "stage2.h"
#include "sysreg.h"
#include "vcpu.h"

#define VMIDS_8_BITS 255
#define VMIDS_16_BITS 65535

struct vmid_space vmid_space = {.next = 1};

/**
 * Exercise 6.5: vmid_count() - how many VMIDs there are, VMID_NONE not counted
 *
 * VMIDS_8_BITS, or VMIDS_16_BITS where ID_AA64MMFR1_EL1.VMIDBits (bits 7 to 4) says that VMIDs have
 * 16 bits. The bundle may say that fewer are to be used (@bundle->vmids; 0: it does not), but each
 * of its machine_cpus needs one, at the same time.
 */
EXERCISE(6.5)
static u32 vmid_count(const struct bundle_header *bundle)
{
	TODO(6.5);
}

/**
 * Exercise 6.5: vmid_take_back() - all VMs lose their VMIDs, but for those that are loaded on a CPU
 *
 * First take the VMID from every VM (stage2_set_vmid()), even from those that are loaded. Then,
 * behind a full barrier (dmb_ish()), look at what each CPU has loaded: cpus[i].vcpu, a load-acquire;
 * NULL: nothing. Its VM has the VMID again that it had. vmid_space.kept[i] says which, VMID_NONE if
 * it had none or nothing is loaded.
 *
 * A CPU that loads a VM stores cpu->vcpu, and behind a barrier looks for the VMID. So either it
 * finds none and waits for vmid_lock, or it is seen here.
 */
EXERCISE(6.5)
static void vmid_take_back(void)
{
	TODO(6.5);
}

/**
 * Exercise 6.5: vmid_roll_over() - a new generation begins
 *
 * vmid_take_back(), and then every TLB drops all that it holds of guests: tlbi_alle1is(); so do
 * instruction caches, which a VMID may tag as well: ic_ialluis(). Both are complete on all CPUs
 * (DSB ISH, ISB) when this returns. In vmid_space the generation is counted, VMIDs go up to
 * vmid_count() of the bundle, which is at PLAT_BUNDLE_BASE, and 1 is next.
 */
EXERCISE(6.5)
static void vmid_roll_over(void)
{
	TODO(6.5);
}

/** Exercise 6.5: vmid_is_kept() - whether a VM kept @vmid when this generation began */
EXERCISE(6.5)
static bool vmid_is_kept(u32 vmid)
{
	TODO(6.5);
}

/**
 * Exercise 6.5: vmid_new() - a VMID that no VM has
 *
 * The next one in vmid_space that was not kept. When there is none any more: vmid_roll_over(), and
 * then the next one. The first generation begins in the same way, since nobody knows what TLBs held
 * before EL2 started.
 */
EXERCISE(6.5)
u32 vmid_new(void)
{
	NOT_YET(6.5);
	if (vmid_space.next > VMIDS_8_BITS)
		TODO(6.5); /* no VMID is given out twice */
	return vmid_space.next++;
}
