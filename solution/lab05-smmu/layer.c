// SPDX-License-Identifier: MIT
/*
 * Layer 5: devices of a VM's own. This page has all that the layer claims.
 *
 *	smmu.c			the SMMU: setting it up; smmu_queue.c: telling it something
 *	smmu_space.c		what the devices of a VM may reach; smmu_stream.c: one device's way there
 *	smmu_event.c		what was refused, and whose fault it was
 *	assign.c		a device is handed over and taken back; pci_models.c: how each is stopped
 *	irq_demux.c		whose interrupt it is, of those that share a line
 *	dev_pci.c		configuration space as a VM sees it
 *
 * The SMMU's interrupts are pulses and so edges.
 */
#include "internal.h"
#include "pci_device.h"
#include "platform/qemu_virt.h"
#include "vmm.h"

LAYER(5, smmu, .init = assign_init, .init_cpu = smmu_init_cpu, .vm_create = assign_vm_create,
      .vm_destroy = assign_vm_destroy);
HOOK(vm_fill, space_fill);

IRQ_HANDLER(PLAT_PCI_LINE0_INTID, IRQ_LEVEL, intx_interrupt);
IRQ_HANDLER(PLAT_PCI_LINE1_INTID, IRQ_LEVEL, intx_interrupt);
IRQ_HANDLER(PLAT_PCI_LINE2_INTID, IRQ_LEVEL, intx_interrupt);
IRQ_HANDLER(PLAT_PCI_LINE3_INTID, IRQ_LEVEL, intx_interrupt);
IRQ_HANDLER(PLAT_SMMU_EVENT_INTID, IRQ_EDGE, smmu_event_irq);
IRQ_HANDLER(PLAT_SMMU_ERROR_INTID, IRQ_EDGE, smmu_error_irq);

DEVICE(pci);
