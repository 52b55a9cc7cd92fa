// SPDX-License-Identifier: MIT
/*
 * The VMM under which KVM runs the payload, as /init of the host. GIC and PSCI are KVM's; the PL011
 * and the devices of guests/payload/shared.h are this program's. It runs one VM with two vCPUs, each on
 * a CPU of its own; or, with payload=switch on the host's command line, two VMs that share CPU 0.
 *
 * API: Linux, Documentation/virt/kvm/api.rst and devices/arm-vgic-v3.rst.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../guests/payload/shared.h"

#define VCPUS_MAX 2
#define UART_BASE 0x09000000UL
#define UART_DR 0
#define GICD_BASE 0x08000000UL
#define GICR_BASE 0x080a0000UL
#define INTIDS 64
#define PATIENCE 128 /* YIELDs until a vCPU has fallen asleep */
#define PRIORITY 10

struct vm;

struct vcpu {
	struct vm *vm;
	int fd, host_cpu;
	struct kvm_run *run;
	pthread_t thread;
};

struct vm {
	int fd, vcpu_count;
	uint8_t *ram;
	volatile struct kvm_shared *shared;
	struct vcpu vcpus[VCPUS_MAX];
	char line[256];
	size_t line_length;
	bool is_real_time;
};

static int kvm;
static pthread_barrier_t together;
static pthread_t device;

/* The host's count; this VMM's VMs read the physical one, and the host's offset is zero. */
static uint64_t now(void)
{
	uint64_t value;

	asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
	return value;
}

static void give_way(void)
{
	asm volatile("yield" ::: "memory");
}

static void end(void)
{
	fflush(stdout);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* A call that cannot fail on a host that can run this at all. */
static int must(int result, const char *what)
{
	if (result < 0) {
		printf("VMM: %s: %s\n", what, strerror(errno));
		end();
	}
	return result;
}

static void run_on(int host_cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(host_cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static void read_file(const char *path, void *to, size_t most)
{
	int fd = must(open(path, O_RDONLY), path);

	must((int)read(fd, to, most), path);
	close(fd);
}

static void set_register(int vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)&value};

	must(ioctl(vcpu, KVM_SET_ONE_REG, &reg), "KVM_SET_ONE_REG");
}

#define CORE_REGISTER(member)                                                                      \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |                                     \
	 (offsetof(struct kvm_regs, member) / sizeof(uint32_t)))

static void set_gic(int gic, uint32_t group, uint64_t attribute, void *value)
{
	struct kvm_device_attr attr = {.group = group, .attr = attribute, .addr = (uintptr_t)value};

	must(ioctl(gic, KVM_SET_DEVICE_ATTR, &attr), "KVM_SET_DEVICE_ATTR");
}

