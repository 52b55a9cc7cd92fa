// SPDX-License-Identifier: MIT
/*
 * The bundle parser: valid bundles pass, everything else is refused with a sentence of its own, and
 * nothing outside the bundle is read (the buffer has its exact size; AddressSanitizer watches).
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "bundle.h"
#include "check.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "platform/qemu_virt.h"

#define PAYLOAD 8192UL
#define VALID_BYTES (3 * 4096 + PAYLOAD + 8)
#define VALID_VMS 3
#define MACHINE_BYTES MIB(512)
#define ROOM (MACHINE_BYTES - (PLAT_BUNDLE_BASE - PLAT_RAM_BASE) - VALID_BYTES)

static u8 *image; /* malloc'ed, VALID_BYTES */
static u64 machine_bytes = GIB(1); /* RAM that there is */

static struct bundle_header *header(void)
{
	return (struct bundle_header *)image;
}

static struct bundle_vm *vm(unsigned index)
{
	return (struct bundle_vm *)(header() + 1) + index;
}

static void seal(void)
{
	header()->crc32 = 0;
	header()->crc32 = crc32_update(0, image,
				       sizeof(struct bundle_header) +
					       header()->vm_count * sizeof(struct bundle_vm));
}

static void make_valid(void)
{
	static const char *const names[VALID_VMS] = {"alpha", "beta-2", "a23456789012345"};
	u64 magic = BUNDLE_MAGIC;

	memset(image, 0, VALID_BYTES);
	*header() = (struct bundle_header){
		.magic = BUNDLE_MAGIC,
		.version = BUNDLE_VERSION,
		.vm_count = VALID_VMS,
		.length_bytes = VALID_BYTES,
		.gic_version = 3,
		.machine_memory_bytes = MACHINE_BYTES,
		.machine_cpus = 4,
		.flags = BUNDLE_SMMU,
	};
	for (unsigned i = 0; i < VALID_VMS; i++) {
		strcpy(vm(i)->name, names[i]);
		vm(i)->cpus = i + 1;
		memset(vm(i)->pin, 0xf >> i, i + 1);
		vm(i)->memory_bytes = MIB(64);
		vm(i)->entry_offset = 0x80000;
		vm(i)->dtb_offset = i ? MIB(63) : BUNDLE_NO_DTB;
		vm(i)->segment_count = 2;
		/* Equal payloads are stored once: the segments of all VMs share the file's. */
		vm(i)->segments[0] = (struct bundle_segment){0x80000, 3 * 4096, PAYLOAD, 0, 0};
		vm(i)->segments[1] = (struct bundle_segment){MIB(63), 4 * 4096, 4096, 0, 0};
		vm(i)->device_count = i;
		vm(i)->devices[0] = 0x10 + i;
		vm(i)->devices[1] = 0xff;
	}
	memcpy(image + VALID_BYTES - 8, &magic, 8);
	seal();
}

static bool accepted(void)
{
	const char *problem = "unset";
	int result = bundle_check(header(), machine_bytes, &problem);

	if (result == 0) {
		CHECK(!problem);
		return true;
	}
	CHECK(result == -EINVAL && problem && strlen(problem) > 10);
	CHECK(!strchr(problem, '\n'));
	return false;
}

static const char *problem_of_sealed(void)
{
	const char *problem;

	seal();
	CHECK(bundle_check(header(), machine_bytes, &problem) == -EINVAL);
	return problem;
}

/* Make one change to a valid bundle, fix the CRC: refused with a text that contains @what. */
#define REFUSED(what, change)                                                                      \
	do {                                                                                       \
		make_valid();                                                                      \
		change;                                                                            \
		const char *problem = problem_of_sealed();                                         \
		if (!strstr(problem, what))                                                        \
			fprintf(stderr, "expected \"%s\", observed \"%s\"\n", what, problem);      \
		CHECK(strstr(problem, what));                                                      \
	} while (0)

/* Make one change to a valid bundle, fix the CRC: still accepted. */
#define ACCEPTED(change)                                                                           \
	do {                                                                                       \
		make_valid();                                                                      \
		change;                                                                            \
		seal();                                                                            \
		CHECK(accepted());                                                                 \
	} while (0)

static void test_crc(void)
{
	CHECK(crc32_update(0, "123456789", 9) == 0xcbf43926);
	CHECK(crc32_update(crc32_update(0, "1234", 4), "56789", 5) == 0xcbf43926);
	CHECK(crc32_update(0, "", 0) == 0);
}

