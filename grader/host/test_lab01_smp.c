// SPDX-License-Identifier: MIT
/*
 * Run queues, wake-up, eviction, start and reset of vCPUs with real threads, under ThreadSanitizer.
 *
 * Four threads are CPUs and run the code that a CPU runs, vcpu_prepare_entry(). Guests do at random
 * what guests do: sleep, wake each other, yield, switch vCPUs on and off, reset their VM. A fifth
 * thread is a CPU that never gets a vCPU: it wakes them as a device would, resets and stops VMs.
 * Layer 6 is played by hooks that place a woken vCPU anywhere, and steal, or it is there
 * (test_lab06_smp.c). What must hold:
 *  - a vCPU is loaded on one CPU at a time, and what it left in memory is there when it comes back
 *  - who was sent a message runs, unless its VM ended; no CPU sleeps beside its queue
 *  - a VM's memory is there while its vCPUs run, released once, when all have left
 * The registers of a vCPU and the memory of a VM are plain data: an access that the protocol does
 * not order is a data race, which ThreadSanitizer reports whether or not it happened.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "guest_memory.h"
#include "internal.h"
#include "mailbox.h"
#include "page_alloc.h"
#include "power.h"

#define CPUS 4
#define OUTSIDE CPUS /* the CPU of the thread without guests */
#define VMS 4
#define VCPUS 3
#ifndef PIN_0
#define PIN_0 0xf
#define PIN_1 0xf
#define PIN_2 0xf
#endif
#define SLICE 100000 /* ns */
#define PIECES 3 /* of a VM's memory */

struct cpu cpus[PLAT_CPU_MAX];
struct vm *vms[VM_MAX];
u32 vm_count;

static unsigned long commands = 5000; /* STRATA_COMMANDS; of the fifth thread: then all VMs end */
static unsigned long late_seconds = 30; /* STRATA_LATE; a loaded machine is slow */
static __thread struct cpu *here;
static __thread u64 random_state;
static sem_t kicks[CPUS + 1];
static u32 is_over; /* the machine is off */
static u32 wakes, resets, starts, steals, moves;

static struct guest {
	struct spinlock lock; /* as vgic.lock, for vcpu_kick() */
	u32 message; /* 1: sent, and not yet taken */
	u32 loaded_on; /* CPU + 1 */
	u64 registers, saved; /* plain: of the CPU, and in memory */
	struct cpu *last; /* plain: where it was loaded last */
} guests[VMS][VCPUS];

static struct {
	u32 exists;
	u64 content; /* plain: what vCPUs read and a release destroys */
	u32 pieces;
	u32 filled;
} memories[VMS];

static struct guest *guest_of(const struct vcpu *vcpu)
{
	return &guests[vcpu->vm->index][vcpu->index];
}

struct cpu *this_cpu(void)
{
	return here;
}

static u64 draw(u64 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1du % below;
}