static void create_memory(struct vm *vm, const char *tree)
{
	struct kvm_userspace_memory_region region = {.guest_phys_addr = KVM_RAM,
						     .memory_size = KVM_RAM_SIZE};

	vm->ram = mmap(NULL, KVM_RAM_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	region.userspace_addr = (uintptr_t)vm->ram;
	must(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	read_file("/payload", vm->ram, KVM_SHARED_OFFSET);
	read_file(tree, vm->ram + KVM_TREE_OFFSET, KVM_RAM_SIZE - KVM_TREE_OFFSET);
	vm->shared = (void *)(vm->ram + KVM_SHARED_OFFSET);
}

static void create_vcpu(struct vcpu *vcpu, const struct kvm_vcpu_init *target)
{
	struct vm *vm = vcpu->vm;
	bool is_first = vcpu == &vm->vcpus[0];
	struct kvm_vcpu_init init = {.target = target->target};
	size_t size = (size_t)must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "mmap size");

	init.features[0] =
		1u << KVM_ARM_VCPU_PSCI_0_2 | (is_first ? 0 : 1u << KVM_ARM_VCPU_POWER_OFF);
	must(ioctl(vcpu->fd, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (!is_first)
		return;
	set_register(vcpu->fd, CORE_REGISTER(regs.pc), KVM_RAM);
	set_register(vcpu->fd, CORE_REGISTER(regs.regs[0]), KVM_RAM + KVM_TREE_OFFSET);
}

static void create_vm(struct vm *vm, int vcpu_count)
{
	struct kvm_create_device gic = {.type = KVM_DEV_TYPE_ARM_VGIC_V3};
	struct kvm_ioeventfd event = {.addr = KVM_EVENT, .len = 4};
	struct kvm_vcpu_init target;
	uint64_t distributor = GICD_BASE, redistributors = GICR_BASE;
	uint32_t intids = INTIDS;

	vm->vcpu_count = vcpu_count;
	vm->fd = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	create_memory(vm, vcpu_count > 1 ? "/one.dtb" : "/switch.dtb");
	must(ioctl(vm->fd, KVM_ARM_PREFERRED_TARGET, &target), "KVM_ARM_PREFERRED_TARGET");
	for (int i = 0; i < vcpu_count; i++) {
		vm->vcpus[i].vm = vm;
		vm->vcpus[i].fd = must(ioctl(vm->fd, KVM_CREATE_VCPU, i), "KVM_CREATE_VCPU");
	}
	must(ioctl(vm->fd, KVM_CREATE_DEVICE, &gic), "KVM_CREATE_DEVICE");
	set_gic((int)gic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &distributor);
	set_gic((int)gic.fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
		&redistributors);
	set_gic((int)gic.fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &intids);
	for (int i = 0; i < vcpu_count; i++)
		create_vcpu(&vm->vcpus[i], &target);
	set_gic((int)gic.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	event.fd = must(eventfd(0, 0), "eventfd");
	must(ioctl(vm->fd, KVM_IOEVENTFD, &event), "KVM_IOEVENTFD");
}

/* A device on the other CPU: when the guest asks, it raises its line. */
static void *device_main(void *argument)
{
	struct vm *vm = argument;
	struct kvm_irq_level line = {.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT |
					    KVM_INTID};
	uint64_t seen = 0;

	run_on(1);
	for (;;) {
		uint64_t acknowledged = vm->shared->acknowledged;

		if (vm->shared->asked == seen) {
			give_way();
			continue;
		}
		seen = vm->shared->asked;
		for (int i = 0; vm->shared->is_slow && i < PATIENCE; i++)
			give_way();
		line.level = 1;
		vm->shared->in_at = now();
		must(ioctl(vm->fd, KVM_IRQ_LINE, &line), "KVM_IRQ_LINE");
		while (vm->shared->acknowledged == acknowledged)
			give_way();
		line.level = 0;
		must(ioctl(vm->fd, KVM_IRQ_LINE, &line), "KVM_IRQ_LINE");
	}
	return NULL;
}

static void ring(struct vm *vm, uint64_t bell)
{
	if (bell == KVM_BELL_STAMP) {
		vm->shared->out_at = now();
	} else if (bell == KVM_BELL_YIELD) {
		sched_yield();
	} else if (bell == KVM_BELL_TOGETHER) {
		pthread_barrier_wait(&together);
	} else if (bell == KVM_BELL_DEVICE) {
		must(-pthread_create(&device, NULL, device_main, vm), "a thread");
	}
}

static void put(struct vm *vm, char c)
{
	vm->line[vm->line_length++] = c;
	if (c != '\n' && vm->line_length < sizeof(vm->line))
		return;
	fwrite(vm->line, 1, vm->line_length, stdout);
	fflush(stdout);
	vm->line_length = 0;
}

static void mmio(struct vm *vm, struct kvm_run *run)
{
	uint64_t address = run->mmio.phys_addr;

	if (!run->mmio.is_write)
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
	else if (address >= KVM_BELLS && address < KVM_BELLS + 0x1000)
		ring(vm, address - KVM_BELLS);
	else if (address == UART_BASE + UART_DR)
		put(vm, (char)run->mmio.data[0]);
}

static void *vcpu_main(void *argument)
{
	struct vcpu *vcpu = argument;
	struct sched_param priority = {.sched_priority = PRIORITY};

	run_on(vcpu->host_cpu);
	/* so that sched_yield() goes to the other VM's thread and to nobody else */
	if (vcpu->vm->is_real_time)
		must(sched_setscheduler(0, SCHED_FIFO, &priority), "sched_setscheduler");
	for (;;) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0 && errno != EINTR)
			must(-1, "KVM_RUN");
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO)
			mmio(vcpu->vm, vcpu->run);
		else if (vcpu->run->exit_reason == KVM_EXIT_SYSTEM_EVENT)
			return NULL;
	}
}

static void start(struct vm *vm, int vcpu, int host_cpu)
{
	vm->vcpus[vcpu].host_cpu = host_cpu;
	must(-pthread_create(&vm->vcpus[vcpu].thread, NULL, vcpu_main, &vm->vcpus[vcpu]),
	     "a thread");
}

static void set_up_host(void)
{
	int console, limit;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	console = open("/dev/console", O_RDWR);
	for (int fd = 0; console >= 0 && fd < 3; fd++)
		dup2(console, fd);
	/* else Linux takes a twentieth of the time away from real-time threads */
	limit = open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY);
	must((int)write(limit, "-1", 2), "sched_rt_runtime_us");
	close(limit);
	kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
}

static void run_one(void)
{
	static struct vm alone;

	create_vm(&alone, 2);
	start(&alone, 1, 1);
	start(&alone, 0, 0);
	pthread_join(alone.vcpus[0].thread, NULL);
}

static void run_pair(void)
{
	static struct vm pair[2];

	pthread_barrier_init(&together, NULL, 2);
	for (int i = 0; i < 2; i++) {
		pair[i].is_real_time = true;
		create_vm(&pair[i], 1);
	}
	for (int i = 0; i < 2; i++)
		start(&pair[i], 0, 0);
	for (int i = 0; i < 2; i++)
		pthread_join(pair[i].vcpus[0].thread, NULL);
}

/* Linux hands what it does not know of its command line to its first process. */
int main(void)
{
	const char *part = getenv("payload");

	set_up_host();
	if (part && strcmp(part, "switch") == 0)
		run_pair();
	else
		run_one();
	end();
}
