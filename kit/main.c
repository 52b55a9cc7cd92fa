// SPDX-License-Identifier: MIT
/*
 * The hypervisor from its first C statement to its first guest: read strata_main() as the table of
 * contents. boot.S has set up a stack, cleared BSS and pointed TPIDR_EL2 at cpus[0].
 */
#include "bundle.h"
#include "cache.h"
#include "console.h"
#include "el2_boot.h"
#include "fdt.h"
#include "image.h"
#include "mailbox.h"
#include "page_alloc.h"
#include "stacks.h"

struct cpu cpus[PLAT_CPU_MAX];
struct cpu_stacks cpu_stacks[PLAT_CPU_MAX];
struct vm *vms[VM_MAX];
u32 vm_count;

void strata_main(pa_t device_tree) __attribute__((noreturn));

/*
 * The machine's RAM, 0 if the device tree does not say. A boot loader may have left the tree in its
 * caches, past which EL2 reads here: clean them first, for the page with the tree's size, then for
 * all of the tree.
 */
static u64 machine_memory(pa_t device_tree)
{
	const void *fdt = phys_to_virt(device_tree);

	if (device_tree.pa < PLAT_RAM_BASE)
		return 0;
	dcache_clean_invalidate(fdt, PAGE_SIZE);
	dcache_clean_invalidate(fdt, fdt_bytes(fdt));
	return fdt_memory_bytes(fdt, PLAT_RAM_BASE);
}

static const struct bundle_header *checked_bundle(u64 memory_bytes)
{
	const struct bundle_header *bundle = phys_to_virt(PA(PLAT_BUNDLE_BASE));
	const char *problem;

	if (bundle_check(bundle, memory_bytes, &problem))
		config_error("%s", problem);
	return bundle;
}

void layers_init(void)
{
	for_each_layer (layer) {
		int error = layer->init ? layer->init() : 0;

		if (error)
			config_error("layer %u (%s) did not start: error %d", layer->number,
				     layer->name, error);
	}
}

void layers_init_cpu(struct cpu *cpu)
{
	for_each_layer (layer) {
		int error = layer->init_cpu ? layer->init_cpu(cpu) : 0;

		if (error)
			config_error("layer %u (%s) did not start on CPU %u: error %d",
				     layer->number, layer->name, cpu->index, error);
	}
}

/* All RAM but the image and the bundle. Until layer 2 is there EL2 writes to its image alone. */
static void memory_init(const struct bundle_header *bundle)
{
	page_alloc_init(virt_to_phys(image_end), PA(PLAT_RAM_BASE + bundle->machine_memory_bytes),
			PA(PLAT_BUNDLE_BASE), PA(PLAT_BUNDLE_BASE + bundle->length_bytes));
}

static void greet(const struct bundle_header *bundle)
{
	console_printf("layers 1-%u, %u VM%s, %lu MiB\n", registry_layers_end[-1].number,
		       bundle->vm_count, bundle->vm_count == 1 ? "" : "s",
		       bundle->machine_memory_bytes >> 20);
}

void strata_main(pa_t device_tree)
{
	const struct bundle_header *bundle;

	console_init();
	bundle = checked_bundle(machine_memory(device_tree));

	/*
	 * What a layer starts stands in its layer.c:
	 *
	 *	once			on each CPU
	 *	1 dispatch tables	the controls of EL2
	 *	2 EL2's page table	its MMU and caches
	 *	3 the distributor	its interface to the interrupt controller
	 *	4			its timers
	 */
	layers_init();
	layers_init_cpu(this_cpu());

	memory_init(bundle);
	greet(bundle);
	vm_create_all(bundle);
	vcpu_enter(vcpu_prepare_entry(NULL));
}