static void count(u32 *what)
{
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

u64 counter_read(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

/* The time slices of vm_reap_slice() are short, for more of them. */
u64 counter_frequency(void)
{
	return 20000000;
}

/* ---- the machine ---- */

static void kick(struct cpu *cpu)
{
	sem_post(&kicks[cpu->index]);
}

static void leave_if_over(void)
{
	if (__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
		pthread_exit(NULL);
}

void wait_for_interrupt(void)
{
	struct timespec late;

	clock_gettime(CLOCK_REALTIME, &late);
	late.tv_sec += (time_t)late_seconds;
	while (sem_timedwait(&kicks[here->index], &late)) {
		CHECK(errno == EINTR || errno == ETIMEDOUT);
		if (errno != ETIMEDOUT)
			continue;
		CHECK(__atomic_load_n(&here->runnable_count, __ATOMIC_RELAXED) == 0);
		break;
	}
	leave_if_over();
}

static void take_kicks(struct cpu *cpu)
{
	while (!sem_trywait(&kicks[cpu->index]))
		;
}

void machine_off(unsigned status)
{
	CHECK(status == 0);
	for (u32 i = 0; i < VMS; i++)
		CHECK(vms[i]->state == VM_POWERED_OFF && vms[i]->phase == VM_GONE);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	for (u32 i = 0; i < CPUS; i++)
		kick(&cpus[i]);
	pthread_exit(NULL);
}

void config_error(const char *fmt, ...)
{
	CHECK(!"a VM was created");
	abort();
}

void console_printf(const char *fmt, ...)
{
}

void console_vm_flush(struct vm *vm)
{
}

pa_t page_alloc_zeroed(unsigned order)
{
	return PA((u64)calloc(1, PAGE_SIZE << order));
}

/* ---- layers ---- */

static void load(struct vcpu *vcpu)
{
	struct guest *guest = guest_of(vcpu);

	CHECK(__atomic_exchange_n(&guest->loaded_on, here->index + 1, __ATOMIC_RELAXED) == 0);
	CHECK(vcpu->vm->config->pin[vcpu->index] >> here->index & 1);
	if (guest->last && guest->last != here)
		count(&moves);
	guest->last = here;
	guest->registers = guest->saved;
}

static void save(struct vcpu *vcpu)
{
	struct guest *guest = guest_of(vcpu);

	guest->saved = guest->registers;
	yield_sometimes();
	CHECK(__atomic_exchange_n(&guest->loaded_on, 0, __ATOMIC_RELAXED) == here->index + 1);
}

static void reset(struct vcpu *vcpu)
{
	struct guest *guest = guest_of(vcpu);

	CHECK(__atomic_load_n(&guest->loaded_on, __ATOMIC_RELAXED) == 0);
	CHECK(memories[vcpu->vm->index].filled == PIECES);
	guest->saved = 0;
	__atomic_store_n(&guest->message, 0, __ATOMIC_RELAXED);
}

static void enter(struct vcpu *vcpu)
{
	CHECK(here->vcpu == vcpu);
	here->slice_end = counter_read() + SLICE;
}

static bool has_message(struct vcpu *vcpu)
{
	bool has;

	spin_lock(&guest_of(vcpu)->lock);
	has = __atomic_load_n(&guest_of(vcpu)->message, __ATOMIC_ACQUIRE);
	spin_unlock(&guest_of(vcpu)->lock);
	return has;
}

static void vcpu_off(struct vcpu *vcpu)
{
	CHECK(here->vcpu == NULL);
}

static void layer_6_reset(struct vcpu *vcpu)
{
}

#ifndef WITH_LAYER_6
/* Layer 6 comes last when a vCPU is loaded, and first when it is saved. */
static void layer_6_load(struct vcpu *vcpu)
{
	CHECK(guest_of(vcpu)->loaded_on == here->index + 1);
}

static void layer_6_save(struct vcpu *vcpu)
{
	CHECK(guest_of(vcpu)->loaded_on == here->index + 1);
}

static struct cpu *place(struct vcpu *vcpu, struct cpu *cpu)
{
	CHECK(vcpu->state == VCPU_BLOCKED || vcpu->state == VCPU_OFF);
	return &cpus[draw(CPUS)];
}

static void queued(struct vcpu *vcpu, struct cpu *cpu)
{
	CHECK(vcpu->state == VCPU_RUNNABLE && vcpu->cpu == cpu && cpu->runnable_count > 0);
	CHECK(spin_is_locked(&cpu->run_lock));
}

static void awake(struct cpu *cpu)
{
	CHECK(cpu == here);
}

/* The last vCPU of a VM stays where it is: some are not to be taken. */
static bool may_take(const struct vcpu *vcpu, const struct cpu *to)
{
	return vcpu->index + 1 < VCPUS;
}

static void check_layer_6(void)
{
	CHECK(steals > 0);
}

static struct vcpu *steal(struct cpu *cpu)
{
	struct cpu *from = &cpus[draw(CPUS)];
	struct vcpu *taken = from == cpu ? NULL : vcpu_steal(from, cpu, may_take);

	if (taken)
		count(&steals);
	return taken;
}

#endif

static int vm_create_hook(struct vm *vm)
{
	CHECK(memories[vm->index].exists == 1);
	return 0;
}

static void vm_destroy_hook(struct vm *vm)
{
	for (u32 i = 0; i < VCPUS; i++)
		CHECK(guests[vm->index][i].loaded_on == 0);
}

const struct layer registry_layers[] = {
	{
		.number = 1,
		.name = "all",
		.vm_create = vm_create_hook,
		.vm_destroy = vm_destroy_hook,
	},
};
const struct vcpu_hooks registry_vcpu_hooks[] = {
	{.reset = reset, .load = load, .save = save},
	{.reset = layer_6_reset, .load = layer_6_load, .save = layer_6_save},
};
HOOK(vgic_flush, NULL);
HOOK(time_slice, enter);
HOOK(vcpu_has_wakeup, has_message);
HOOK(irq, take_kicks);
HOOK(kick, kick);
HOOK(vcpu_off, vcpu_off);
#ifndef WITH_LAYER_6
HOOK(place, place);
HOOK(steal, steal);
HOOK(queued, queued);
HOOK(awake, awake);
#endif

/* A piece at a time, of a VM that is built and none of whose vCPUs has begun. */
static int fill(struct vm *vm)
{
	CHECK(memories[vm->index].exists == 1);
	if (memories[vm->index].filled == PIECES)
		return 0;
	memories[vm->index].filled++;
	return 1;
}

HOOK(vm_fill, fill);

static int memory_create(struct vm *vm)
{
	CHECK(memories[vm->index].exists == 0);
	memories[vm->index].filled = 0;
	memories[vm->index].exists = 1;
	memories[vm->index].content = 1;
	memories[vm->index].pieces = PIECES;
	return 0;
}

static bool memory_release(struct vm *vm)
{
	CHECK(memories[vm->index].exists == 1);
	memories[vm->index].content = 0;
	if (!memories[vm->index].pieces)
		return false;
	memories[vm->index].pieces--;
	return true;
}

static void memory_destroy(struct vm *vm)
{
	CHECK(memories[vm->index].exists == 1 && memories[vm->index].pieces == 0);
	memories[vm->index].exists = 0;
}

const struct guest_memory registry_memories[] = {
	{
		.create = memory_create,
		.release = memory_release,
		.destroy = memory_destroy,
	},
};

static void __attribute__((used, noinline)) define_registry_ends(void)
{
	__asm__(".globl registry_layers_end\n"
		".set registry_layers_end, registry_layers + %c0\n"
		".globl registry_vcpu_hooks_end\n"
		".set registry_vcpu_hooks_end, registry_vcpu_hooks + %c1\n"
		".globl registry_memories_end\n"
		".set registry_memories_end, registry_memories + %c2" ::"i"(
			sizeof(registry_layers)),
		"i"(sizeof(registry_vcpu_hooks)), "i"(sizeof(registry_memories)));
}

/* ---- who does what ---- */

/* One message at a time: if the wake-up for it is lost, nobody else repairs that. */
static void send(struct vcpu *vcpu)
{
	bool locks = draw(2);
	u32 none = 0;

	if (locks)
		spin_lock(&guest_of(vcpu)->lock);
	if (__atomic_compare_exchange_n(&guest_of(vcpu)->message, &none, 1, false, __ATOMIC_RELEASE,
					__ATOMIC_RELAXED)) {
		count(&wakes);
		if (!locks || !vcpu_kick(vcpu))
			vcpu_wake(vcpu);
	}
	if (locks)
		spin_unlock(&guest_of(vcpu)->lock);
}

/* What @vcpu does between an entry and the next exit. */
static void run_guest(struct vcpu *vcpu)
{
	struct guest *guest = guest_of(vcpu);
	struct vcpu *other = vcpu->vm->vcpus[draw(VCPUS)];

	CHECK(__atomic_load_n(&guest->loaded_on, __ATOMIC_RELAXED) == here->index + 1);
	CHECK(vcpu_state(vcpu) == VCPU_RUNNING && vcpu->cpu == here && here->vcpu == vcpu);
	CHECK(memories[vcpu->vm->index].content == 1);
	guest->registers++;
	__atomic_store_n(&guest->message, 0, __ATOMIC_RELEASE);
	switch (draw(16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		vcpu_block(vcpu);
		break;
	case 4:
	case 5:
		vcpu_make_request(vcpu, REQ_RESCHEDULE);
		break;
	case 6:
		vcpu_make_request(vcpu, REQ_STOP);
		break;
	case 7:
	case 8:
	case 9:
		if (!vcpu_start(other, 0, 0))
			count(&starts);
		break;
	case 10:
		if (draw(20) == 0)
			vm_request_reset(vcpu->vm);
		break;
	default:
		send(other);
	}
}

static void *cpu_main(void *cpu)
{
	struct vcpu *vcpu = NULL;

	here = cpu;
	random_state = (check_seed() + here->index) * 0x9e3779b97f4a7c15u | 1;
	for (;;) {
		while (!vcpu || __atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED))
			vcpu = vcpu_prepare_entry(vcpu);
		run_guest(vcpu);
		yield_sometimes();
	}
	return NULL;
}

/* Nobody waits for a message for long: it is taken, or its vCPU is off. */
static void check_is_woken(struct vcpu *vcpu)
{
	u64 late = counter_read() + late_seconds * 1000000000UL;

	while (has_message(vcpu) && !vcpu_is_off(vcpu)) {
		CHECK(counter_read() < late);
		usleep(10);
	}
}

static void command(struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpus[draw(VCPUS)];

	switch (draw(16)) {
	case 0:
		count(&resets);
		vm_request_reset(vm);
		while (vm_reap(true)) /* if nobody else comes by */
			;
		break;
	case 1:
	case 2:
	case 3:
	case 4:
		if (!vcpu_start(vcpu, 0, 0))
			count(&starts);
		break;
	default:
		send(vcpu);
		check_is_woken(vcpu);
	}
}

static void create_vms(void)
{
	static struct bundle_vm configs[VMS];
	static struct {
		struct bundle_header header;
		struct bundle_vm configs[VMS];
	} bundle;

	for (u32 i = 0; i < VMS; i++)
		configs[i] = (struct bundle_vm){
			.cpus = VCPUS,
			.dtb_offset = BUNDLE_NO_DTB,
			.pin = {PIN_0, PIN_1, PIN_2},
		};
	memcpy(bundle.configs, configs, sizeof(configs));
	bundle.header.vm_count = VMS;
	vm_create_all(&bundle.header);
}

int main(void)
{
	pthread_t threads[CPUS];

	if (getenv("STRATA_LATE"))
		late_seconds = strtoul(getenv("STRATA_LATE"), NULL, 10);
	if (getenv("STRATA_COMMANDS"))
		commands = strtoul(getenv("STRATA_COMMANDS"), NULL, 10);
	here = &cpus[OUTSIDE];
	random_state = check_seed() | 1;
	for (u32 i = 0; i <= CPUS; i++) {
		cpus[i].index = i;
		cpus[i].slice_end = 1; /* there are time slices */
		run_queue_init(&cpus[i]);
		sem_init(&kicks[i], 0, 0);
	}
	create_vms();
	for (u32 i = 0; i < CPUS; i++)
		CHECK(!pthread_create(&threads[i], NULL, cpu_main, &cpus[i]));
	for (unsigned long i = 0; i < commands; i++)
		command(vms[draw(VMS)]);
	for (u32 i = 0; i < VMS; i++)
		vm_stop(vms[i], VM_POWERED_OFF, "powered off");
	while (vm_reap(true))
		;
	for (u32 i = 0; i < CPUS; i++)
		kick(&cpus[i]);
	for (u32 i = 0; i < CPUS; i++)
		pthread_join(threads[i], NULL);
	for (u32 i = 0; i < VMS; i++)
		CHECK(memories[i].exists == 0);
	printf("%u wake-ups, %u moves, %u steals, %u starts, %u resets: ", wakes, moves, steals,
	       starts, resets);
	CHECK(wakes > 0 && resets > 0 && starts > 0 && moves > 0);
	check_layer_6();
	return check_finish();
}
