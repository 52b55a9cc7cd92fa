// SPDX-License-Identifier: MIT
/*
 * Virtual machines: created from the bundle, and started. vm_end.c has their ends and resets.
 *
 * With layer 2 a VM's memory comes on demand, so a start takes little time however large the VM is.
 * Layer 1 alone copies all of the memory.
 */
#include "el2_boot.h"
#include "guest_memory.h"
#include "internal.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mailbox.h"
#include "page_alloc.h"

void layers_destroy(struct vm *vm, const struct layer *behind)
{
	for (const struct layer *layer = behind; layer-- > registry_layers;) {
		if (layer->vm_destroy)
			layer->vm_destroy(vm);
	}
}

/* Memory first, since the layers put things there. A failure half-way is undone in reverse. */
int vm_build(struct vm *vm)
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

/* The other vCPUs wait for CPU_ON. */
void vm_start(struct vm *vm)
{
	const struct bundle_vm *config = vm->config;
	u64 dtb = config->dtb_offset == BUNDLE_NO_DTB ? 0 : vm->ram_base + config->dtb_offset;

	spin_assert_held(&vm->power_lock);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vcpu_reset(vm->vcpus[i], vm->ram_base + config->entry_offset, dtb);
	vm_enter_phase(vm, VM_LIVE);
	vcpu_make_runnable(vm->vcpus[0]);
}

int vcpu_start(struct vcpu *vcpu, u64 entry, u64 x0)
{
	struct vm *vm = vcpu->vm;
	int error = 0;

	spin_lock(&vm->power_lock);
	if (vm->phase != VM_LIVE) {
		error = -ECANCELED;
	} else if (!vcpu_is_off(vcpu)) {
		error = -EBUSY;
	} else {
		vcpu_reset(vcpu, entry, x0);
		vcpu_make_runnable(vcpu);
	}
	spin_unlock(&vm->power_lock);
	return error;
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
		vm->power_lock = (struct spinlock)SPINLOCK_INIT("power");
		vm->device_lock = (struct spinlock)SPINLOCK_INIT("device");
		error = vm_build(vm);
	}
	if (!error) {
		do
			error = vm_fill(vm);
		while (error > 0);
	}
	if (error)
		config_error("%s: cannot be created: %s (error %d)", config->name,
			     error == -ENOMEM ? "out of memory" : "a layer refused it", error);
	return vm;
}

void vm_create_all(const struct bundle_header *bundle)
{
	const struct bundle_vm *configs = bundle_vms(bundle);

	for (u32 i = 0; i < bundle->vm_count; i++) {
		vms[i] = vm_create(&configs[i], i);
		vm_count = vms_present = i + 1;
	}
	/* Only now: if a VM cannot be created, none has run. */
	for (u32 i = 0; i < vm_count; i++) {
		spin_lock(&vms[i]->power_lock);
		vm_start(vms[i]);
		spin_unlock(&vms[i]->power_lock);
	}
}
