/* SPDX-License-Identifier: MIT */
/*
 * The bundle: QEMU's loader puts it into RAM beside the hypervisor. It has all that EL2 knows of
 * its VMs and of the machine that they need. tools/bundle writes it; every number is little endian.
 *
 *	header (64 bytes) | VM table (256 bytes each) | payloads, 4 KiB aligned | magic again
 *
 * Whoever loads the bundle cleans it to the point of coherency, as the arm64 boot protocol asks for
 * the image: EL2 reads header and VM table with its MMU off.
 *
 * The CRC covers header and VM table. Payloads carry a CRC of their own, which `tools/bundle
 * verify` checks on the build machine: at EL2 that check would cost more instructions than
 * virtualization adds to a whole boot. Without the trailing magic the bundle is truncated.
 */
#ifndef STRATA_BUNDLE_H
#define STRATA_BUNDLE_H

#include "lib/types.h"

#define BUNDLE_MAGIC 0x4c444e5541525453UL /* "STRAUNDL" */
#define BUNDLE_VERSION 2
#define BUNDLE_SEGMENT_MAX 4
#define BUNDLE_NO_DTB (~0UL)

#define BUNDLE_DEVICE_MAX 16 /* that one VM owns */

#define VM_MAX 64
#define VCPU_MAX 8 /* of one VM */

/** struct bundle_segment - a piece of the VM's pristine memory; the rest of its RAM is zero */
struct bundle_segment {
	u64 ram_offset; /* from the VM's RAM base */
	u64 file_offset; /* from the start of the bundle */
	u64 size_bytes;
	u32 crc32;
	u32 reserved;
};

/* struct bundle_header.flags */
#define BUNDLE_SMMU 1U /* the machine has an SMMU */
#define BUNDLE_SMMU_STAGE1 2U /* its stage 1 is used even where it has a stage 2 */

/* struct bundle_vm.flags */
#define BUNDLE_VM_PAGES_4K 1U /* stage 2 maps its RAM by pages of 4 KiB, never by blocks of 2 MiB */

/**
 * struct bundle_vm - one VM; offsets are relative to its RAM base
 * @devices: @device_count PCI functions that it owns: bus << 8 | device << 3 | function, of bus 0
 * @pin: for each of its @cpus, the CPUs of the machine that the vCPU may run on: bit n is CPU n
 */
struct bundle_vm {
	char name[16]; /* NUL-terminated, [a-z0-9-] */
	u32 cpus;
	u32 segment_count;
	u64 memory_bytes;
	u64 entry_offset;
	u64 dtb_offset; /* BUNDLE_NO_DTB: x0 = 0 at entry */
	u32 flags;
	u32 device_count;
	struct bundle_segment segments[BUNDLE_SEGMENT_MAX];
	u16 devices[BUNDLE_DEVICE_MAX];
	u8 pin[VCPU_MAX];
	u8 padding[256 - 16 - 8 - 24 - 8 - 32 * BUNDLE_SEGMENT_MAX - 2 * BUNDLE_DEVICE_MAX -
		   VCPU_MAX];
};

struct bundle_header {
	u64 magic;
	u32 version;
	u32 vm_count;
	u64 length_bytes; /* of the whole bundle, trailer included */
	u32 crc32; /* of header (with this field 0) and VM table */
	u32 gic_version;
	u64 machine_memory_bytes;
	u32 machine_cpus;
	u32 flags;
	u32 vmids; /* at most so many VMIDs are used, of CPUs that have more; 0: all */
	u32 reserved;
	u64 reserved2;
};

_Static_assert(sizeof(struct bundle_header) == 64, "format of the bundle");
_Static_assert(sizeof(struct bundle_vm) == 256, "format of the bundle");

/**
 * bundle_check() - decide whether a bundle can be used
 * @bundle: first byte of the bundle in memory, at PLAT_BUNDLE_BASE of the machine
 * @memory_bytes: RAM of the machine; 0 if that is not known
 * @problem: on failure, a sentence for the user
 *
 * After success every offset and size in the header, the VM table and the segments lies inside the
 * bundle and inside its VM's memory, and all limits of this build hold.
 *
 * Return: 0, or -EINVAL.
 */
int bundle_check(const struct bundle_header *bundle, u64 memory_bytes, const char **problem);

/** bundle_vms() - the VM table of a checked bundle */
static inline const struct bundle_vm *bundle_vms(const struct bundle_header *bundle)
{
	return (const struct bundle_vm *)(bundle + 1);
}

/** crc32_update() - CRC-32 of ISO 3309 (as zlib's), started with 0 */
u32 crc32_update(u32 crc, const void *data, size_t bytes);

#endif
