// SPDX-License-Identifier: MIT
/*
 * Stream table entries and context descriptors: what they look like, how one changes while the SMMU
 * may read it, and the two changes there are, to attach a device and to detach it.
 *
 *	STE word 0	V, Config, and where the context descriptor is (stage 1)
 *	    word 1	how that is read; attributes of the device's accesses
 *	    words 2, 3	stage 2: geometry and VMID as in VTCR_EL2 and VTTBR_EL2; its table
 *
 * The SMMU reads an STE whenever it likes, word by word, and caches it. So words 1 to 7 change only
 * while V is 0 and known to be so, and the one store of word 0 is the change. What was cached of it
 * goes by a command, and is gone after CMD_SYNC. smmu.lock protects table and streams.
 * Manual: IHI 0070, "Stream Table Entry", "Context Descriptor", "Configuration structure
 * invalidation and updates".
 */
#include "exercise.h"
#include "internal.h"
#include "lib/errno.h"
#include "page_alloc.h"
#include "vcpu.h"

/* ---- formats ---- */

/**
 * ste_stage2() - see internal.h
 *
 * Exercise 5.3: V, Config: stage 2 alone. Word 1: the shareability that comes with an access is
 * used. Word 2 is VTCR_EL2 in other places, for @table: S2T0SZ, S2SL0, walks inner shareable and
 * write-back cacheable, a granule of 4 KiB (0), S2PS = @address_size, and @vmid; besides, S2AA64 for
 * the format of AArch64, and S2R, without which a fault leaves no record. Word 3: the root.
 */
EXERCISE(5.3)
struct smmu_ste ste_stage2(const struct pgtable *table, u32 vmid, u32 address_size)
{
	TODO(5.3);
}

/**
 * ste_stage1() - see internal.h
 *
 * Exercise 5.3: V, Config: stage 1 alone, word 0 also has the address of @cd, the only one (S1CDMax
 * and S1Fmt 0). Word 1: it is read inner shareable and write-back cacheable; SHCFG as in
 * ste_stage2(). The other words are 0: VMID 0.
 */
EXERCISE(5.3)
struct smmu_ste ste_stage1(const struct smmu_cd *cd)
{
	TODO(5.3);
}

/**
 * cd_stage1() - see internal.h
 *
 * Exercise 5.3: word 0 is TCR_EL1 in other places, for @table in the lower half of addresses: T0SZ,
 * walks inner shareable and write-back cacheable, a granule of 4 KiB (0), no upper half (EPD1), IPS =
 * @address_size, the format of AArch64. ASID = @asid, in a set that is not the CPU's (ASET). A fault
 * is recorded (R) and the access aborted (A). V. Word 1: the root. Word 3: MAIR as PGTABLE_MAIR.
 */
EXERCISE(5.3)
struct smmu_cd cd_stage1(const struct pgtable *table, u32 asid, u32 address_size)
{
	TODO(5.3);
}

bool ste_is_sound(const struct smmu_ste *ste)
{
	u64 needed = STE_S2AA64 | STE_S2R;

	if ((ste->words[0] & STE_CONFIG_MASK) == STE_CONFIG_STAGE2)
		return (ste->words[2] & needed) == needed;
	return (ste->words[0] & STE_CONFIG_MASK) == STE_CONFIG_STAGE1;
}

/* ---- changes ---- */

/** ste_write_first() - Exercise 5.3: one store, CFGI_STE, CMD_SYNC; see internal.h */
EXERCISE(5.3)
void ste_write_first(u32 stream, u64 word)
{
	TODO(5.3);
}

/**
 * ste_install() - put @ste into the table for @stream, where V is 0
 *
 * Exercise 5.3: words 1 to 7 are in memory (smmu_barrier()) before word 0 says that they count. A
 * context descriptor may be cached from before.
 */
EXERCISE(5.3)
static void ste_install(u32 stream, const struct smmu_ste *ste)
{
	TODO(5.3);
}

static int attach_locked(struct vm *vm, u32 stream_id)
{
	struct smmu_stream *stream = &smmu.streams[stream_id];
	struct smmu_ste ste;

	if (stream->vm)
		return -EBUSY;
	if (!vm->dma.table.format)
		return -EINVAL;
	ste = space_ste(vm);
	if (!ste_is_sound(&ste))
		return -EINVAL;
	/* It may have been quarantined while nobody's; what it did then is not charged to this VM. */
	stream->state = STREAM_CHANGING;
	ste_write_first(stream_id, 0);
	if (!queue_is_empty(&smmu.events, smmu_read32(SMMU_EVENTQ_PROD), smmu.events.cons))
		smmu_drain_events();
	*stream = (struct smmu_stream){.vm = vm, .state = STREAM_ATTACHED};
	vm->dma.stream_count++;
	ste_install(stream_id, &ste);
	return 0;
}

int smmu_attach_stream(struct vm *vm, u32 stream)
{
	int error;

	if (!smmu.is_present || stream >= SMMU_STREAM_COUNT)
		return -ENODEV;
	spin_lock(&smmu.lock);
	error = attach_locked(vm, stream);
	spin_unlock(&smmu.lock);
	return error;
}

/**
 * detach_locked() - take @stream_id from its VM; see smmu_detach_stream() in smmu.h
 *
 * Exercise 5.4: the order counts. An invalid STE, of which nothing is cached; then no translation
 * begins any more, and those that are cached of the VM's DMA space are made to go and are gone
 * (space_forget(), smmu_sync()): before that, memory must not be given on. Events of all this time
 * are in the queue now and are read while the stream still has its owner. Only then is it nobody's
 * and INVALID; it is CHANGING until then.
 */
EXERCISE(5.4)
static void detach_locked(u32 stream_id)
{
	TODO(5.4);
}

void smmu_detach_stream(struct vm *vm, u32 stream)
{
	if (stream >= SMMU_STREAM_COUNT)
		return;
	spin_lock(&smmu.lock);
	if (smmu.streams[stream].vm == vm)
		detach_locked(stream);
	spin_unlock(&smmu.lock);
}
