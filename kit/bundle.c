// SPDX-License-Identifier: MIT
/*
 * Whether the bundle can be believed. It comes from outside: no field is used before it has been
 * checked, not even to find the next field. Sums cannot wrap, because each term is compared with
 * the bytes that are left.
 */
#include "bundle.h"

#include <stdarg.h>

#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "platform/qemu_virt.h"

#define BELOW_BUNDLE ((u64)PLAT_BUNDLE_BASE - PLAT_RAM_BASE)
#define METADATA_BYTES_MAX (sizeof(struct bundle_header) + VM_MAX * sizeof(struct bundle_vm))
#define MACHINE_MEMORY_MAX GIB(255) /* QEMU's high devices begin above */
#define PAYLOAD_ALIGN 4096
#define VM_MEMORY_ALIGN MIB(2)

static char problem_text[160];

static int __attribute__((format(printf, 1, 2))) reject(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(problem_text, sizeof(problem_text), fmt, args);
	va_end(args);
	return -EINVAL;
}

static u32 metadata_crc(const struct bundle_header *bundle)
{
	struct bundle_header header = *bundle;

	header.crc32 = 0;
	return crc32_update(crc32_update(0, &header, sizeof(header)), bundle_vms(bundle),
			    bundle->vm_count * sizeof(struct bundle_vm));
}

static u64 metadata_bytes(const struct bundle_header *bundle)
{
	return sizeof(*bundle) + bundle->vm_count * sizeof(struct bundle_vm);
}

static int check_identity(const struct bundle_header *bundle)
{
	if (!bundle->magic)
		return reject("no bundle at 0x%x: start with `make run`", PLAT_BUNDLE_BASE);
	if (bundle->magic != BUNDLE_MAGIC)
		return reject("what lies at 0x%x is not a bundle (it begins with 0x%016lx)",
			      PLAT_BUNDLE_BASE, bundle->magic);
	if (bundle->version != BUNDLE_VERSION)
		return reject("the bundle has version %u, this build reads version %u",
			      bundle->version, BUNDLE_VERSION);
	if (bundle->vm_count < 1 || bundle->vm_count > VM_MAX)
		return reject("the bundle has %u VMs, allowed are 1 to %u", bundle->vm_count,
			      VM_MAX);
	if (bundle->crc32 != metadata_crc(bundle))
		return reject("the bundle is damaged: CRC 0x%08x, expected 0x%08x",
			      metadata_crc(bundle), bundle->crc32);
	return 0;
}

static int check_memory(u64 memory_bytes)
{
	if (!memory_bytes)
		return reject("the boot loader gave no device tree (x0) with memory at 0x%x",
			      PLAT_RAM_BASE);
	if (memory_bytes < BELOW_BUNDLE + METADATA_BYTES_MAX)
		return reject("the machine's %lu MiB do not reach to a bundle at 0x%x",
			      memory_bytes >> 20, PLAT_BUNDLE_BASE);
	return 0;
}

static int check_machine(const struct bundle_header *bundle, u64 memory_bytes)
{
	u64 memory = bundle->machine_memory_bytes;
	u64 length = bundle->length_bytes;

	if (bundle->flags & ~(BUNDLE_SMMU | BUNDLE_SMMU_STAGE1) || bundle->reserved ||
	    bundle->reserved2)
		return reject(
			"the bundle's header asks for a feature that this build does not know");
	if (bundle->gic_version != 2 && bundle->gic_version != 3)
		return reject("the bundle is for a GICv%u, this build has drivers for 2 and 3",
			      bundle->gic_version);
	if (bundle->machine_cpus < 1 || bundle->machine_cpus > PLAT_CPU_MAX)
		return reject("the bundle is for a machine with %u CPUs, allowed are 1 to %u",
			      bundle->machine_cpus, PLAT_CPU_MAX);
	if (memory > MACHINE_MEMORY_MAX)
		return reject("the bundle is for a machine with %lu MiB, allowed are %lu",
			      memory >> 20, MACHINE_MEMORY_MAX >> 20);
	if (memory > memory_bytes)
		return reject("the bundle is for a machine with %lu MiB, this one has %lu MiB",
			      memory >> 20, memory_bytes >> 20);
	if (length < metadata_bytes(bundle) + sizeof(u64) || !is_aligned(length, sizeof(u64)))
		return reject("the bundle cannot be %lu bytes long", length);
	if (memory < BELOW_BUNDLE || length > memory - BELOW_BUNDLE)
		return reject("the bundle of %lu MiB does not fit into a machine with %lu MiB",
			      length >> 20, memory >> 20);
	if (*(const u64 *)((const u8 *)bundle + length - sizeof(u64)) != BUNDLE_MAGIC)
		return reject("the bundle is cut off: its end, %lu bytes on, is missing", length);
	return 0;
}

static bool name_is_valid(const char name[16])
{
	u32 length = 0;

	for (; length < 16 && name[length]; length++) {
		char c = name[length];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			return false;
	}
	return length > 0 && length < 16;
}

static int check_name(const struct bundle_header *bundle, u32 index)
{
	const struct bundle_vm *table = bundle_vms(bundle);

	if (!name_is_valid(table[index].name))
		return reject("VM number %u has no valid name: 1 to 15 of a-z, 0-9 and -", index);
	for (u32 i = 0; i < index; i++) {
		if (!strcmp(table[i].name, table[index].name))
			return reject("two VMs are called %s", table[index].name);
	}
	return 0;
}

