// SPDX-License-Identifier: MIT
/*
 * Virtual machines: created from the bundle, started, stopped for a reason, started again.
 *
 * A VM ends in two steps. vm_stop() takes note and asks its vCPUs to leave; when the last one has
 * left its CPU, vm_reap() releases what the layers hold, or builds it anew for a reset. So nothing
 * is freed under a running vCPU.
 *
 * vm_lock protects vm->state and vm_pending; it is the outermost lock.
 */
#include <stdarg.h>

#include "el2_boot.h"
#include "guest_memory.h"
#include "layer1.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mailbox.h"
#include "page_alloc.h"

static struct spinlock vm_lock = SPINLOCK_INIT("vm");

/* What has to be done for a VM once its vCPUs have left. */
static struct {
	bool release, restart;
} vm_pending[VM_MAX];

static void layers_destroy(struct vm *vm, const struct layer *behind)
{
	for (const struct layer *layer = behind; layer-- > registry_layers;) {
		if (layer->vm_destroy)
			layer->vm_destroy(vm);
	}
}

/* Everything that a reset builds anew: memory, then each layer's part; undone in reverse. */
static int vm_build(struct vm *vm)
{
	int error = guest_memory_ops()->create(vm);

	if (error)
		return error;
	for_each_layer (layer) {
		error = layer->vm_create ? layer->vm_create(vm) : 0;
		if (error) {
			layers_destroy(vm, layer + 1);
			guest_memory_ops()->destroy(vm);
			return error;
		}
	}
	return 0;
}

static void vm_release(struct vm *vm)
{
	layers_destroy(vm, registry_layers_end);
	guest_memory_ops()->destroy(vm);
}

/** vm_start() - reset every vCPU and let the first one run; the others wait for CPU_ON */
static void vm_start(struct vm *vm)
{
	const struct bundle_vm *config = vm->config;
	u64 dtb = config->dtb_offset == BUNDLE_NO_DTB ? 0 : vm->ram_base + config->dtb_offset;

	for (u32 i = 0; i < vm->vcpu_count; i++)
		vcpu_reset(vm->vcpus[i], vm->ram_base + config->entry_offset, dtb);
	vm->state = VM_RUNNING;
	vcpu_make_runnable(vm->vcpus[0]);
}

static void *alloc_struct(u64 bytes)
{
	pa_t pa = page_alloc_zeroed(page_order_for(bytes));

	return pa_is_valid(pa) ? phys_to_virt(pa) : NULL;
}

static struct vm *vm_create(const struct bundle_vm *config, u32 index)
{
	struct vm *vm = alloc_struct(sizeof(*vm));
	int error = vm ? 0 : -ENOMEM;

	for (u32 i = 0; !error && i < config->cpus; i++) {
		struct vcpu *vcpu = alloc_struct(sizeof(*vcpu));

		if (!vcpu) {
			error = -ENOMEM;
			break;
		}
		vcpu->vm = vm;
		vcpu->index = i;
		vcpu->cpu = &cpus[0];
		list_init(&vcpu->run_node);
		vm->vcpus[i] = vcpu;
	}
	if (!error) {
		memcpy(vm->name, config->name, sizeof(vm->name));
		vm->index = index;
		vm->vmid = index + 1; /* 0 is EL2's own, with no stage 2 */
		vm->config = config;
		vm->ram_bytes = config->memory_bytes;
		vm->vcpu_count = config->cpus;
		vm->device_lock = (struct spinlock)SPINLOCK_INIT("device");
		error = vm_build(vm);
	}
	if (error)
		config_error("%s: cannot be created: %s (error %d)", config->name,
			     error == -ENOMEM ? "out of memory" : "a layer refused it", error);
	return vm;
}

void vm_create_all(const struct bundle_header *bundle)
{
	const struct bundle_vm *configs = bundle_vms(bundle);

	run_queue_init(this_cpu());
	for (u32 i = 0; i < bundle->vm_count; i++) {
		vms[i] = vm_create(&configs[i], i);
		vm_count = i + 1;
	}
	/* Only now: a VM that cannot be created leaves nothing half started. */
	for (u32 i = 0; i < vm_count; i++)
		vm_start(vms[i]);
}

/* Ask every vCPU of @vm to leave; those that are on no CPU are off at once. */
static void vm_evict(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];
		struct cpu *cpu = vcpu->cpu;
		bool is_loaded;

		spin_lock(&cpu->run_lock);
		is_loaded = cpu->vcpu == vcpu;
		if (!is_loaded) {
			if (vcpu->state == VCPU_RUNNABLE)
				run_queue_remove(cpu, vcpu);
			vcpu->state = VCPU_OFF;
		}
		spin_unlock(&cpu->run_lock);
		if (is_loaded) {
			vcpu_post_work(vcpu, ENTRY_STOPPED);
			vcpu_wake(vcpu);
		}
	}
}

void vm_stop(struct vm *vm, enum vm_state state, const char *fmt, ...)
{
	va_list args;
	bool first;

	spin_lock(&vm_lock);
	first = vm->state == VM_RUNNING;
	if (first) {
		va_start(args, fmt);
		vsnprintf(vm->stop_reason, sizeof(vm->stop_reason), fmt, args);
		va_end(args);
		vm->state = state;
		vm_pending[vm->index].release = true;
	}
	spin_unlock(&vm_lock);
	if (!first)
		return;
	console_vm_flush(vm);
	console_printf("%s: %s%s\n", vm->name, state == VM_STOPPED ? "stopped: " : "",
		       vm->stop_reason);
	vm_evict(vm);
}

void vm_request_reset(struct vm *vm)
{
	spin_lock(&vm_lock);
	if (vm->state == VM_RUNNING) {
		vm_pending[vm->index].release = true;
		vm_pending[vm->index].restart = true;
	}
	spin_unlock(&vm_lock);
	console_vm_flush(vm);
	console_printf("%s: reset\n", vm->name);
	vm_evict(vm);
}

static bool vm_has_left(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu->state != VCPU_OFF || vcpu->cpu->vcpu == vcpu)
			return false;
	}
	return true;
}

void vm_reap(void)
{
	for (u32 i = 0; i < vm_count; i++) {
		struct vm *vm = vms[i];
		bool release, restart;

		spin_lock(&vm_lock);
		release = vm_pending[i].release && vm_has_left(vm);
		restart = release && vm_pending[i].restart;
		if (release)
			vm_pending[i].release = vm_pending[i].restart = false;
		spin_unlock(&vm_lock);
		if (!release)
			continue;
		vm_release(vm);
		if (!restart)
			continue;
		if (vm_build(vm)) {
			vm->state = VM_RUNNING;
			vm_stop(vm, VM_STOPPED, "no memory to start again");
			continue;
		}
		vm->reset_count++;
		vm_start(vm);
	}
}

bool vm_any_alive(void)
{
	for (u32 i = 0; i < vm_count; i++) {
		if (vms[i]->state == VM_RUNNING)
			return true;
	}
	return false;
}

void vm_all_off(void)
{
	u32 failed = 0;

	for (u32 i = 0; i < vm_count; i++)
		failed += vms[i]->state != VM_POWERED_OFF;
	console_printf("all VMs are off: %u of %u powered off, %u stopped\n", vm_count - failed,
		       vm_count, failed);
	machine_off(failed ? 1 : 0);
}