static void test_header(void)
{
	make_valid();
	CHECK(accepted());
	REFUSED("no bundle at 0x4a000000: start with `make run`", header()->magic = 0);
	REFUSED("not a bundle", header()->magic ^= 1);
	REFUSED("version 1", header()->version = BUNDLE_VERSION - 1);
	REFUSED("version 3", header()->version = BUNDLE_VERSION + 1);
	REFUSED("version 0", header()->version = 0);
	REFUSED("0 VMs", header()->vm_count = 0);
	/* Too many is refused before the table is read; seal() must not read it either. */
	make_valid();
	header()->vm_count = VM_MAX + 1;
	CHECK(!accepted());
	header()->vm_count = ~0u;
	CHECK(!accepted());
	REFUSED("feature", header()->flags = 4);
	REFUSED("feature", header()->reserved2 = 1);
	REFUSED("GICv4", header()->gic_version = 4);
	REFUSED("0 CPUs", header()->machine_cpus = 0);
	REFUSED("9 CPUs", header()->machine_cpus = PLAT_CPU_MAX + 1);
	REFUSED("MiB", header()->machine_memory_bytes = ~0UL);
	REFUSED("is for a machine with 1025 MiB, this one has 1024 MiB",
		header()->machine_memory_bytes = MIB(1025));
	REFUSED("does not fit into a machine", header()->machine_memory_bytes = MIB(160));
	REFUSED("does not fit into a machine", header()->machine_memory_bytes = 0);
	REFUSED("does not fit into a machine", header()->length_bytes = ~7UL);
	REFUSED("bytes long", header()->length_bytes = VALID_BYTES - 1);
	REFUSED("bytes long", header()->length_bytes = 0);
	REFUSED("bytes long", header()->length_bytes = 64 + VALID_VMS * 256);
	REFUSED("cut off", header()->length_bytes = VALID_BYTES - 8);
	REFUSED("cut off", image[VALID_BYTES - 1] ^= 0x80);
	make_valid();
	header()->crc32 ^= 1;
	CHECK(!accepted());
	ACCEPTED(header()->gic_version = 2);
	ACCEPTED(header()->machine_cpus = PLAT_CPU_MAX);
}

/* Where there is no RAM, nothing of the bundle may be read: its memory is made unreadable. */
static void test_too_little_memory(void)
{
	static const u64 too_little[] = {0, MIB(128), MIB(160), MIB(160) + 4096};
	u8 *kept = image;

	image = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(image != MAP_FAILED);
	for (unsigned i = 0; i < ARRAY_SIZE(too_little); i++) {
		machine_bytes = too_little[i];
		CHECK(!accepted());
	}
	munmap(image, 4096);
	image = kept;
	machine_bytes = MACHINE_BYTES;
	ACCEPTED(header()->machine_memory_bytes = MACHINE_BYTES);
	REFUSED("this one has 512 MiB", header()->machine_memory_bytes = MACHINE_BYTES + 1);
	machine_bytes = MACHINE_BYTES - 1;
	REFUSED("this one has 511 MiB", header()->machine_memory_bytes = MACHINE_BYTES);
	machine_bytes = GIB(1);
}

static void test_vm(void)
{
	REFUSED("VM number 1 has no valid name", vm(1)->name[0] = 0);
	REFUSED("VM number 1 has no valid name", vm(1)->name[2] = 'A');
	REFUSED("VM number 1 has no valid name", vm(1)->name[2] = '\033');
	REFUSED("VM number 1 has no valid name", memset(vm(1)->name, 'x', 16));
	REFUSED("two VMs are called alpha", strcpy(vm(2)->name, "alpha"));
	REFUSED("VM beta-2 has 0 CPUs", vm(1)->cpus = 0);
	REFUSED("VM beta-2 has 9 CPUs", vm(1)->cpus = VCPU_MAX + 1);
	REFUSED("VM beta-2: its memory", vm(1)->memory_bytes = 0);
	REFUSED("VM beta-2: its memory", vm(1)->memory_bytes = MIB(63));
	REFUSED("VM beta-2: its memory", vm(1)->memory_bytes -= 1);
	REFUSED("VM beta-2 wants", vm(1)->memory_bytes = MACHINE_BYTES);
	REFUSED("VM beta-2 wants", vm(1)->memory_bytes = -MIB(2));
	REFUSED("VM a23456789012345 wants",
		vm(2)->memory_bytes = (ROOM - MIB(128)) / MIB(2) * MIB(2) + MIB(2));
	ACCEPTED(vm(2)->memory_bytes = (ROOM - MIB(128)) / MIB(2) * MIB(2));
	REFUSED("VM beta-2 asks for a feature", vm(1)->flags = 2);
	REFUSED("VM beta-2: its entry point", vm(1)->entry_offset = MIB(64));
	REFUSED("VM beta-2: its entry point", vm(1)->entry_offset = 2);
	REFUSED("VM beta-2: its device tree", vm(1)->dtb_offset = MIB(64));
	REFUSED("VM beta-2: its device tree", vm(1)->dtb_offset = BUNDLE_NO_DTB - 7);
	ACCEPTED(vm(1)->dtb_offset = BUNDLE_NO_DTB);
	ACCEPTED(vm(1)->entry_offset = MIB(64) - 4);
	ACCEPTED(vm(1)->segment_count = 0);
	REFUSED("VM beta-2 has 5 segments", vm(1)->segment_count = 5);
	REFUSED("VM beta-2 has 4294967295 segments", vm(1)->segment_count = ~0u);
}

