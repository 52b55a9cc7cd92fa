/* SPDX-License-Identifier: MIT */
/*
 * Constants of QEMU's `virt` machine, for C, assembly and the link script.
 *
 * What varies between two runs (memory size, number of CPUs) comes with the bundle's header, what
 * can be asked from the CPU (the version of the GIC) is asked.
 */
#ifndef STRATA_PLATFORM_QEMU_VIRT_H
#define STRATA_PLATFORM_QEMU_VIRT_H

#define PLAT_RAM_BASE 0x40000000
#define PLAT_IMAGE_BASE 0x40200000 /* RAM + text_offset of our own Image header */
#define PLAT_BUNDLE_BASE 0x4a000000 /* above QEMU's own device tree at 0x48000000 */

#define PLAT_GICD_BASE 0x08000000
#define PLAT_GICC_BASE 0x08010000
#define PLAT_GICH_BASE 0x08030000
#define PLAT_GICV_BASE 0x08040000
#define PLAT_GICR_BASE 0x080a0000
#define PLAT_DEVICES_BASE 0x08000000 /* GIC and PL011 live in one range that EL2 maps */
#define PLAT_DEVICES_SIZE 0x02000000
#define PLAT_UART_BASE 0x09000000
#define PLAT_UART_INTID 33
#define PLAT_SMMU_BASE 0x09050000 /* in the same range; there only if the bundle's header says so */
#define PLAT_SMMU_EVENT_INTID 106
#define PLAT_SMMU_ERROR_INTID 109

#define PLAT_PCI_ECAM_BASE 0x4010000000
#define PLAT_PCI_MMIO_BASE 0x10000000 /* BARs may be here; the first MiB is left to power.c */
#define PLAT_PCI_MMIO_SIZE 0x2eff0000
#define PLAT_PCI_LINE0_INTID 35 /* device and pin choose one of four in turn */
#define PLAT_PCI_LINE1_INTID 36
#define PLAT_PCI_LINE2_INTID 37
#define PLAT_PCI_LINE3_INTID 38

#define PLAT_INTID_KICK 1 /* SGI: of EL2's CPUs among themselves */
#define PLAT_INTID_MAINTENANCE 25
#define PLAT_INTID_CNTHP 26
#define PLAT_INTID_CNTV 27
#define PLAT_INTID_CNTP 30

#define PLAT_CPU_MAX 8

#endif
