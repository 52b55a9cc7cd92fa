// SPDX-License-Identifier: MIT
/* What layer 5 claims. */
#include "pci_device.h"
#include "platform/qemu_virt.h"
#include "registry.h"
#include "vmm.h"

IRQ_HANDLER(35, IRQ_LEVEL, intx_interrupt);
IRQ_HANDLER(36, IRQ_LEVEL, intx_interrupt);
IRQ_HANDLER(37, IRQ_LEVEL, intx_interrupt);
IRQ_HANDLER(38, IRQ_LEVEL, intx_interrupt);

LAYER(5, smmu, .init = assign_init, .vm_create = assign_vm_create, .vm_destroy = assign_vm_destroy);

DEVICE(pci);
