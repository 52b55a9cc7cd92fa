/* SPDX-License-Identifier: MIT */
/*
 * The guest's machine: what is where in its physical address space, as on QEMU's `virt`. Device
 * models, guests and, by tools/guest_map.py, the VM's device tree take the numbers from here.
 */
#ifndef STRATA_LIB_GUEST_MAP_H
#define STRATA_LIB_GUEST_MAP_H

#define GUEST_FLASH_BASE 0x00000000 /* two banks side by side */
#define GUEST_FLASH_SIZE 0x08000000
#define GUEST_GICD_BASE 0x08000000
#define GUEST_GICD_SIZE 0x00010000
#define GUEST_GICC_BASE 0x08010000 /* GICv2 */
#define GUEST_GICC_SIZE 0x00002000
#define GUEST_GICR_BASE 0x080a0000 /* GICv3: one redistributor a vCPU, side by side */
#define GUEST_GICR_STRIDE 0x00020000
#define GUEST_INTID_COUNT 256 /* SGIs 0-15, PPIs 16-31, SPIs from 32 on */
#define GUEST_UART_BASE 0x09000000
#define GUEST_UART_SIZE 0x00001000
#define GUEST_UART_INTID 33
#define GUEST_VIRTIO_BASE 0x0a000000 /* 32 transports side by side */
#define GUEST_VIRTIO_STRIDE 0x00000200
#define GUEST_VIRTIO_COUNT 32
#define GUEST_PCI_MMIO_BASE 0x10000000 /* a VM that owns PCI devices: their registers */
#define GUEST_PCI_MMIO_SIZE 0x2eff0000
#define GUEST_PCI_ECAM_BASE 0x4010000000 /* and their configuration space: bus 0 */
#define GUEST_PCI_ECAM_SIZE 0x00100000
#define GUEST_PCI_INTX_INTID 35 /* slot and pin choose one of the lines in turn */
#define GUEST_PCI_INTX_COUNT 4
#define GUEST_RAM_BASE 0x40000000

#endif
