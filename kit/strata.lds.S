/* SPDX-License-Identifier: MIT */
/*
 * Layout of the hypervisor's image. Text, read-only data and data begin on pages of their own, so
 * that layer 2 can map each with the permissions it needs (W^X). The registries are arrays that the
 * linker collects; layers and guest-memory implementations are sorted by their number. A hook that
 * no linked layer claims is a pointer that is NULL: no_hook.
 */
#include "platform/qemu_virt.h"

OUTPUT_ARCH(aarch64)
ENTRY(_start)

SECTIONS
{
	. = PLAT_IMAGE_BASE;
	image_start = .;
	.text : {
		KEEP(*(.text.head))
		*(.text .text.*)
		. = ALIGN(4096);
	}
	text_end = .;

	.rodata : {
		rodata_start = .;
		*(.rodata .rodata.*)
	}
	.registry : ALIGN(8) {
		registry_layers = .;
		KEEP(*(SORT_BY_NAME(.registry.layer.*)))
		registry_layers_end = .;
		registry_vcpu_hooks = .;
		KEEP(*(SORT_BY_NAME(.registry.vcpu.*)))
		registry_vcpu_hooks_end = .;
		registry_traps = .;
		KEEP(*(.registry.trap))
		registry_traps_end = .;
		registry_sysregs = .;
		KEEP(*(.registry.sysreg))
		registry_sysregs_end = .;
		registry_hypercalls = .;
		KEEP(*(.registry.hypercall))
		registry_hypercalls_end = .;
		registry_hypercall_fallbacks = .;
		KEEP(*(.registry.hypercall_fallback))
		registry_hypercall_fallbacks_end = .;
		registry_irqs = .;
		KEEP(*(.registry.irq))
		registry_irqs_end = .;
		registry_devices = .;
		KEEP(*(.registry.device))
		registry_devices_end = .;
		registry_memories = .;
		KEEP(*(SORT_BY_NAME(.registry.memory.*)))
		registry_memories_end = .;
		KEEP(*(.registry.hook))
		no_hook = .;
		QUAD(0)
		PROVIDE(hook_vgic_flush = no_hook);
		PROVIDE(hook_time_slice = no_hook);
		PROVIDE(hook_irq = no_hook);
		PROVIDE(hook_irq_line = no_hook);
		PROVIDE(hook_vcpu_has_wakeup = no_hook);
		PROVIDE(hook_kick = no_hook);
		PROVIDE(hook_place = no_hook);
		PROVIDE(hook_steal = no_hook);
		PROVIDE(hook_queued = no_hook);
		PROVIDE(hook_awake = no_hook);
		PROVIDE(hook_vcpu_off = no_hook);
		PROVIDE(hook_spin_wait = no_hook);
		PROVIDE(hook_vm_fill = no_hook);
		PROVIDE(hook_vmid_new = no_hook);
		PROVIDE(hook_console_waits = no_hook);
		KEEP(*(.registry.claims))
		. = ALIGN(4096);
	}
	rodata_end = .;

	.data : {
		data_start = .;
		*(.data .data.*)
		. = ALIGN(4096);
	}
	data_end = .;

	.bss (NOLOAD) : {
		bss_start = .;
		*(.bss .bss.*)
		*(COMMON)
		. = ALIGN(4096);
		bss_end = .;
	}
	image_end = .;
	image_size = ABSOLUTE(image_end - image_start);

	/DISCARD/ : { *(.note.*) *(.comment) *(.eh_frame*) }
}
