/* SPDX-License-Identifier: MIT */
/*
 * Contract of layer 5's one half: the SMMU, and what the devices of a VM may reach through it.
 *
 * Every device has a StreamID, on QEMU's `virt` its PCI address: bus << 8 | device << 3 | function.
 * The SMMU looks up a stream table entry (STE) for it. An STE is invalid until a device is assigned:
 * its DMA is refused and named in the event queue. Then the STE leads to a table that the VM has for
 * its devices alone, its DMA space: the VM's RAM, readable and writable, and nothing else. So no
 * device reaches what the CPU may reach by stage 2 beside RAM: a device's registers, the GIC's page.
 *
 * Nothing here is called for a VM without devices. Manual: SMMUv3 (IHI 0070).
 */
#ifndef STRATA_SMMU_H
#define STRATA_SMMU_H

#include "lib/types.h"
#include "pgtable.h"

struct vm;

#define SMMU_STREAM_COUNT 256 /* of the root bus, the one whose configuration space EL2 maps */

/** smmu_stream_id() - of function @function of device @device on bus @bus */
static inline u32 smmu_stream_id(u32 bus, u32 device, u32 function)
{
	return bus << 8 | device << 3 | function;
}

/**
 * struct dma_space - what the devices of one VM may reach
 * @table: of the format that the SMMU offers; without a format: the VM has no DMA space
 * @filled_bytes: RAM from its beginning on that is mapped
 * @stream_count: streams that lead to it
 * @event_count: transactions of its devices that were refused, in all lives of the VM
 */
struct dma_space {
	struct pgtable table;
	u64 filled_bytes;
	u32 stream_count;
	u64 event_count;
};

enum smmu_stream_state {
	STREAM_INVALID, /* nobody's; DMA is refused and named */
	STREAM_CHANGING, /* is being attached or detached; nothing is expected from it */
	STREAM_ATTACHED,
	STREAM_QUARANTINED, /* was over its budget: DMA is refused without a word until it is detached */
};

/**
 * struct smmu_fault - what an event record says
 * @stream: StreamID; may be that of a device that is not there
 * @kind: EVENT_* of layer 5
 * @is_write, @is_stage2: of the access, and where it was refused; only with an address
 * @address: what the device asked for
 */
struct smmu_fault {
	u32 stream;
	u8 kind;
	bool is_write;
	bool is_stage2;
	u64 address;
};

/**
 * struct smmu_stream - a device's way into memory; protected by smmu.lock
 * @vm: whose it is; NULL: nobody's
 * @event_count: refused transactions since it was attached
 * @window_start, @window_count: budget: physical count at which the window began, events in it
 * @window_told: of these the console was told of so many
 * @last: the last one before it was quarantined
 */
struct smmu_stream {
	struct vm *vm;
	enum smmu_stream_state state;
	u32 window_count;
	u32 window_told;
	u64 window_start;
	u64 event_count;
	struct smmu_fault last;
};

/** smmu_is_present() - whether this machine has one that can be used; without it no device is assigned */
bool smmu_is_present(void);

/**
 * smmu_create_space() - give @vm a DMA space, empty
 *
 * Before @vm runs all of its RAM is brought in and mapped there, by hook_vm_fill(), and it is pinned:
 * a device's access cannot wait for memory, and what it may reach at any time is not given back
 * while it may (RELEASE fails with -EBUSY).
 *
 * Return: 0; -ENODEV without an SMMU; -ENOMEM; -ERANGE when RAM is beyond the SMMU's addresses. On
 * error there is none.
 */
int smmu_create_space(struct vm *vm);

/** smmu_destroy_space() - of a VM whose streams are detached; harmless when there is none */
void smmu_destroy_space(struct vm *vm);

/**
 * smmu_attach_stream() - let the device @stream reach the DMA space of @vm
 *
 * The device is quiet: reset, and no bus master. It may become one when this has returned.
 *
 * Return: 0; -ENODEV beyond the stream table; -EBUSY when it is attached, to whomever; -EINVAL when
 * @vm has no space, or what is written for it is not what this SMMU takes.
 */
int smmu_attach_stream(struct vm *vm, u32 stream);

/**
 * smmu_detach_stream() - the device @stream reaches nothing any more when this returns
 *
 * It has been reset and is no bus master: a request that it has taken before is not stopped by this.
 * Events of its time with @vm are charged to @vm. Harmless when @stream is not attached to @vm.
 */
void smmu_detach_stream(struct vm *vm, u32 stream);

#endif