static void test_pinning(void)
{
	REFUSED("VM beta-2: its vCPU 1 may run on no CPU", vm(1)->pin[1] = 0);
	REFUSED("VM beta-2: its vCPU 0 is pinned to a CPU that the machine does not have",
		vm(1)->pin[0] = 0x11);
	REFUSED("VM alpha: its vCPU 0 is pinned to a CPU that the machine does not have",
		header()->machine_cpus = 3);
	ACCEPTED(vm(1)->pin[0] = 0x8);
	ACCEPTED(header()->machine_cpus = PLAT_CPU_MAX; memset(vm(2)->pin, 0xff, 3));
	/* What lies behind the VM's vCPUs is not looked at. */
	ACCEPTED(vm(1)->pin[2] = 0xff);
}

static void test_segments(void)
{
	struct bundle_segment *s = &vm(1)->segments[1];

	REFUSED("VM beta-2: segment 1 is not page-aligned", s->file_offset += 8);
	REFUSED("VM beta-2: segment 1 lies outside the bundle", s->file_offset = 0);
	REFUSED("VM beta-2: segment 1 lies outside the bundle", s->file_offset = 5 * 4096);
	REFUSED("VM beta-2: segment 1 lies outside the bundle", s->file_offset = ~4095UL);
	REFUSED("VM beta-2: segment 1 lies outside the bundle", s->size_bytes = 4097);
	REFUSED("VM beta-2: segment 1 lies outside the bundle", s->size_bytes = ~0UL);
	REFUSED("VM beta-2: segment 1 lies outside the bundle", s->size_bytes = -(4UL * 4096));
	REFUSED("VM beta-2: segment 1 does not fit", s->ram_offset = MIB(64));
	REFUSED("VM beta-2: segment 1 does not fit", s->ram_offset = MIB(64) - 4095);
	REFUSED("VM beta-2: segment 1 does not fit", s->ram_offset = -4096UL);
	REFUSED("VM beta-2: segments 0 and 1 overlap", s->ram_offset = 0x80000);
	REFUSED("VM beta-2: segments 0 and 1 overlap", s->ram_offset = 0x80000 + PAYLOAD - 1);
	REFUSED("VM beta-2: segments 0 and 1 overlap", s->ram_offset = 0x80000 - 4095);
	ACCEPTED(s->ram_offset = 0x80000 + PAYLOAD);
	ACCEPTED(s->ram_offset = 0x80000 - 4096);
	ACCEPTED(s->ram_offset = MIB(64) - 4096);
	ACCEPTED(s->size_bytes = 0);
	/* What lies behind segment_count is not looked at. */
	ACCEPTED(vm(1)->segments[2].file_offset = 1);
}

static void test_devices(void)
{
	REFUSED("VM beta-2 has 17 devices", vm(1)->device_count = BUNDLE_DEVICE_MAX + 1);
	REFUSED("VM beta-2 has 4294967295 devices", vm(1)->device_count = ~0u);
	REFUSED("VM beta-2 has a device, but the machine has no SMMU", header()->flags = 0);
	REFUSED("VM beta-2: its device 0x100 is not on bus 0", vm(1)->devices[0] = 0x100);
	REFUSED("VM a23456789012345: its device 0x11 belongs to beta-2 already",
		vm(2)->devices[1] = 0x11);
	REFUSED("VM a23456789012345: its device 0xff belongs to a23456789012345 already",
		vm(2)->devices[0] = 0xff);
	ACCEPTED(header()->flags = BUNDLE_SMMU | BUNDLE_SMMU_STAGE1);
	/* What lies behind device_count is not looked at. */
	ACCEPTED(vm(1)->devices[1] = 0x10);
}

static void test_every_byte_counts(void)
{
	u64 metadata = sizeof(struct bundle_header) + VALID_VMS * sizeof(struct bundle_vm);

	for (u64 at = 0; at < metadata; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			make_valid();
			image[at] ^= 1 << bit;
			CHECK(!accepted());
		}
		make_valid();
		image[at] += 1 + check_below(255);
		CHECK(!accepted());
	}
	for (u64 at = VALID_BYTES - 8; at < VALID_BYTES; at++) {
		make_valid();
		image[at] += 1 + check_below(255);
		CHECK(!accepted());
	}
}