static int check_segment(const struct bundle_header *bundle, const struct bundle_vm *vm, u32 index)
{
	const struct bundle_segment *segment = &vm->segments[index];
	u64 payload_end = bundle->length_bytes - sizeof(u64);

	if (!is_aligned(segment->file_offset, PAYLOAD_ALIGN))
		return reject("VM %s: segment %u is not page-aligned in the bundle", vm->name,
			      index);
	if (segment->file_offset < metadata_bytes(bundle) || segment->file_offset > payload_end ||
	    segment->size_bytes > payload_end - segment->file_offset)
		return reject("VM %s: segment %u lies outside the bundle", vm->name, index);
	if (segment->ram_offset > vm->memory_bytes ||
	    segment->size_bytes > vm->memory_bytes - segment->ram_offset)
		return reject("VM %s: segment %u does not fit into the VM's memory", vm->name,
			      index);
	for (u32 i = 0; i < index; i++) {
		const struct bundle_segment *other = &vm->segments[i];

		if (segment->ram_offset < other->ram_offset + other->size_bytes &&
		    other->ram_offset < segment->ram_offset + segment->size_bytes)
			return reject("VM %s: segments %u and %u overlap", vm->name, i, index);
	}
	return 0;
}

static bool owns_device(const struct bundle_vm *vm, u32 count, u16 device)
{
	for (u32 i = 0; i < count; i++) {
		if (vm->devices[i] == device)
			return true;
	}
	return false;
}

/* The device_count of the VMs before @vm has been checked. */
static int check_devices(const struct bundle_header *bundle, const struct bundle_vm *vm)
{
	if (vm->device_count > BUNDLE_DEVICE_MAX)
		return reject("VM %s has %u devices, allowed are %u", vm->name, vm->device_count,
			      BUNDLE_DEVICE_MAX);
	if (vm->device_count && !(bundle->flags & BUNDLE_SMMU))
		return reject("VM %s has a device, but the machine has no SMMU", vm->name);
	for (u32 i = 0; i < vm->device_count; i++) {
		u16 device = vm->devices[i];

		if (device >> 8)
			return reject("VM %s: its device 0x%x is not on bus 0", vm->name, device);
		for (const struct bundle_vm *other = bundle_vms(bundle); other <= vm; other++) {
			if (owns_device(other, other == vm ? i : other->device_count, device))
				return reject("VM %s: its device 0x%x belongs to %s already",
					      vm->name, device, other->name);
		}
	}
	return 0;
}

/* A vCPU that could run on no CPU would wait for ever. */
static int check_pin(const struct bundle_header *bundle, const struct bundle_vm *vm)
{
	for (u32 i = 0; i < vm->cpus; i++) {
		if (!vm->pin[i])
			return reject("VM %s: its vCPU %u may run on no CPU", vm->name, i);
		if (vm->pin[i] >> bundle->machine_cpus)
			return reject("VM %s: its vCPU %u is pinned to a CPU that the machine "
				      "does not have",
				      vm->name, i);
	}
	return 0;
}

static int check_vm(const struct bundle_header *bundle, const struct bundle_vm *vm, u64 room)
{
	if (vm->flags & ~BUNDLE_VM_PAGES_4K)
		return reject("VM %s asks for a feature that this build does not know", vm->name);
	if (vm->cpus < 1 || vm->cpus > VCPU_MAX)
		return reject("VM %s has %u CPUs, allowed are 1 to %u", vm->name, vm->cpus,
			      VCPU_MAX);
	if (check_pin(bundle, vm))
		return -EINVAL;
	if (!vm->memory_bytes || !is_aligned(vm->memory_bytes, VM_MEMORY_ALIGN))
		return reject("VM %s: its memory, %lu bytes, is not a multiple of 2 MiB", vm->name,
			      vm->memory_bytes);
	if (vm->memory_bytes > room)
		return reject("VM %s wants %lu MiB, the machine has %lu MiB left", vm->name,
			      vm->memory_bytes >> 20, room >> 20);
	if (vm->segment_count > BUNDLE_SEGMENT_MAX)
		return reject("VM %s has %u segments, allowed are %u", vm->name, vm->segment_count,
			      BUNDLE_SEGMENT_MAX);
	if (vm->entry_offset >= vm->memory_bytes || !is_aligned(vm->entry_offset, 4))
		return reject("VM %s: its entry point is no address in its memory", vm->name);
	if (vm->dtb_offset != BUNDLE_NO_DTB &&
	    (vm->dtb_offset >= vm->memory_bytes || !is_aligned(vm->dtb_offset, 8)))
		return reject("VM %s: its device tree is not in its memory", vm->name);
	for (u32 i = 0; i < vm->segment_count; i++) {
		int error = check_segment(bundle, vm, i);

		if (error)
			return error;
	}
	return check_devices(bundle, vm);
}

static int check_all(const struct bundle_header *bundle, u64 memory_bytes)
{
	const struct bundle_vm *table = bundle_vms(bundle);
	int error = check_memory(memory_bytes);

	if (!error)
		error = check_identity(bundle);
	if (!error)
		error = check_machine(bundle, memory_bytes);
	if (error)
		return error;

	u64 room = bundle->machine_memory_bytes - BELOW_BUNDLE - bundle->length_bytes;

	for (u32 i = 0; i < bundle->vm_count; i++) {
		error = check_name(bundle, i);
		if (!error)
			error = check_vm(bundle, &table[i], room);
		if (error)
			return error;
		room -= table[i].memory_bytes;
	}
	return 0;
}

int bundle_check(const struct bundle_header *bundle, u64 memory_bytes, const char **problem)
{
	int error = check_all(bundle, memory_bytes);

	*problem = error ? problem_text : NULL;
	return error;
}
