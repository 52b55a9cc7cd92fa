// SPDX-License-Identifier: MIT
/*
 * VMIDs that change hands, with real threads, under ThreadSanitizer.
 *
 * Four threads are CPUs that run seven VMs, with five VMIDs. A VM that is loaded has a VMID for as
 * long as it runs, and nobody else runs under it meanwhile. Each CPU has a TLB: what it holds under a
 * VMID is of the VM that runs under it. A fifth thread ends lives of VMs that run nowhere.
 * arrive() is what layer 2 does (stage2_vcpu_arrive()), which a host cannot compile.
 */
#include <pthread.h>

#include "check.h"
#include "lib/types.h"

#define CPUS 4
#define VMS 7
#define VMIDS 5
#define ROUNDS 60000

/* ID_AA64MMFR1_EL1: 16-bit VMIDs; the bundle says that fewer are to be used. */
#define read_sysreg(name) 0x20UL

/* What vmid.c takes for the bundle. */
static struct {
	u64 bytes[8];
} bundle;

static u64 bundle_address(void)
{
	return (u64)&bundle;
}

#include "platform/qemu_virt.h"
#undef PLAT_BUNDLE_BASE
#define PLAT_BUNDLE_BASE bundle_address()

#include "vmid.c"

struct cpu cpus[PLAT_CPU_MAX];
struct vm *vms[VM_MAX];
struct vm *vms[VM_MAX];
u32 vm_count = VMS;
struct spinlock vmid_lock = {.name = "VMID"};

static struct vm machine_vms[VMS];
static struct vcpu vcpus[VMS];
static u64 users[VMIDS + 1]; /* VM << 32 | how many CPUs run it under this VMID */
static u32 tlb[CPUS][VMIDS + 1]; /* VM + 1 */
static u32 is_ending[VMS]; /* a new life begins: nobody may load the VM */
static u32 loads[VMS]; /* how many CPUs have loaded it, or are about to */
static u32 is_over, generations, lives;
static __thread u64 random_state;

static u64 draw(u64 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1du % below;
}

/* ---- what the kit and layer 2 would be ---- */

/* ThreadSanitizer does not know fences; a read-modify-write of one word is one for the host, too. */
void dmb_ish(void)
{
	static u32 word;

	__atomic_fetch_add(&word, 1, __ATOMIC_ACQ_REL);
}

void dsb_ish(void)
{
}

void isb(void)
{
}

void ic_ialluis(void)
{
}

void tlbi_alle1is(void)
{
	for (u32 cpu = 0; cpu < CPUS; cpu++)
		for (u32 vmid = 1; vmid <= VMIDS; vmid++)
			__atomic_store_n(&tlb[cpu][vmid], 0, __ATOMIC_RELAXED);
	generations++;
}

static void tlbi_vmid(u32 vmid)
{
	for (u32 cpu = 0; vmid && cpu < CPUS; cpu++)
		__atomic_store_n(&tlb[cpu][vmid], 0, __ATOMIC_RELAXED);
}

void stage2_set_vmid(struct vm *vm, u32 vmid)
{
	CHECK(spin_is_locked(&vmid_lock));
	for (u32 i = 0; vmid && i < VMS; i++)
		CHECK(vms[i] == vm || vms[i]->vmid != vmid);
	vm->vmid = vmid;
	__atomic_store_n(&vm->stage2.vttbr, (u64)vmid << 48, __ATOMIC_RELAXED);
}

static u32 arrive(struct cpu *cpu, struct vcpu *vcpu)
{
	u32 vmid;

	__atomic_store_n(&cpu->vcpu, vcpu, __ATOMIC_RELEASE);
	dmb_ish();
	vmid = (u32)(__atomic_load_n(&vcpu->vm->stage2.vttbr, __ATOMIC_RELAXED) >> 48);
	if (vmid)
		return vmid;
	spin_lock(&vmid_lock);
	if (!vcpu->vm->vmid)
		stage2_set_vmid(vcpu->vm, vmid_new());
	vmid = vcpu->vm->vmid;
	spin_unlock(&vmid_lock);
	return vmid;
}