static void test_truncation(void)
{
	for (u64 kept = 0; kept < VALID_BYTES; kept += 1 + check_below(64)) {
		make_valid();
		memset(image + kept, 0,
		       VALID_BYTES - kept); /* RAM is zero where nothing was loaded */
		CHECK(!accepted());
	}
	make_valid();
	memset(image + VALID_BYTES - 1, 0, 1);
	CHECK(!accepted());
}

/* What the header file promises of an accepted bundle, computed without its code. */
static bool promises_hold(u64 bundle_bytes)
{
	__uint128_t sum = 0;

	for (unsigned i = 0; i < header()->vm_count; i++) {
		const struct bundle_vm *v = vm(i);

		if (v->segment_count > BUNDLE_SEGMENT_MAX || v->entry_offset >= v->memory_bytes)
			return false;
		for (unsigned k = 0; k < v->segment_count; k++) {
			const struct bundle_segment *s = &v->segments[k];

			if ((__uint128_t)s->file_offset + s->size_bytes > bundle_bytes ||
			    (__uint128_t)s->ram_offset + s->size_bytes > v->memory_bytes)
				return false;
		}
		sum += v->memory_bytes;
	}
	return sum + bundle_bytes + PLAT_BUNDLE_BASE - PLAT_RAM_BASE <=
	       header()->machine_memory_bytes;
}

/*
 * An attacker can compute a CRC. Random damage below a right one: the whole of the largest machine
 * is mapped behind the bundle, so reading anywhere in the machine's memory is fine, beyond is not.
 */
static void test_damage_under_a_right_crc(void)
{
	static const u64 tempting[] = {0,	1,	   8,		4096, MIB(2),
				       MIB(64), MIB(512),  GIB(255),	~0UL, ~7UL,
				       ~4095UL, 1UL << 63, BUNDLE_MAGIC};
	u64 metadata = sizeof(struct bundle_header) + VALID_VMS * sizeof(struct bundle_vm);
	u64 span = GIB(256);
	u8 *machine = mmap(NULL, span, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u8 *small = image;
	unsigned good = 0;

	CHECK(machine != MAP_FAILED);
	image = machine;
	machine_bytes = span;
	for (unsigned round = 0; round < 100000; round++) {
		make_valid();
		for (u64 n = check_below(3) + 1; n > 0; n--) {
			u64 at = check_below(metadata / 8) * 8;
			u64 value = tempting[check_below(ARRAY_SIZE(tempting))] +
				    (check_below(2) ? 0 : check_below(17) - 8);

			if (check_below(2))
				memcpy(image + at, &value, 8);
			else
				memcpy(image + at + 4 * check_below(2), &value, 4);
		}
		if (header()->vm_count > VM_MAX) {
			CHECK(!accepted());
			continue;
		}
		seal();
		if (accepted()) {
			CHECK(promises_hold(header()->length_bytes));
			good++;
		}
	}
	CHECK(good > 100); /* else the rounds above say nothing */
	image = small;
	machine_bytes = GIB(1);
	munmap(machine, span);
}

static void test_most_vms(void)
{
	u64 records = sizeof(struct bundle_header) + VM_MAX * sizeof(struct bundle_vm);
	u64 behind = align_up(records, 4096);

	make_valid();
	header()->vm_count = VM_MAX;
	for (unsigned i = 0; i < VM_MAX; i++) {
		*vm(i) = *vm(1);
		snprintf(vm(i)->name, sizeof(vm(i)->name), "vm%u", i);
		vm(i)->memory_bytes = MIB(2);
		vm(i)->dtb_offset = BUNDLE_NO_DTB;
		vm(i)->segment_count = 1;
		vm(i)->segments[0].file_offset = behind;
		vm(i)->segments[0].size_bytes = VALID_BYTES - 8 - behind;
		vm(i)->devices[0] = (u16)i;
	}
	seal();
	CHECK(accepted());
	memcpy(vm(VM_MAX - 1)->name, "vm0", 4);
	CHECK(strstr(problem_of_sealed(), "two VMs are called vm0"));
}

int main(void)
{
	image = malloc(VALID_BYTES);
	test_crc();
	test_header();
	test_too_little_memory();
	test_vm();
	test_pinning();
	test_segments();
	test_devices();
	test_every_byte_counts();
	test_truncation();
	test_damage_under_a_right_crc();
	test_most_vms();
	free(image);
	return check_finish();
}
