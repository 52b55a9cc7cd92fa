// SPDX-License-Identifier: MIT
/*
 * Layer 3: interrupts. This page has all that the layer claims.
 *
 *	gic.c			the physical GIC: who gets an interrupt; gic_v3.c, gic_v2.c: its drivers
 *	vgic.c			a VM's interrupts in memory, and the vCPU at which each belongs
 *	vgic_lr.c		list registers; vgic_overflow.c: when they are too few
 *	vgic_world.c		the virtual interface at a world switch; a VM's interrupts come and go
 *	vgic_sgi.c		registers of the CPU interface that trap
 *	vgic_registers.c	registers in memory, for the models dev_gicd.c, dev_gicr.c, dev_gicc.c
 */
#include "internal.h"
#include "platform/qemu_virt.h"
#include "vmm.h"

LAYER(3, vgic, .init = gic_init, .init_cpu = gic_init_cpu, .vm_create = vgic_vm_create,
      .vm_destroy = vgic_vm_destroy);
VCPU_HOOKS(3, .reset = vgic_vcpu_reset, .load = vgic_vcpu_load, .save = vgic_vcpu_save);
HOOK(irq, gic_irq);
HOOK(irq_line, vgic_spi_line);
HOOK(vgic_flush, vgic_flush);
HOOK(vcpu_has_wakeup, vgic_has_deliverable);
HOOK(vcpu_off, vgic_vcpu_off);

IRQ_HANDLER(PLAT_INTID_MAINTENANCE, IRQ_LEVEL, vgic_maintenance);
IRQ_HANDLER(PLAT_UART_INTID, IRQ_LEVEL, console_interrupt);

SYSREG_HANDLER(3, 0, 12, 11, 1, icc_dir); /* ICC_DIR_EL1 */
SYSREG_HANDLER(3, 0, 12, 11, 5, icc_sgi1r); /* ICC_SGI1R_EL1 */
SYSREG_HANDLER(3, 0, 12, 11, 6, icc_sgi0r); /* ICC_ASGI1R_EL1 */
SYSREG_HANDLER(3, 0, 12, 11, 7, icc_sgi0r); /* ICC_SGI0R_EL1 */
SYSREG_HANDLER(3, 0, 12, 12, 5, icc_sre); /* ICC_SRE_EL1 */

/* On a machine with that GIC alone. */
DEVICE(gicd_v3);
DEVICE(gicd_v2);
DEVICE(gicc_dir);
DEVICE(gicr);