/* ---- who does what ---- */

static void use_begin(u32 vm, u32 vmid)
{
	u64 old = __atomic_load_n(&users[vmid], __ATOMIC_RELAXED), new;

	do {
		CHECK(!(u32)old || old >> 32 == vm);
		new = (u64)vm << 32 | ((u32)old + 1);
	} while (!__atomic_compare_exchange_n(&users[vmid], &old, new, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
}

static void run_guest(struct cpu *cpu, u32 vm)
{
	u32 vmid = arrive(cpu, &vcpus[vm]);

	CHECK(vmid >= 1 && vmid <= VMIDS);
	use_begin(vm, vmid);
	for (u64 n = draw(4); n; n--) {
		u32 nobody = 0;

		if (!__atomic_compare_exchange_n(&tlb[cpu->index][vmid], &nobody, vm + 1, false,
						 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			CHECK(nobody == vm + 1);
		yield_sometimes();
	}
	__atomic_fetch_sub(&users[vmid], 1, __ATOMIC_RELAXED);
	__atomic_store_n(&cpu->vcpu, NULL, __ATOMIC_RELEASE);
}

static void *cpu_main(void *context)
{
	struct cpu *cpu = context;

	random_state = (check_seed() + cpu->index) * 0x9e3779b97f4a7c15u | 1;
	for (u32 round = 0; round < ROUNDS; round++) {
		u32 vm = (u32)draw(VMS);

		__atomic_fetch_add(&loads[vm], 1, __ATOMIC_ACQ_REL);
		if (!__atomic_fetch_or(&is_ending[vm], 0, __ATOMIC_ACQ_REL))
			run_guest(cpu, vm);
		__atomic_fetch_sub(&loads[vm], 1, __ATOMIC_ACQ_REL);
	}
	return NULL;
}

/* As a VM that is reset: when it runs nowhere any more all of it is invalidated, and its VMID is gone. */
static void *end_lives(void *context)
{
	random_state = check_seed() | 1;
	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
		u32 vm = (u32)draw(VMS);

		__atomic_fetch_or(&is_ending[vm], 1, __ATOMIC_ACQ_REL);
		if (!__atomic_fetch_add(&loads[vm], 0, __ATOMIC_ACQ_REL)) {
			spin_lock(&vmid_lock);
			tlbi_vmid(vms[vm]->vmid);
			stage2_set_vmid(vms[vm], VMID_NONE);
			spin_unlock(&vmid_lock);
			lives++;
		}
		__atomic_fetch_and(&is_ending[vm], 0, __ATOMIC_ACQ_REL);
		sched_yield();
	}
	return NULL;
}

int main(void)
{
	struct bundle_header *header = (struct bundle_header *)&bundle;
	pthread_t threads[CPUS + 1];

	header->vmids = 2;
	header->machine_cpus = CPUS;
	CHECK(vmid_count(header) == CPUS);
	header->vmids = 0;
	CHECK(vmid_count(header) == 65535);
	header->vmids = VMIDS;
	for (u32 i = 0; i < VMS; i++) {
		vms[i] = &machine_vms[i];
		vms[i]->index = i;
		vcpus[i].vm = vms[i];
	}
	CHECK(!pthread_create(&threads[CPUS], NULL, end_lives, NULL));
	for (u32 i = 0; i < CPUS; i++) {
		cpus[i].index = i;
		CHECK(!pthread_create(&threads[i], NULL, cpu_main, &cpus[i]));
	}
	for (u32 i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	pthread_join(threads[CPUS], NULL);
	printf("%u generations, %u lives: ", generations, lives);
	CHECK(generations > 100 && lives > 100);
	return check_finish();
}
